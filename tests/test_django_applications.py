"""Applications of others, which know nothing but Django's own user model, on the users of a rendered service."""

import base64
import hmac
import re
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from conftest import Project, clean_environment
from test_contract import PASSWORD, Live, serve, stop

ROOT = "root@example.com"
CREATE = ("uv", "run", "python", "manage.py", "createsuperuser", "--noinput", f"--email={ROOT}")

pytestmark = [pytest.mark.deep, pytest.mark.xdist_group("django-applications")]

SETTINGS = '''"""The settings of core, with the applications of others."""

from app.core.settings import *

DEBUG = CORE_SETTINGS.environment == "development"
INTERNAL_IPS = ["127.0.0.1"]
INSTALLED_APPS += [
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.dummy",
    "debug_toolbar",
    "django_extensions",
    "django_filters",
    "import_export",
    "rest_framework",
    "rest_framework.authtoken",
]
MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware", *MIDDLEWARE]
MIDDLEWARE += ["allauth.account.middleware.AccountMiddleware"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_TOLERANCE = 1
LOGIN_REDIRECT_URL = "/accounts/email/"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"]}
'''

URLS = '''"""The URLs of core, and the pages of others."""

from debug_toolbar.toolbar import debug_toolbar_urls
from django.urls import include, path
from django_filters.views import FilterView

from app.books.models import Book
from app.books.views import who
from app.core.urls import *

urlpatterns += [
    path("accounts/", include("allauth.urls")),
    path("books/", FilterView.as_view(model=Book, filterset_fields={"title": ["icontains"]})),
    path("who/", who),
    *debug_toolbar_urls(),
]
'''

APPLICATIONS = (
    "django-allauth[mfa,socialaccount]",
    "django-debug-toolbar",
    "django-extensions",
    "django-filter",
    "django-import-export",
    "djangorestframework",
)

# A slice as a developer of Django writes it, after `startapp`.
BOOKS = {
    "apps.py": '''"""The application."""

from django.apps import AppConfig


class BooksConfig(AppConfig):
    name = "app.books"

    def ready(self) -> None:
        from . import signals
''',
    "signals.py": '''"""Receivers."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from app.books.models import Book


@receiver(post_save, sender=Book)
def show(instance: Book, **_: Any) -> None:
    """Print the title."""
    print(f"saved: {instance.title}", flush=True)  # noqa: T201
''',
    "models.py": '''"""The tables of books."""

from django.db.models import CharField, FileField
from django.utils.translation import gettext_lazy as _
from django_extensions.db.models import TimeStampedModel


class Book(TimeStampedModel):
    title = CharField(_("title"), max_length=100)
    cover = FileField(upload_to="covers/", blank=True)

    def __str__(self) -> str:
        return self.title
''',
    "admin.py": '''"""Books in the admin."""

from django.contrib import admin
from import_export.admin import ImportExportModelAdmin

from app.books.models import Book


@admin.register(Book)
class BookAdmin(ImportExportModelAdmin):
    list_display = ["title", "created"]
''',
    "views.py": '''"""The pages of books."""

from django.http import HttpRequest
from rest_framework.decorators import api_view, permission_classes
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response


@api_view(["GET"])
@permission_classes([IsAuthenticated])
def who(request: HttpRequest) -> Response:
    return Response({"user": str(request.user)})
''',
    "templates/books/book_filter.html": (
        "<html><body>{{ filter.form }}{% for book in filter.qs %}<li>{{ book }}</li>{% endfor %}</body></html>"
    ),
}

LISTENERS = '''"""Prints each new user."""

from typing import Any

from django.dispatch import receiver

from app.core import User, registered


@receiver(registered)
def show(user: User, **_: Any) -> None:
    """Print the address."""
    print(f"registered: {user.email}", flush=True)  # noqa: T201
'''


