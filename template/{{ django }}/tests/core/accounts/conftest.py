"""Listeners of the tests. Pytest may import this file before Django is set up: no models here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection

from app.core.accounts.events import registered


@pytest.fixture
def announced() -> Iterator[list[str]]:
    """The e-mail addresses of users for whom `registered` was sent."""
    found: list[str] = []

    def listen(user: Any, **_: Any) -> None:
        assert connection.in_atomic_block
        assert user.pk
        found.append(user.email)

    registered.connect(listen)
    yield found
    registered.disconnect(listen)


@pytest.fixture
def fail_registrations() -> Iterator[Callable[[bool], None]]:
    """Make a listener of `registered` fail: `fail_registrations(True)`."""
    failing = False

    def listen(user: Any, **_: Any) -> None:
        if failing:
            raise RuntimeError("after the user was stored")

    def fail(fails: bool) -> None:
        nonlocal failing
        failing = fails

    registered.connect(listen)
    yield fail
    registered.disconnect(listen)


@pytest.fixture
def listener_example() -> str:
    """Lines of a `listeners.py` that a failure message proposes."""
    return """from typing import Any

from django.dispatch import receiver

from app.core import User, exporting


@receiver(exporting)
def export(user: User, **_: Any) -> Any:
    return ...  # the rows of the user, as JSON can hold them
"""
