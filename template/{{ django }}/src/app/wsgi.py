"""The WSGI application, where servers and Django's own commands look for it: `app.wsgi:application`."""

from app.core.http.application import create_application, start

application = create_application()
start()
