"""E-mail: `send`, in the transaction that makes the message necessary."""

from typing import TYPE_CHECKING

from app.core.lazy import lazily

if TYPE_CHECKING:
    from app.core.mail.sending import send
else:
    __getattr__ = lazily(__name__, {"sending": ["send"]})

__all__ = ["send"]
