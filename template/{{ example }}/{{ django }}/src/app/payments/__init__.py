"""Payments: events of the payment provider."""
