"""Users: who they are and how they register.

What other slices and the command line may use is named here; nothing else of the slice is theirs to import.
"""

from typing import TYPE_CHECKING

from app.lazy import lazily

if TYPE_CHECKING:
    from app.users.identity import identified, require_local_accounts
    from app.users.models import User
    from app.users.service import Account, UserService, authenticate, make_user
else:
    __getattr__ = lazily(__name__, "identity", "models", "service")

__all__ = ["Account", "User", "UserService", "authenticate", "identified", "make_user", "require_local_accounts"]
