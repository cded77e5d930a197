"""Image in, image out: cleaning, rescaling, resizing."""
