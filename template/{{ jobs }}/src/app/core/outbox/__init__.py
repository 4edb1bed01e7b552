"""The outbox: messages in the database that workers send. `app.core.mail.send` stores them."""
