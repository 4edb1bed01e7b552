"""The service of API keys: creation and verification."""

from structlog.contextvars import bind_contextvars

from app.core.accounts.auth.models import ApiKey
from app.core.accounts.keys.repository import ApiKeyRepository
from app.core.accounts.keys.schemas import MAX_KEYS, ApiKeyCreate, TooManyKeys, effective_scopes, needs_note
from app.core.accounts.keys.texts import is_intact, new_key
from app.core.accounts.repository import UserRepository
from app.core.accounts.service import logged_in
from app.core.problems import Unauthorized
from app.core.security.bearer import AccessToken
from app.core.security.tokens import digest


def create_key(user_id: int, data: ApiKeyCreate) -> tuple[ApiKey, str]:
    """Store a key, and return it with its text. Raise Forbidden for a scope that the user lacks, and above MAX_KEYS."""
    # The lock counts the keys of concurrent requests one after the other.
    user = UserRepository().get_for_update(user_id)
    if user is None or not user.is_active:
        raise Unauthorized
    data.require_held(logged_in(user).scopes)
    keys = ApiKeyRepository()
    keys.delete_expired(user_id)
    if keys.of_user(user_id).count() >= MAX_KEYS:
        raise TooManyKeys
    text = new_key()
    return keys.create({**data.model_dump(), "user_id": user_id, "digest": digest(text)}), text


def verify_key(text: str) -> AccessToken:
    """Return the token of a key, with those of its scopes that the owner holds now.

    Raise Unauthorized for an unknown or expired key, and for an inactive owner.
    """
    if not is_intact(text):
        raise Unauthorized
    key = ApiKeyRepository().find_valid(digest(text))
    if key is None:
        raise Unauthorized
    user = key.user
    bind_contextvars(user=user.subject or str(user.id), key_id=key.pk)
    if needs_note(key.last_used_at):
        ApiKeyRepository().note_use(key.pk)
    scopes = effective_scopes(key.scopes, logged_in(user).scopes)
    return AccessToken(str(user.id), scopes, {}, user.id, key.pk)
