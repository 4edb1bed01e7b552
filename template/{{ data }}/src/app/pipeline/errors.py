class PipelineError(Exception):
    """The pipeline cannot do what it was asked for; the message says what to change."""
