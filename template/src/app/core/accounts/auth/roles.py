"""Roles: a slice declares them in its `roles.py`, with the scopes that each role gives.

ROLES = {"editor": ("notes:write", "notes:delete")}
"""

from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated

from pydantic import StringConstraints, TypeAdapter, ValidationError

from app.core.security.bearer import ADMIN
from app.core.slices import SliceError, find_slices

Role = Annotated[str, StringConstraints(min_length=1, max_length=150)]
Scope = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]+$")]
"""A scope of RFC 6749, section 3.3."""

_ROLES = TypeAdapter(dict[Role, tuple[Scope, ...]])


@cache
def declared_roles() -> Mapping[str, frozenset[str]]:
    """Return the roles of all slices with their scopes. Raise SliceError when ROLES of a slice is invalid.

    A role cannot give the scope `admin`: only superusers hold that scope.
    """
    roles: dict[str, frozenset[str]] = {}
    for found in find_slices():
        declared = found.attribute("roles", "ROLES", dict, required=True)
        try:
            valid = _ROLES.validate_python(declared or {}, strict=True)
        except ValidationError as error:
            [first, *_] = error.errors()
            place = " → ".join(map(str, first["loc"]))
            raise SliceError(
                f"The slice '{found.name}' does not load: ROLES in roles.py: {place}: {first['msg']}"
            ) from None
        for role, scopes in valid.items():
            if ADMIN in scopes:
                raise SliceError(f"The slice '{found.name}' does not load: the role '{role}' must not give '{ADMIN}'")
            roles[role] = roles.get(role, frozenset()).union(scopes)
    return MappingProxyType(roles)


def scopes_of(roles: Iterable[str], *, admin: bool) -> frozenset[str]:
    """Return the scopes of a user: for an admin, all scopes. A role that no slice declares gives no scopes."""
    declared = declared_roles()
    if admin:
        return frozenset({ADMIN}).union(*declared.values())
    return frozenset[str]().union(*(declared.get(role, ()) for role in roles))
