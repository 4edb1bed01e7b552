"""Error codes of PostgreSQL (SQLSTATE, appendix A of its manual)."""

TEMPORARY = ("08", "25P03", "25P04", "40", "53", "57")
"""Prefixes of the codes after which the same request may succeed later: lost connections, idle or slow transactions,
rollbacks, insufficient resources, operator intervention."""

FOREIGN_KEY_VIOLATION = "23503"

MISSING = ("42P01", "42703")
"""Codes for a missing table or column: migrations were not applied."""


def is_temporary(sqlstate: str | None) -> bool:
    """Return whether the same request may succeed later."""
    return (sqlstate or "").startswith(TEMPORARY)
