class PipelineError(Exception):
    """The pipeline cannot run; the message says what to change."""


class HeldBackError(Exception):
    """One day cannot be done, other days can; the message says why."""


class MalformedError(HeldBackError):
    """A file of the day cannot be read; the message says where, what was found and what to change."""
