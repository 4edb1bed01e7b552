"""Jobs: work that outlives a request, in a queue in the service's own PostgreSQL, done by workers (`poe worker`).

A slice puts its tasks into a `jobs.py`, where they are found, and enqueues them in the transaction of the request:

    await enqueue(session, welcome, user_id=user.id)

A job is done at least once, and again after a worker that died in the middle of it: write tasks so that the second time
does no harm. Arguments are stored and logged: pass keys, not personal data.
"""

from app.jobs.backend import database, enqueue, enqueue_within, queue
from app.jobs.deferring import BACKOFF, PermanentError

__all__ = ["BACKOFF", "PermanentError", "database", "enqueue", "enqueue_within", "queue"]
