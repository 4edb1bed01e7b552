"""The floor that a Django service is measured against: the least that Django needs for the same answers.

No middleware, no token, no log; a persistent connection for each thread of the server, and the same table. Served by
the service's own Python, by whichever WSGI server is compared with.
"""

import os
from typing import ClassVar

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import models
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from psycopg.conninfo import conninfo_to_dict

url = conninfo_to_dict(os.environ["DATABASE_URL"])
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": url["dbname"],
            "USER": url["user"],
            "PASSWORD": url.get("password", ""),
            "HOST": url["host"],
            "PORT": url.get("port", ""),
            "CONN_MAX_AGE": None,
        }
    },
)
django.setup()


class User(models.Model):  # noqa: DJ008
    name = models.TextField()
    email = models.TextField()
    password_hash = models.TextField(null=True)  # noqa: DJ001 -- as the service has it
    subject = models.TextField(null=True)  # noqa: DJ001
    is_admin = models.BooleanField()
    created_at = models.DateTimeField()

    class Meta:
        app_label = "floor"
        db_table = "users"

    shown: ClassVar = ("id", "name", "email", "is_admin", "created_at")


def live(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def get_user(_request: HttpRequest, user_id: int) -> JsonResponse:
    user = get_object_or_404(User, pk=user_id)
    return JsonResponse({name: getattr(user, name) for name in User.shown})


urlpatterns = [path("health/live", live), path("users/<int:user_id>", get_user)]
application = get_wsgi_application()
