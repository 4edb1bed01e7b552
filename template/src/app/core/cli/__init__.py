"""The command line `python -m app`. The tasks of `poe` call it."""
