"""The tables, types and functions of the queue, from Procrastinate's SQL files.

Revision ID: core_jobs_0001_initial
Revises:
"""

from importlib import resources
from typing import Any

from alembic import op

revision = "core_jobs_0001_initial"
down_revision = None
branch_labels = ("core_jobs",)
depends_on = None

SINCE = "03.04.00_50_post_add_retry_failed_job_procedure.sql"
"""The last of Procrastinate's migrations that this revision applies. Later ones need a new revision."""


def upgrade() -> None:
    folder = resources.files("procrastinate.sql.migrations")
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".sql") and file.name <= SINCE:
            run(file.read_text("utf-8"))


def downgrade() -> None:
    run("""
        DROP TABLE procrastinate_events, procrastinate_periodic_defers, procrastinate_jobs, procrastinate_workers
        CASCADE;
        DO $$
        DECLARE
            dropped text;
        BEGIN
            FOR dropped IN
                SELECT format('DROP FUNCTION %s CASCADE', oid::regprocedure) FROM pg_proc
                WHERE proname LIKE 'procrastinate\\_%' AND pronamespace = current_schema()::regnamespace
                UNION ALL
                SELECT format('DROP TYPE %s CASCADE', oid::regtype) FROM pg_type
                WHERE typname LIKE 'procrastinate\\_%' AND typtype IN ('e', 'c')
                AND typnamespace = current_schema()::regnamespace
            LOOP
                EXECUTE dropped;
            END LOOP;
        END
        $$;
    """)


def run(script: str) -> None:
    """Run several statements with the driver's own `execute`: a prepared statement can hold only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(script))
