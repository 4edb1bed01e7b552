"""The reverse migration of Procrastinate's tables, because Procrastinate's own migrations cannot be reverted."""

from django.db import migrations

DROP = """
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
    DELETE FROM django_migrations WHERE app = 'procrastinate';
"""


class Migration(migrations.Migration):
    initial = True
    dependencies = [("procrastinate", "0041_post_retry_failed_job")]
    operations = [migrations.RunSQL(migrations.RunSQL.noop, DROP)]
