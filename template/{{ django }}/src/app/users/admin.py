"""Users in the administration."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.models import Group
from django.db.models import TextField
from django.http import HttpRequest

from app.users.models import User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Users register by themselves, or by `poe user`; here they are looked after."""

    fields = ("name", "email", "is_admin", "created_at")
    readonly_fields = ("created_at",)
    list_display = ("email", "name", "is_admin", "created_at")
    list_filter = ("is_admin",)
    search_fields = ("name", "email")
    ordering = ("id",)
    formfield_overrides: ClassVar[Any] = {TextField: {"widget": AdminTextInputWidget}}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False
