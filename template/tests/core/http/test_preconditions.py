"""ETag and If-Match (RFC 9110)."""

import re
from types import SimpleNamespace

import pytest

from app.core.http.headers import etag, require_match, tagged
from app.core.problems import PreconditionFailed
from app.core.schemas import BaseSchema


class Note(BaseSchema):
    text: str


NOTE = Note(text="Buy milk")
TAG = etag(NOTE)


class Lines(dict[str, str]):
    """Headers of a request with several lines of If-Match, as a framework may keep them."""

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        return [("If-Match", '"other"'), ("if-match", TAG)]


def test_tag_is_strong_and_follows_the_content() -> None:
    response = SimpleNamespace(headers={})
    assert tagged(response, NOTE) is NOTE
    assert response.headers["ETag"] == TAG == etag(Note(text="Buy milk"))
    assert etag(Note(text="Buy tea")) != TAG
    assert re.fullmatch('"[0-9a-f]{32}"', TAG)


@pytest.mark.parametrize("condition", [TAG, "*", f'"a,b", {TAG}', f'W/"x",{TAG}', f",{TAG} ,", " * "])
def test_current_tag_passes(condition: str) -> None:
    require_match(SimpleNamespace(headers={"If-Match": condition}), NOTE)


@pytest.mark.parametrize("condition", ['"other"', f"W/{TAG}", "", TAG.strip('"'), f'"{TAG}', "W/*", '"*"'])
def test_other_tag_is_refused(condition: str) -> None:
    with pytest.raises(PreconditionFailed):
        require_match(SimpleNamespace(headers={"if-match": condition}), NOTE)


def test_request_without_condition_passes() -> None:
    require_match(SimpleNamespace(headers={"If-None-Match": "*"}), NOTE)
    require_match(SimpleNamespace(headers={}), None)


def test_every_line_of_the_header_counts() -> None:
    require_match(SimpleNamespace(headers=Lines()), NOTE)


@pytest.mark.parametrize("condition", ["*", TAG])
def test_missing_resource_has_no_tag(condition: str) -> None:
    with pytest.raises(PreconditionFailed):
        require_match(SimpleNamespace(headers={"If-Match": condition}), None)
