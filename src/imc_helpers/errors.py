"""Errors that a user of the book can act on.

Each message says what was expected, what was found (file, sample, channel) and what to do.
"""


class InputError(ValueError):
    """Data, a file or a parameter is not what the book can work with."""


class DownloadError(OSError):
    """A file could not be fetched, or is not the file that the manifest describes."""
