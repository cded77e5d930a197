"""What a mask says of each cell."""
