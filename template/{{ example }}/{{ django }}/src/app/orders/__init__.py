"""Orders: who ordered what, and whether it is paid.

What other slices may use is named here; nothing else of the slice is theirs to import.
"""

from typing import TYPE_CHECKING

from app.lazy import lazily

if TYPE_CHECKING:
    from app.orders.service import OrderService
else:
    __getattr__ = lazily(__name__, "service")

__all__ = ["OrderService"]
