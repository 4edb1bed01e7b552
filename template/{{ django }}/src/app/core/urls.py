"""The URLs of core. The service's own `urls.py` takes all of them, and adds to them."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.static import serve

from app.core.config import ABOUT
from app.core.http import errors
from app.core.http.api import api

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

# What is included, Django matches level by level, and that takes a tenth of a small request. So the API's routes stand
# here as well, before the namespace that gives them their names.
found, app_name, namespace = api.urls
routes = [route for route in found if getattr(route, "name", "") != "api-root"]  # is in the way of a page at `/`
urlpatterns = [*routes, path("", (routes, app_name, namespace)), path("admin/", admin.site.urls)]
if not settings.CORE_SETTINGS.production and settings.MEDIA_URL.startswith("/"):
    # As `django.conf.urls.static.static` would, which needs DEBUG.
    urlpatterns += [path(f"{settings.MEDIA_URL[1:]}<path:path>", serve, {"document_root": settings.MEDIA_ROOT})]

admin.site.site_header = admin.site.site_title = ABOUT.title

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error
