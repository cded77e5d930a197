"""One file per model: what loads it, and how its own library is called."""
