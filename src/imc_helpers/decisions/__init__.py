"""What follows from agreement: why raters differ, how far a model can get, what to label next."""
