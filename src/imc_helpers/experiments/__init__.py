"""What is tried out: sweeps, candidates of known quality, likeness, errors that people share."""
