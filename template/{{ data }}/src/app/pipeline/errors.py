class PipelineError(Exception):
    """The pipeline cannot do what it was asked for; the message says what to change."""


class HeldBackError(Exception):
    """A day cannot be done with what there is of it, and others can; the message says what there is."""
