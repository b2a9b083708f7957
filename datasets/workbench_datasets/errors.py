"""This room's error: one sentence that says what was expected and what came."""


class DataError(ValueError):
    """A data set that is not there, an option that does not fit, or a download that failed."""
