"""Searching the catalogue."""
