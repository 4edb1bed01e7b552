"""Users: who they are and how they register.

What other slices and the command line may use is named here; nothing else of the slice is theirs to import.
"""

from app.users.identity import CurrentUserId, require_local_accounts
from app.users.models import User
from app.users.service import Account, UserService, authenticate, make_user

__all__ = ["Account", "CurrentUserId", "User", "UserService", "authenticate", "make_user", "require_local_accounts"]
