"""The command line: `python -m app`, and the tasks of `poe`."""
