"""SQL of the messages that wait, the same over every driver."""

DELETE_ABANDONED = """
    DELETE FROM outgoing_messages WHERE NOT EXISTS (
        SELECT FROM procrastinate_jobs WHERE task_name = 'outbox.send' AND status IN ('todo', 'doing')
        AND (args ->> 'message_id')::bigint = outgoing_messages.id
    )
"""
"""Deletes the messages whose job has ended: cancelled, or failed since its workers died."""
