"""Command to install the dependency group of an engine."""

INSTALL = "poetry sync --with"
