"""`python -m app user`."""

import io
import json
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import structlog

from app.core.accounts.auth.roles import declared_roles
from app.core.cli.main import main
from app.core.security.passwords import verify_password
from app.core.security.tokens import digest
from app.core.testing import Execute

pytestmark = pytest.mark.slow

ADA = "ada@example.com"


class Command:
    """Run `python -m app user ARGUMENTS`; return the output."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def __call__(self, *arguments: str, entered: str = "") -> str:
        self.monkeypatch.setattr("sys.stdin", io.StringIO(entered))
        main(["user", *arguments])
        return self.capsys.readouterr().out

    def fails(self, *arguments: str, entered: str = "") -> str:
        """Return the error message of a command that exits with 1; the message is one line."""
        with pytest.raises(SystemExit) as ended:
            self(*arguments, entered=entered)
        message = str(ended.value.code)
        assert isinstance(ended.value.code, str), "Python prints a string and exits with 1"
        assert len(message.splitlines()) == 1
        return message


@pytest.fixture
def user(
    committed_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Command]:
    """The command in a process that has not configured its logs."""
    before = structlog.get_config()
    structlog.reset_defaults()
    yield Command(monkeypatch, capsys)
    structlog.configure(**before)


def test_existing_user_is_not_created_again(user: Command, sql: Execute) -> None:
    assert user(ADA, entered="correct horse\n") == f"{ADA} is registered.\n"
    assert user("Ada@Example.com") == "Ada@Example.com exists already.\n", "logs are not on standard output"
    assert sql("SELECT name FROM users WHERE NOT is_superuser") == ["ada"]


def test_invitation_is_sent_or_printed(user: Command, sql: Execute, messages: list[EmailMessage]) -> None:
    assert user("Ada@Example.com", "--invite") == "Ada@Example.com gets an invitation by e-mail.\n"
    assert [message["To"] for message in messages] == ["Ada@example.com"]
    token = user("--invite").strip()
    assert sql("SELECT digest FROM invitations WHERE email IS NULL") == [digest(token)]
    assert sql("SELECT email FROM invitations WHERE email IS NOT NULL") == ["Ada@example.com"]
    user(ADA, entered="correct horse\n")
    assert user.fails("Ada@Example.com", "--invite") == "Ada@Example.com is registered already."


@pytest.mark.usefixtures("editor")
def test_invitation_has_roles(user: Command, sql: Execute) -> None:
    user(ADA, "--invite", "--role", "editor")
    assert sql("SELECT roles::text FROM invitations") == ['["editor"]']
    assert user.fails(ADA, "--invite", "--admin") == "These options cannot be combined: --invite, --admin."


def test_admin_option_creates_or_promotes_user(user: Command, sql: Execute) -> None:
    assert (
        user("--admin", "root@example.com", entered="correct horse\n")
        == "root@example.com is registered as an admin.\n"
    )
    user(ADA, entered="correct horse\n")
    assert user("--admin", ADA) == f"{ADA} is an admin. Roles: none.\n"
    assert sql("SELECT count(*) FROM users WHERE is_superuser") == [2]


def test_no_admin_option_removes_admin(user: Command, sql: Execute) -> None:
    user("--admin", ADA, entered="correct horse\n")
    user("--admin", "root@example.com", entered="correct horse\n")
    assert user("--no-admin", ADA) == f"{ADA} is not an admin. Roles: none.\n"
    assert sql("SELECT count(*) FROM users WHERE is_superuser") == [1]
    assert user.fails("--no-admin", "grace@example.com") == "There is no user grace@example.com."
    assert user.fails("--no-admin", "--export", ADA) == "These options cannot be combined: --export, --admin."


@pytest.mark.parametrize("option", ["--no-admin", "--deactivate", "--erase"])
def test_last_admin_stays(user: Command, sql: Execute, option: str) -> None:
    user("--admin", ADA, entered="correct horse\n")
    assert user.fails(option, ADA) == "This user is the last active admin. Make another user an admin first."
    assert sql("SELECT email FROM users WHERE is_superuser AND is_active") == [ADA]


def test_roles_are_added_and_removed(user: Command, newcomer: Path) -> None:
    (newcomer / "roles.py").write_text('ROLES = {"editor": ("notes:write",), "author": ()}\n')
    declared_roles.cache_clear()
    user(ADA, "--role", "editor", entered="correct horse\n")
    assert user(ADA, "--role", "author", "--role", "editor") == f"{ADA} is not an admin. Roles: author, editor.\n"
    assert (
        user(ADA, "--remove-role", "editor", "--remove-role", "unknown") == f"{ADA} is not an admin. Roles: author.\n"
    )
    assert "editor" in user.fails(ADA, "--role", "edtor")
    declared_roles.cache_clear()


def test_user_command_sets_password(user: Command, sql: Execute) -> None:
    user(ADA, entered="correct horse\n")
    before = sql("SELECT password FROM users")
    assert user(ADA, "--password", entered="battery staple\n") == f"{ADA} has a new password.\n"
    assert sql("SELECT password FROM users") != before


def test_user_command_normalizes_password(user: Command, sql: Execute) -> None:
    user(ADA, entered="cafe\u0301 au lait\n")
    [stored] = sql("SELECT password FROM users")
    assert verify_password("caf\u00e9\u00a0au lait", str(stored).removeprefix("argon2"))


def test_user_command_deactivates_activates_and_erases(user: Command, sql: Execute) -> None:
    user(ADA, entered="correct horse\n")
    assert user(ADA, "--deactivate") == f"{ADA} is deactivated.\n"
    assert sql("SELECT is_active FROM users") == [False]
    assert user(ADA, "--activate") == f"{ADA} is activated.\n"
    assert sql("SELECT is_active FROM users") == [True]
    assert user(ADA, "--erase") == f"{ADA} is erased.\n"
    assert sql("SELECT email FROM users") == [None]


def test_user_without_address_is_named_by_id(user: Command, sql: Execute) -> None:
    user(ADA, entered="correct horse\n")
    [key] = sql("UPDATE users SET email = NULL RETURNING id")
    assert user(str(key), "--deactivate") == f"{key} is deactivated.\n"
    assert sql("SELECT is_active FROM users") == [False]


def test_export_is_json(user: Command) -> None:
    user(ADA, entered="correct horse\n")
    assert json.loads(user(ADA, "--export"))["account"]["email"] == ADA


def test_list_shows_every_user(user: Command) -> None:
    user(ADA, entered="correct horse\n")
    user("--admin", "root@example.com", entered="correct horse\n")
    user("--deactivate", ADA)
    lines = [line.split("\t")[1:] for line in user("--list").splitlines()]
    assert lines == [[ADA, "ada", "inactive", ""], ["root@example.com", "root", "admin", ""]]


@pytest.mark.parametrize(
    ("arguments", "entered", "message"),
    [
        (["invalid"], "correct horse\n", "The e-mail address is invalid: "),
        ([ADA], "short\n", "The password is invalid: "),
        ([ADA], "password\n", "The password is invalid: is one of the most common passwords."),
        ([ADA], "", "The password is invalid: "),
        ([], "", "Name a user by e-mail address, or use --list."),
        ([ADA, "--list"], "", "--list takes no user."),
        ([ADA, "--deactivate"], "", f"There is no user {ADA}."),
        ([ADA, "--password"], "correct horse\n", f"There is no user {ADA}."),
        ([ADA, "--remove-role", "x"], "correct horse\n", f"There is no user {ADA}."),
        (["99999999999999999999", "--export"], "", "There is no user 99999999999999999999."),
        ([ADA, "--role", "x"], "correct horse\n", "Unknown role x: the slices declare "),
        ([ADA, "--erase", "--export"], "", "These options cannot be combined: --erase, --export."),
        ([ADA, "--password", "--admin"], "", "These options cannot be combined: --password, --admin."),
    ],
)
def test_error_message_is_one_sentence(user: Command, arguments: list[str], entered: str, message: str) -> None:
    assert user.fails(*arguments, entered=entered).startswith(message)
