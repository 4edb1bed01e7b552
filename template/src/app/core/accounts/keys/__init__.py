"""API keys: long-lived tokens for machines, with scopes of their owner."""
