"""The supplier: what can be ordered from it, asked for over HTTP."""
