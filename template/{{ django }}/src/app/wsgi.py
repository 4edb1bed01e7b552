"""The WSGI application for servers and Django's commands: `app.wsgi:application`."""

from app.core.http.application import create_application, start

application = create_application()
start()
