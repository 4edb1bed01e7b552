"""Limits: rates of callers, concurrent exports, sizes of bodies."""
