import pytest

from app.core.testing import UserFactory


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"name": "x" * 201}, "ck_users_name_length"),
        ({"email": "invalid"}, "ck_users_email_form"),
        ({"issuer": "https://id.example"}, "ck_users_issuer_and_subject"),
        ({"subject": "ada"}, "ck_users_issuer_and_subject"),
    ],
)
async def test_constraint_refuses_invalid_user(
    user_factory: UserFactory, fields: dict[str, str | None], constraint: str
) -> None:
    with pytest.raises(Exception, match=constraint):
        await user_factory(**fields)


async def test_subject_is_unique_per_issuer(user_factory: UserFactory) -> None:
    await user_factory(issuer="https://id.example", subject="ada")
    await user_factory(issuer="https://other.example", subject="ada")
    with pytest.raises(Exception, match="uq_users_issuer_subject"):
        await user_factory(issuer="https://id.example", subject="ada")
