"""Revocations of access tokens: order and age of the reads, and rights that are read during a revocation."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.core.config import Settings
from app.core.problems import Unauthorized
from app.core.security.bearer import AccessToken
from app.core.security.tokens import LocalTokens, Reading, Revocations, later_than, revision_of

TOKENS = LocalTokens(Settings(environment="test"))
SOON = datetime.now(UTC) + timedelta(hours=1)


def token(session: int | None = None, revision: float | None = None) -> AccessToken:
    return TOKENS.verify(TOKENS.issue("7", (), session, revision=revision))


def own_read(revocations: Revocations) -> Reading:
    begun = revocations.begin()
    assert begun
    assert begun[1]
    return begun[0]


def refuses(revocations: Revocations, found: AccessToken) -> bool:
    try:
        revocations.check(found)
    except Unauthorized:
        return True
    return False


@pytest.fixture
def revocations() -> Revocations:
    return Revocations()


class TestOrder:
    def test_slow_read_does_not_replace_a_later_one(self, revocations: Revocations) -> None:
        slow = own_read(revocations)
        revocations.expire()
        revocations.update(own_read(revocations), [(7, SOON)], [1])
        revocations.update(slow, [])
        assert refuses(revocations, token())
        assert refuses(revocations, token(1, revision_of(SOON)))

    def test_read_before_a_revocation_is_not_fresh(self, revocations: Revocations) -> None:
        before = own_read(revocations)
        revocations.expire()
        revocations.update(before, [])
        assert own_read(revocations) is not before

    def test_finished_read_is_fresh(self, revocations: Revocations) -> None:
        revocations.update(own_read(revocations), [])
        assert revocations.begin() is None

    def test_age_counts_from_the_begin_of_the_read(
        self, revocations: Revocations, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [100.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        slow = own_read(revocations)
        now[0] += Revocations.SECONDS / 2
        assert revocations.begin() == (slow, False)
        now[0] += Revocations.SECONDS / 2
        later = own_read(revocations)
        revocations.update(slow, [])
        assert revocations.begin() == (later, False)


class TestWaiting:
    def test_error_reaches_all_and_the_next_request_reads(self, revocations: Revocations) -> None:
        reading = own_read(revocations)
        assert revocations.begin() == (reading, False)
        reading.fail(ConnectionError("down"))
        with pytest.raises(ConnectionError):
            reading.result()
        assert own_read(revocations) is not reading

    async def test_end_of_a_request_does_not_end_the_read(self, revocations: Revocations) -> None:
        reading = own_read(revocations)
        waiting = asyncio.ensure_future(asyncio.wrap_future(reading))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        revocations.update(reading, [])
        assert reading.result()

    def test_cancelled_read_is_replaced(self, revocations: Revocations) -> None:
        reading = own_read(revocations)
        reading.fail(asyncio.CancelledError())
        assert reading.result() is False
        assert own_read(revocations) is not reading


class TestRevision:
    def test_rights_read_before_a_revocation_are_refused(self, revocations: Revocations) -> None:
        """The token is issued after the time of the revocation, but before its commit."""
        revoked_at = datetime.now(UTC)
        revocations.update(own_read(revocations), [(7, revoked_at)])
        assert refuses(revocations, token(revision=revision_of(None)))
        assert not refuses(revocations, token(revision=revision_of(revoked_at)))
        assert not refuses(revocations, token())

    def test_revocation_is_later_than_the_last(self) -> None:
        assert later_than(SOON) > SOON
        assert later_than(None) <= datetime.now(UTC)
        assert revision_of(later_than(SOON)) > revision_of(SOON)
