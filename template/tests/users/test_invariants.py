"""What the database refuses of a user, from the inside."""

import pytest

from support import UserFactory


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"name": ""}, "ck_users_name_length"),
        ({"email": "nobody"}, "ck_users_email_form"),
        ({"password_hash": None}, "ck_users_can_log_in"),
    ],
)
async def test_the_database_holds_what_the_types_hold(
    user_factory: UserFactory, fields: dict[str, str | None], constraint: str
) -> None:
    with pytest.raises(Exception, match=constraint):
        await user_factory(**fields)
