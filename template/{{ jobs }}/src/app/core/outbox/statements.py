"""SQL for the outbox, for all drivers."""

DELETE_ABANDONED = """
    DELETE FROM outgoing_messages WHERE NOT EXISTS (
        SELECT FROM procrastinate_jobs WHERE task_name = 'outbox.send' AND status IN ('todo', 'doing')
        AND (args ->> 'message_id')::bigint = outgoing_messages.id
    )
"""
"""Deletes messages with a job that was cancelled, or failed because its workers died."""
