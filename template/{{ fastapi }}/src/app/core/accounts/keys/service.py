"""The service of API keys: creation and verification."""

from structlog.contextvars import bind_contextvars

from app.core.accounts.auth.models import ApiKey
from app.core.accounts.keys.repository import ApiKeyRepository
from app.core.accounts.keys.schemas import MAX_KEYS, ApiKeyCreate, TooManyKeys, effective_scopes, needs_note
from app.core.accounts.keys.texts import is_intact, new_key
from app.core.accounts.repository import UserRepository
from app.core.accounts.service import logged_in
from app.core.database.engine import Database
from app.core.database.sessions import WriteSession
from app.core.problems import Unauthorized
from app.core.security.bearer import AccessToken
from app.core.security.tokens import digest


async def create_key(session: WriteSession, user_id: int, data: ApiKeyCreate) -> tuple[ApiKey, str]:
    """Store a key, and return it with its text. Raise Forbidden for a scope that the user lacks, and above MAX_KEYS."""
    # The lock counts the keys of concurrent requests one after the other.
    user = await UserRepository(session).lock(user_id)
    if user is None or not user.is_active:
        raise Unauthorized
    data.require_held(logged_in(user).scopes)
    keys = ApiKeyRepository(session)
    await keys.delete_expired(user_id)
    if await keys.count(user_id) >= MAX_KEYS:
        raise TooManyKeys
    text = new_key()
    return await keys.create({**data.model_dump(), "user_id": user_id, "digest": digest(text)}), text


async def verify_key(database: Database, text: str) -> AccessToken:
    """Return the token of a key, with those of its scopes that the owner holds now.

    Raise Unauthorized for an unknown or expired key, and for an inactive owner.
    """
    if not is_intact(text):
        raise Unauthorized
    async with database.read_sessions() as session:
        found = await ApiKeyRepository(session).find_valid(digest(text))
    if found is None:
        raise Unauthorized
    key, user = found
    bind_contextvars(user=user.subject or str(user.id), key_id=key.id)
    if needs_note(key.last_used_at):
        # In a separate transaction, so that the use stays noted if the request fails.
        async with database.sessions.begin() as session:
            await ApiKeyRepository(session).note_use(key.id)
    scopes = effective_scopes(key.scopes, logged_in(user).scopes)
    return AccessToken(str(user.id), scopes, {}, user.id, key.id)
