"""Orders: their users, lines and payment.

Other slices may import only the names of this module.
"""

from typing import TYPE_CHECKING

from app.core import lazily

if TYPE_CHECKING:
    from app.orders.repository import OrderRepository
else:
    __getattr__ = lazily(__name__, {"repository": ["OrderRepository"]})

__all__ = ["OrderRepository"]
