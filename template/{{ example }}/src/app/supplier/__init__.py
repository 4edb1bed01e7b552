"""The supplier: its products, fetched over HTTP."""
