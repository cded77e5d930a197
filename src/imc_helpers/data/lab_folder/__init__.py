"""A lab's own folder: what is in it, what is odd about it, and a cohort made from it."""
