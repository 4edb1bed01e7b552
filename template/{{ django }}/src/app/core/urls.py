"""The URLs of core. `urls.py` of the project imports and extends them."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.static import serve

from app.core.config import ABOUT
from app.core.http import errors
from app.core.http.api import api

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

# Django matches included URLs level by level, which takes 10 % of the time of a small request. So the API's routes are
# also listed here, before the namespace, which `reverse` needs.
found, app_name, namespace = api.urls
routes = [route for route in found if getattr(route, "name", "") != "api-root"]  # would hide a page at `/`
urlpatterns = [*routes, path("", (routes, app_name, namespace)), path("admin/", admin.site.urls)]
if not settings.CORE_SETTINGS.production and settings.MEDIA_URL.startswith("/"):
    # Like `django.conf.urls.static.static`, which works only with DEBUG.
    media = settings.MEDIA_URL.removeprefix(settings.CORE_SETTINGS.root_path)[1:]
    urlpatterns += [path(f"{media}<path:path>", serve, {"document_root": settings.MEDIA_ROOT})]

admin.site.site_header = admin.site.site_title = ABOUT.title

handler400 = errors.bad_request
handler403 = errors.permission_denied
handler404 = errors.page_not_found
handler500 = errors.server_error
