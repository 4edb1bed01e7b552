"""API keys in the database."""

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from app.core.accounts.auth.models import ApiKey
from app.core.accounts.keys.schemas import USE_INTERVAL, ApiKeyQuery
from app.core.database.repository import BaseRepository


class ApiKeyRepository(BaseRepository[ApiKey]):
    model = ApiKey

    def of_user(self, user_id: int) -> QuerySet[ApiKey]:
        """Return all keys of a user."""
        return self.rows.filter(user_id=user_id).order_by("id")

    def find(self, user_id: int, query: ApiKeyQuery) -> tuple[list[ApiKey], int]:
        """Return one page of the keys of a user, and their number."""
        return self.page(query, self.of_user(user_id))

    def find_valid(self, digest: str) -> ApiKey | None:
        """Return a key that has not expired, with its owner. None for an inactive owner."""
        valid = self.rows.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), digest=digest, user__is_active=True)
        return valid.select_related("user").first()

    def note_use(self, key_id: int) -> None:
        """Set the time of the last use, unless another request has just set it."""
        is_old = Q(last_used_at=None) | Q(last_used_at__lt=Now() - USE_INTERVAL)
        self.rows.filter(is_old, id=key_id).update(last_used_at=Now())

    def delete_expired(self, user_id: int) -> None:
        """Delete the expired keys of a user."""
        self.of_user(user_id).filter(expires_at__lte=Now()).delete()

    def delete_own(self, user_id: int, key_id: int) -> bool:
        """Delete a key of a user. Return whether it existed."""
        return self.of_user(user_id).filter(id=key_id).delete()[0] > 0
