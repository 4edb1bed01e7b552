"""PostgreSQL's error codes (SQLSTATE, appendix A of its manual)."""

TEMPORARY = ("08", "25P03", "25P04", "40", "53", "57")
"""Beginnings of the codes after which the same request may succeed later: lost connections, transactions that were idle
or took too long, rollbacks, missing resources, interventions of the operator."""

MISSING = ("42P01", "42703")
"""A table or a column does not exist: the migrations were not applied."""


def is_temporary(sqlstate: str | None) -> bool:
    """Return whether the same request may succeed later."""
    return (sqlstate or "").startswith(TEMPORARY)
