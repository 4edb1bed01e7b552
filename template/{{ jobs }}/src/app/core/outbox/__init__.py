"""Messages that wait in the database for a worker to send them; `app.core.mail.send` puts them there."""
