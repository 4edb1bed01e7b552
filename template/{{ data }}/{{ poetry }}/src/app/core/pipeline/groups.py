"""How the dependency group of an engine is installed."""

INSTALL = "poetry sync --with"
