"""What the book works on: samples, panels, cohorts on disk, the manifest, downloads, masks."""
