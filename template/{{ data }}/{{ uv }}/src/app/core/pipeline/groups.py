"""How the dependency group of an engine is installed."""

INSTALL = "uv sync --group"
