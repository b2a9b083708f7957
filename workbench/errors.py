"""The one kind of error that a user's slip causes: a single sentence, shown without a traceback."""


class WorkbenchError(Exception):
    """Says in one sentence what was expected and what came."""
