class PipelineError(Exception):
    """The pipeline cannot run; the message says what to change."""


class HeldBackError(Exception):
    """One day is invalid; the message says why. Other days continue."""


class MalformedError(HeldBackError):
    """A file of the day cannot be read; the message has the place, the text and the change to make."""
