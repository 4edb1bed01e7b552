"""Background jobs: a queue in the service's PostgreSQL, and workers (`poe worker`) that run the jobs.

A slice defines its tasks in `jobs.py`, and enqueues jobs in the transaction of the request:

    enqueue(count_stock, product_id=product.id)

Jobs run at least once, and again after the death of a worker: tasks must be idempotent. Arguments are stored and
logged: pass ids, not personal data.
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
