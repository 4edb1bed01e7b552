"""Orders: who ordered what, and whether it is paid.

What other slices may use is named here; nothing else of the slice is theirs to import.
"""

from typing import TYPE_CHECKING

from app.core import lazily

if TYPE_CHECKING:
    from app.orders.repository import OrderRepository
else:
    __getattr__ = lazily(__name__, {"repository": ["OrderRepository"]})

__all__ = ["OrderRepository"]
