"""Passwords: rules, hashing, verification."""

import asyncio
import os
import secrets
import sys
import threading
import unicodedata
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import Annotated, Any

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pydantic import AfterValidator, Secret, StringConstraints, WithJsonSchema

from app.core.config import Settings
from app.core.problems import Unavailable
from app.core.types import MAX_MARKS, SPACES, has_few_marks

MAX_CONCURRENT_HASHES = max(1, min(4, (os.process_cpu_count() or 1) // 2))
"""Maximum concurrent Argon2 hashes; each needs 64 MiB and four threads. Further log-ins wait."""

MAX_WAITING_HASHES = 16
"""Maximum log-ins that wait for a hash. Further ones are 503: they would wait for seconds, and fill the threads."""

MAX_LENGTH = 128
"""Maximum characters of a password, after `prepare`."""

MAX_TYPED_LENGTH = 4 * MAX_LENGTH
"""Maximum characters before `prepare`: a keyboard may send up to four for one character."""

NICENESS = 10
"""Priority of hashing threads: others get ten times the processor time."""

POLL_SECONDS = 0.5
"""Time after which a waiting thread looks whether its client is still there."""

has_client: ContextVar[Callable[[], bool] | None] = ContextVar("has_client", default=None)
"""Answers in a thread whether the client of the request still waits."""

disconnected: ContextVar[Callable[[], Awaitable[Any]] | None] = ContextVar("disconnected", default=None)
"""In an event loop: returns when the client of the request has closed the connection."""


class Busy(Unavailable):
    detail = "Too many log-ins at the moment; try again."


class Turns:
    """Limits concurrent hashes, and those that wait for a turn. Raises Busy above both limits."""

    def __init__(self, running: int, waiting: int) -> None:
        self._running = BoundedSemaphore(running)
        self._places = BoundedSemaphore(running + waiting)

    def __enter__(self) -> None:
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            self._wait()
        except BaseException:
            self._places.release()
            raise

    def _wait(self) -> None:
        is_there = has_client.get()
        while not self._running.acquire(timeout=POLL_SECONDS if is_there else None):
            if is_there and not is_there():
                raise Busy

    def __exit__(self, *_: object) -> None:
        self._running.release()
        self._places.release()


_hashing = Turns(MAX_CONCURRENT_HASHES, MAX_WAITING_HASHES)


def _yield_processor() -> None:
    """Lower the priority of this thread and of the threads that Argon2 starts, so that other requests go on (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_workers = ThreadPoolExecutor(MAX_CONCURRENT_HASHES, "argon2", initializer=_yield_processor)


class HashThreads:
    """Threads for the hashes of an event loop. In the loop's own threads, waiting hashes would block other work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(MAX_CONCURRENT_HASHES, "hash")
        self._pending = 0

    async def run[**P, R](self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in a thread, in turn. Raise Busy if too many wait, or if the client leaves before."""
        if self._pending >= MAX_CONCURRENT_HASHES + MAX_WAITING_HASHES:
            raise Busy
        self._pending += 1
        waiting = self._threads.submit(function, *args, **kwargs)
        result = asyncio.wrap_future(waiting)
        left = disconnected.get()
        watched = [asyncio.ensure_future(left())] if left else []
        try:
            await asyncio.wait([result, *watched], return_when=asyncio.FIRST_COMPLETED)
            if not result.done() and waiting.cancel():
                raise Busy
            return await result
        finally:
            self._pending -= 1
            waiting.cancel()
            for task in watched:
                task.cancel()


_threads = HashThreads()


async def in_turn[**P, R](function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call `hash_password` or `verify_password` from an event loop. Busy (503) if too many log-ins wait."""
    return await _threads.run(function, *args, **kwargs)


@cache
def _common_passwords() -> frozenset[str]:
    # The 3000 most common passwords of at least 8 characters, from the list of Django and SecLists (MIT).
    return frozenset((Path(__file__).parent / "common_passwords.txt").read_text("utf-8").split())


def prepare(password: str) -> str:
    """Return the password as it is hashed: other spaces are blanks, then NFC (RFC 8265, section 4.2.2).

    Keyboards send different characters for the same sign. Never change these rules: stored hashes would not match.
    Stacked marks are kept, because normalizing them is slow; a new password cannot have them.
    """
    if len(password) > MAX_TYPED_LENGTH or not has_few_marks(password):
        return password
    return unicodedata.normalize("NFC", SPACES.sub(" ", password))


def validate_length(password: str) -> str:
    """Return `password`. Raise ValueError unless it has 1 to MAX_LENGTH characters."""
    if not 1 <= len(prepare(password)) <= MAX_LENGTH:
        raise ValueError(f"must have 1 to {MAX_LENGTH} characters")
    return password


def validate_policy(typed: str) -> str:
    """Return the password. Raise ValueError unless it fits the settings (OWASP ASVS 5.0, 6.2.1, 6.2.4, 6.2.11)."""
    settings = Settings.current()
    password = prepare(typed)
    # A later Unicode may normalize new characters in another way (RFC 8265: FreeformClass).
    if any(unicodedata.category(character) in {"Cc", "Cn"} for character in password):
        raise ValueError("must not contain control characters or unassigned characters")
    if not has_few_marks(password):
        raise ValueError(f"must not have more than {MAX_MARKS} combining marks in a row")
    if len(password) < settings.password_min_length:
        raise ValueError(f"must have at least {settings.password_min_length} characters")
    if password.lower() in _common_passwords():
        raise ValueError("is one of the most common passwords")
    for word in settings.password_forbidden_words:
        if word.lower() in password.lower():
            raise ValueError(f"must not contain the word {word}")
    return typed


def _documented(shortest: int) -> dict[str, Any]:
    lengths = {"minLength": shortest, "maxLength": MAX_LENGTH}
    return {"type": "string", "format": "password", "writeOnly": True} | lengths


class _Documented:
    """Describes a new password in the OpenAPI document, with the length of the settings."""

    def __get_pydantic_json_schema__(self, _schema: object, _handler: object) -> dict[str, Any]:
        return _documented(Settings.current().password_min_length)


_Typed = Annotated[
    str,
    StringConstraints(strip_whitespace=False, max_length=MAX_TYPED_LENGTH),
    AfterValidator(validate_length),
]

Password = Annotated[Secret[_Typed], WithJsonSchema(_documented(1))]
"""A password. Leading and trailing blanks are kept. `repr` hides the value, so that passwords are not logged."""

NewPassword = Annotated[Secret[Annotated[_Typed, AfterValidator(validate_policy)]], _Documented()]
"""A new password: PASSWORD_MIN_LENGTH to 128 characters of any script, and not one of the most common passwords."""


@cache
def _passwords() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _dummy_hash() -> str:
    return hash_password(secrets.token_urlsafe())


def hash_password(password: str) -> str:
    """Return the Argon2id hash of `password`. Takes tens of milliseconds of CPU time: call it in a thread."""
    with _hashing:
        return _workers.submit(_passwords().hash, prepare(password)).result()


def verify_password(password: str, hashed: str | None) -> bool:
    """Return whether `password` matches the hash. Without a hash, False after the same time. Call it in a thread.

    The constant time prevents user enumeration: a log-in takes equally long for unknown accounts.
    """
    known = hashed or _dummy_hash()
    try:
        with _hashing:
            matches = _workers.submit(_passwords().verify, prepare(password), known).result()
    except UnknownHashError:
        return False
    return matches and hashed is not None
