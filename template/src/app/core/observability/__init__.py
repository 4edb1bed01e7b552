"""Logs, traces, metrics and error reports."""
