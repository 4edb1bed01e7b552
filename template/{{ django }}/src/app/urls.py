"""The URLs of the service: those of core (the API, the admin, the error pages), then your own.

For example: `urlpatterns += [path("pages/", include("app.pages.urls"))]`. Pages have sessions, CSRF protection,
`request.user` and messages. `404.html`, `403.html`, `403_csrf.html`, `400.html` and `500.html` in the `templates` of a
slice replace the problem documents of pages.
"""

from app.core.urls import *
