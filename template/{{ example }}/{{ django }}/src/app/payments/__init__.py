"""Payments: what the payment provider tells about them."""
