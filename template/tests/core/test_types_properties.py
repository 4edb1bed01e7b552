"""Text of any keyboard: what is stored is stable, and contains nothing hidden."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core.security.passwords import prepare
from app.core.types import HIDDEN, ShortText

ODD = (
    "aA1\u00e9\u0301\u0344\u0928\u06cc\u8fbb\u2764\U0001f469\U0001f3f4"
    "\u00a0\u00ad\u200b\u200c\u200d\ufe0f\U000e0041\U000e0100"
)
TEXTS = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=40)

short_text = TypeAdapter[str](ShortText)


@given(TEXTS)
def test_stored_text_is_stable(typed: str) -> None:
    try:
        stored = short_text.validate_python(typed)
    except ValidationError:
        return
    assert short_text.validate_python(stored) == stored
    assert not any(hidden.search(stored) for hidden in HIDDEN)


@given(TEXTS)
def test_keyboards_type_the_same_text_and_password(typed: str) -> None:
    assert prepare(unicodedata.normalize("NFD", typed)) == prepare(typed)
    try:
        stored = short_text.validate_python(typed)
    except ValidationError:
        return
    assert short_text.validate_python(unicodedata.normalize("NFD", typed)) == stored
