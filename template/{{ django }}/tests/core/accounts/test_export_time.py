import httpx2
import pytest

from app.core.accounts import routes
from app.core.http.limits import exports
from app.core.testing import SignIn, UserFactory


async def test_export_ends_after_its_time_limit(
    async_client: httpx2.AsyncClient, user_factory: UserFactory, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "EXPORT_SECONDS", -1)
    monkeypatch.setattr(routes, "CHUNK_BYTES", 0)
    headers = sign_in(await user_factory(is_superuser=True))
    with pytest.raises(exports.ExportTimeout):
        await async_client.get("/api/v1/users/export", headers=headers)
