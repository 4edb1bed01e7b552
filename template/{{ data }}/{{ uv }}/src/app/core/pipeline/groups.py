"""Command to install the dependency group of an engine."""

INSTALL = "uv sync --group"
