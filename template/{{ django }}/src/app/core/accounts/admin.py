"""Users, their groups and their API keys in the admin."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import TextField
from django.http import HttpRequest

from app.core.accounts.auth.models import ApiKey
from app.core.accounts.models import User
from app.core.http.state import State

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin):
    """Groups, which are the roles of the API. Only superusers can change groups, against privilege escalation."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Users. Only superusers can change permissions and accounts of staff, against privilege escalation.

    With VERIFY_EMAIL, only superusers can change addresses.
    """

    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Personal info", {"fields": ("name", "issuer", "subject")}),
        ("Permissions", {"fields": ("is_active", *RIGHTS)}),
        ("Important dates", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")}),
    )
    readonly_fields = ("issuer", "subject", "last_login", "date_joined")
    list_display = ("__str__", "email", "is_active", "is_staff", "date_joined")
    search_fields = ("name", "email")
    ordering = ("id",)
    formfield_overrides: ClassVar[Any] = {TextField: {"widget": AdminTextInputWidget}}

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        if request.user.is_superuser:
            return self.readonly_fields
        state: State = request.state  # type: ignore[attr-defined]  # set by core's middleware
        is_verified = obj is not None and state.settings.verify_email
        return (*self.readonly_fields, *RIGHTS, *(("email",) if is_verified else ()))

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    """API keys, which their owners create. The admin lists and deletes them."""

    fields = list_display = ("name", "user", "scopes", "created_at", "last_used_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("name", "user__email")
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    """Return whether the caller may change this user. Only superusers may change other staff and superusers."""
    is_powerful = user is not None and (user.is_staff or user.is_superuser)
    return request.user.is_superuser or not is_powerful or user == request.user
