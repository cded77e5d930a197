"""A lab's own study: an edition from its folder, the answer in plain words, and files to take."""
