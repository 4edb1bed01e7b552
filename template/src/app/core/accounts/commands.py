"""The command `python -m app user EMAIL`: create, invite, change, export and list users."""

import argparse
import getpass
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.core.accounts.schemas import AccountExport

MAX_ID = 2**63 - 1
"""Largest `bigint` of PostgreSQL. Replaces a larger id on the command line, which the driver would refuse."""

ALONE = ("invite", "set_password", "deactivate", "activate", "erase", "export", "list")
"""Options that cannot be combined with another option, except --invite with --role."""


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    user = commands.add_parser(
        "user", help="create or change a user; asks for a password, or reads it from standard input"
    )
    user.add_argument("user", nargs="?", metavar="EMAIL", help="the address, or the id of an existing user")
    user.add_argument("--admin", action=argparse.BooleanOptionalAction, help="make the user an admin, or undo this")
    user.add_argument("--role", action="append", default=[], metavar="ROLE", help="give the user a role")
    user.add_argument("--remove-role", action="append", default=[], metavar="ROLE", help="remove a role of the user")
    user.add_argument("--invite", action="store_true", help="send an invitation, or print its token without EMAIL")
    user.add_argument("--password", action="store_true", dest="set_password", help="set a password and end sessions")
    user.add_argument("--deactivate", action="store_true", help="forbid log-ins, end sessions, delete API keys")
    user.add_argument("--activate", action="store_true", help="allow the user to log in again")
    user.add_argument("--erase", action="store_true", help="delete the personal data permanently")
    user.add_argument("--export", action="store_true", help="print all data of the user as JSON")
    user.add_argument("--list", action="store_true", help="print all users: id, address, name, state, roles")
    user.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Create, invite, change, export or list users. ConfigError for invalid options or an unknown user."""
    from app.core.accounts import operations
    from app.core.accounts.schemas import EmailAddress, UserCreate
    from app.core.config import ConfigError

    _check(options)
    if options.list:
        operations.show_users(_print_line)
        return
    if options.invite:
        _invite(options.user, options.role)
        return
    name = options.user
    who = min(int(name), MAX_ID) if name.isdecimal() else _validated(EmailAddress, name, "The e-mail address")
    user_id = operations.find(who)
    if user_id is None:
        existing = options.remove_role or options.admin is False or any(getattr(options, name) for name in ALONE)
        if isinstance(who, int) or existing:
            raise ConfigError(f"There is no user {options.user}.")
        data = UserCreate(name=who.partition("@")[0], email=who, password=_ask_password())
        operations.create(data, admin=bool(options.admin), roles=options.role)
        print(f"{who} is registered{' as an admin' if options.admin else ''}.")
    elif options.set_password:
        operations.set_password(user_id, _ask_password())
        print(f"{options.user} has a new password.")
    elif options.export:
        print(json.dumps(operations.export(user_id), indent=2, ensure_ascii=False))
    elif action := next((name for name in ("deactivate", "activate", "erase") if getattr(options, name)), None):
        getattr(operations, action)(user_id)
        print(f"{options.user} is {action}d.")
    elif options.admin is not None or options.role or options.remove_role:
        changed = operations.change(user_id, admin=options.admin, add=options.role, remove=options.remove_role)
        kind = "an admin" if changed.is_admin else "not an admin"
        print(f"{options.user} is {kind}. Roles: {', '.join(changed.roles) or 'none'}.")
    else:
        print(f"{options.user} exists already.")


def _invite(email: str | None, roles: list[str]) -> None:
    from app.core.accounts import operations
    from app.core.accounts.email.schemas import InvitationCreate
    from app.core.accounts.schemas import EmailAddress
    from app.core.config import ConfigError

    address = _validated(EmailAddress, email, "The e-mail address") if email else None
    if address and operations.find(address):
        raise ConfigError(f"{email} is registered already.")
    token = operations.invite(InvitationCreate(email=address, roles=roles))
    print(token or f"{email} gets an invitation by e-mail.")


def _check(options: argparse.Namespace) -> None:
    from app.core.accounts.auth.roles import declared_roles
    from app.core.config import ConfigError

    alone = [name for name in ALONE if getattr(options, name)]
    others = [name for name in ("admin", "role", "remove_role") if getattr(options, name) not in (None, [])]
    if alone == ["invite"] and others == ["role"]:
        others = []
    if len(alone) > 1 or (alone and others):
        names = (name.removeprefix("set_").replace("_", "-") for name in (*alone, *others))
        raise ConfigError(f"These options cannot be combined: {', '.join(f'--{name}' for name in names)}.")
    if bool(options.user) is options.list and not options.invite:
        raise ConfigError("--list takes no user." if options.list else "Name a user by e-mail address, or use --list.")
    if unknown := set(options.role) - declared_roles().keys():
        known = ", ".join(sorted(declared_roles())) or "no role at all"
        raise ConfigError(f"Unknown role {', '.join(sorted(unknown))}: the slices declare {known}.")


def _ask_password() -> Any:
    from app.core.security.passwords import NewPassword

    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    return _validated(NewPassword, password, "The password")


def _validated(kind: Any, value: str, what: str) -> Any:
    from pydantic import TypeAdapter, ValidationError

    from app.core.config import ConfigError

    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{what} is invalid: {message}.") from None


def _print_line(user: "AccountExport") -> None:
    state = "admin" if user.is_admin else "user"
    print(
        user.id, user.email or "-", user.name, state if user.is_active else "inactive", ",".join(user.roles), sep="\t"
    )
