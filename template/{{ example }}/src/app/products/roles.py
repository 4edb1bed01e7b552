"""Roles of the catalogue. Admins have the scopes of all roles."""

WRITE = "catalogue:write"

ROLES = {"catalogue": (WRITE,)}
