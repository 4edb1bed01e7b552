"""Jobs: work that outlives a request, in a queue in the service's own PostgreSQL, done by workers (`poe worker`).

A slice puts its tasks into a `jobs.py`, where they are found, and enqueues them in the transaction of the request:

    enqueue(count_stock, product_id=product.id)

A job is done at least once, and again after a worker that died in the middle of it: write tasks so that the second time
does no harm. Arguments are stored and logged: pass keys, not personal data.
"""

from typing import TYPE_CHECKING

from app.core.lazy import lazily

if TYPE_CHECKING:
    from app.core.jobs.backend import enqueue, queue
    from app.core.jobs.deferring import BACKOFF
    from app.core.retries import PermanentError
else:
    __getattr__ = lazily(__name__, {"backend": ["enqueue", "queue"], "deferring": ["BACKOFF", "PermanentError"]})

__all__ = ["BACKOFF", "PermanentError", "enqueue", "queue"]