@pytest.fixture(scope="module")
def service(installed: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with these applications, a slice that listens, and a slice with pages."""
    plain = installed(framework="django", features="[]")
    path = tmp_path_factory.mktemp("applications") / "service"
    shutil.copytree(plain.path, path, ignore=shutil.ignore_patterns(".venv", ".git"))
    service = Project(path, clean_environment())
    app = path / "src/app"
    service.run("uv", "add", "--quiet", *APPLICATIONS)
    (app / "greeter").mkdir()
    (app / "greeter/__init__.py").touch()
    (app / "greeter/listeners.py").write_text(LISTENERS)
    assert "Made the slice" in service.run_inside("python", "manage.py", "startapp", "books")
    for name, text in BOOKS.items():
        (app / "books" / name).parent.mkdir(parents=True, exist_ok=True)
        (app / "books" / name).write_text(text)
    (app / "settings.py").write_text(SETTINGS)
    (app / "urls.py").write_text(URLS)
    service.run_inside("poe", "revision", "books")
    yield service
    shutil.rmtree(path)


@pytest.fixture
def live(service: Project) -> Iterator[Live]:
    live = serve(service, "dev")
    yield live
    if live.process.poll() is None:
        stop(live)


def submit(
    client: httpx2.Client, path: str, files: dict[str, Any] | None = None, /, **fields: str | Callable[[str], str]
) -> httpx2.Response:
    """Send the form of a page. The value of a field may depend on the page."""
    page = client.get(path)
    assert page.status_code == 200, page.text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    data = {name: value(page.text) if callable(value) else value for name, value in fields.items()}
    data = {"csrfmiddlewaretoken": token[1]} | data
    return client.post(path, data=data, files=files, headers={"Referer": str(page.url)})


def fresh(live: Live) -> httpx2.Client:
    return httpx2.Client(base_url=live.client.base_url, timeout=30)


def authenticator(page: str) -> str:
    """Return the code that an authenticator app shows now (RFC 6238) for the secret of a page."""
    secret = re.search(r'id="authenticator_secret"[^>]* value="(\w+)"', page)
    assert secret, page
    digest = hmac.digest(base64.b32decode(secret[1]), struct.pack(">Q", int(time.time()) // 30), "sha1")
    [number] = struct.unpack_from(">I", digest, digest[-1] & 0xF)
    return f"{(number & 0x7FFFFFFF) % 10**6:06}"


def test_pages_of_allauth_are_served(live: Live) -> None:
    with fresh(live) as ada, fresh(live) as grace:
        signed_up = submit(ada, "/accounts/signup/", email="ada@example.com", password1=PASSWORD, password2=PASSWORD)
        assert signed_up.headers["location"] == "/accounts/email/", signed_up.text
        for page in ("/accounts/email/", "/accounts/password/change/", "/accounts/2fa/", "/accounts/3rdparty/"):
            assert ada.get(page, follow_redirects=True).status_code == 200
        weak = submit(
            grace, "/accounts/signup/", email="x@example.com", **dict.fromkeys(("password1", "password2"), "password")
        )
        assert "most common" in weak.text

        submit(ada, "/accounts/logout/")
        assert ada.get("/accounts/email/").status_code == 302
        assert "errorlist" in submit(ada, "/accounts/login/", login="ada@example.com", password="wrong password").text  # noqa: S106 -- of a user of the test
        entered = submit(ada, "/accounts/login/", login="ADA@example.com", password=PASSWORD)
        assert entered.headers["location"] == "/accounts/email/", entered.text
        assert live.log_in("ada")["access_token"], "the same password opens the API"

        changed = {"oldpassword": PASSWORD, "password1": "engine no. 1", "password2": "engine no. 1"}
        session = live.log_in("ada")["refresh_token"]
        assert submit(ada, "/accounts/password/change/", **changed).status_code == 302
        form = {"grant_type": "refresh_token", "refresh_token": session}
        assert live.client.post("/api/v1/auth/token", data=form).status_code == 400

        submit(ada, "/accounts/reauthenticate/", password="engine no. 1")  # noqa: S106 -- of a user of the test
        activated = submit(ada, "/accounts/2fa/totp/activate/", code=authenticator)
        assert activated.headers["location"] == "/accounts/2fa/recovery-codes/", activated.text
        recovery = ada.get("/accounts/2fa/recovery-codes/").text
        submit(ada, "/accounts/logout/")
        entered = submit(ada, "/accounts/login/", login="ada@example.com", password="engine no. 1")  # noqa: S106 -- of a user of the test
        assert entered.headers["location"] == "/accounts/2fa/authenticate/", entered.text
        assert ada.get("/accounts/email/").status_code == 302, "not logged in without the second factor"
        assert "errorlist" in submit(ada, "/accounts/2fa/authenticate/", code="000000").text
        [spare, *_] = re.findall(r"\b[0-9a-f]{8}\b", recovery)
        assert submit(ada, "/accounts/2fa/authenticate/", code=spare).headers["location"] == "/accounts/email/"

        authenticate = submit(grace, "/accounts/dummy/login/").headers["location"]
        answered = submit(grace, authenticate, id="7", email="grace@example.com", email_verified="on")
        assert answered.headers["location"] == "/accounts/email/", answered.text
        assert grace.get("/accounts/2fa/", follow_redirects=True).status_code == 200
        form = {"grant_type": "password", "username": "grace@example.com", "password": PASSWORD}
        refused = live.client.post("/api/v1/auth/token", data=form)
        assert refused.status_code == 400, "an account without a password"

    printed = stop(live)
    found = re.findall(r"^registered: (.*)$", printed, re.MULTILINE)
    assert found == ["ada@example.com", "grace@example.com"]


def test_application_of_others_works_with_user_model(service: Project, live: Live) -> None:
    live.register("eve")
    assert live.client.get("/who/").status_code == 401
    assert live.client.get("/who/", auth=("eve@example.com", PASSWORD)).json() == {"user": "eve"}
    assert live.client.get("/who/", auth=("eve@example.com", "wrong password")).status_code == 401
    stop(live)
    printed = service.run_inside("python", "manage.py", "drf_create_token", "EVE@example.com")
    assert re.search(r"Generated token \w+ for user EVE@example.com", printed), printed


def test_pages_of_slice_and_admin_are_served(service: Project, live: Live) -> None:
    service.run("env", f"DJANGO_SUPERUSER_PASSWORD={PASSWORD}", *CREATE)
    with fresh(live) as root:
        assert submit(root, "/admin/login/", username=ROOT, password=PASSWORD, next="/admin/").status_code == 302
        new = {"title": "Emma", "created": "", "modified": ""}
        cover = {"cover": ("emma.txt", b"A cover", "text/plain")}
        assert submit(root, "/admin/books/book/add/", cover, **new).headers["location"] == "/admin/books/book/"
        assert root.get("/media/covers/emma.txt").text == "A cover"

        sheet = {"import_file": ("books.csv", b"id,title,cover\n,Dune,\n", "text/csv")}
        shown = submit(root, "/admin/books/book/import/", sheet, format="0", resource="").text
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', shown))
        done = root.post(
            "/admin/books/book/process_import/", data=fields, headers={"Referer": f"{live.client.base_url}/admin/"}
        )
        assert done.headers["location"] == "/admin/books/book/", done.text

        found = root.get("/books/", params={"title__icontains": "dun"}).text
        assert re.findall("<li>(.*?)</li>", found) == ["Dune"]
        panel = re.search(r'data-request-id="(\w+)"', found)
        assert panel, "the debug toolbar"
        queries = root.get("/__debug__/render_panel/", params={"request_id": panel[1], "panel_id": "SQLPanel"})
        assert "books_book" in queries.json()["content"]
    assert "saved: Emma" in stop(live)
    urls = service.run_inside("python", "manage.py", "show_urls")
    assert re.search(r"^/books/\t", urls, re.MULTILINE), "django-extensions"


def test_project_passes_its_own_checks(service: Project) -> None:
    service.run_inside("poe", "fmt")
    service.run_inside("ruff", "check")
    service.run_inside("mypy")
    service.run_inside("lint-imports")
    service.run_inside("python", "manage.py", "makemessages", "--locale=de")
    assert 'msgid "title"' in (service.path / "src/app/locale/de/LC_MESSAGES/django.po").read_text()
    managed = ("tests/core/http/test_access.py", "tests/core/http/test_http.py", "tests/core/accounts/test_admin.py")
    service.run_inside("pytest", "-q", *managed)
