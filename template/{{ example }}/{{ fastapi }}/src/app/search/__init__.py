"""Search of the catalogue."""
