"""E-mail: `send` adds a message to the current transaction."""

from typing import TYPE_CHECKING

from app.core.lazy import lazily

if TYPE_CHECKING:
    from app.core.mail.sending import send
else:
    __getattr__ = lazily(__name__, {"sending": ["send"]})

__all__ = ["send"]
