"""What is tried out: sweeps, candidates of known quality, likeness, ceiling."""
