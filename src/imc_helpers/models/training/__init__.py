"""Training of the models that the build makes itself."""
