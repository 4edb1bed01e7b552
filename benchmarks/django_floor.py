"""The baseline of a Django service: the minimum that Django needs for the same responses.

No middleware, token or log; a persistent connection for each server thread, and the same table. Runs with the service's
own Python, on the compared WSGI server.
"""

import os
from typing import ClassVar

import argon2
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
    email = models.TextField(null=True)  # noqa: DJ001 -- as in the service
    password = models.TextField()
    last_login = models.DateTimeField(null=True)
    issuer = models.TextField(null=True)  # noqa: DJ001
    subject = models.TextField(null=True)  # noqa: DJ001
    is_active = models.BooleanField()
    is_staff = models.BooleanField()
    is_admin = models.BooleanField(db_column="is_superuser")
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


def log_in(request: HttpRequest) -> JsonResponse:
    user = get_object_or_404(User, email=request.POST["username"])
    argon2.PasswordHasher().verify(user.password.removeprefix("argon2"), request.POST["password"])
    return JsonResponse({"access_token": "none"})


urlpatterns = [
    path("health/live", live),
    path("api/v1/users/<int:user_id>", get_user),
    path("api/v1/auth/token", log_in),
]
application = get_wsgi_application()
