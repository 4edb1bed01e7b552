"""Users in the administration."""

from typing import Any, ClassVar

import pydantic
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import TextField
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse
from pydantic import EmailStr, TypeAdapter

from app.types import Line
from app.users.models import User

admin.site.unregister(Group)


def _closed(_request: HttpRequest, **_: Any) -> HttpResponse:
    raise Http404


# The service changes no password: docs/security.md says who does.
admin.site.password_change = _closed  # type: ignore[assignment, method-assign]


class UserForm(ModelForm):  # type: ignore[type-arg]
    """Takes what the API takes, and nothing else."""

    def clean_name(self) -> str:
        return _valid(Line, self.cleaned_data["name"])

    def clean_email(self) -> str:
        return _valid(EmailStr, self.cleaned_data["email"])


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Users register by themselves, or by `poe user`; here they are looked after."""

    form = UserForm
    fields = ("name", "email", "is_admin", "created_at")
    readonly_fields = ("created_at",)
    list_display = ("email", "name", "is_admin", "created_at")
    list_filter = ("is_admin",)
    search_fields = ("name", "email")
    ordering = ("id",)
    formfield_overrides: ClassVar[Any] = {TextField: {"widget": AdminTextInputWidget}}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Not by the hash, which would tell it piece by piece."""
        return not lookup.startswith("password_hash") and super().lookup_allowed(lookup, value, request)


def _valid(kind: Any, text: str) -> str:
    try:
        return str(TypeAdapter(kind).validate_python(text))
    except pydantic.ValidationError as error:
        raise ValidationError([details["msg"] for details in error.errors()]) from None
