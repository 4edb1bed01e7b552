"""Products in the administration."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import TextField

from app.products.models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The catalogue."""

    fields = ("name", "price", "stock")
    list_display = ("name", "price", "stock")
    search_fields = ("name",)
    ordering = ("name", "id")
    formfield_overrides: ClassVar[Any] = {TextField: {"widget": AdminTextInputWidget}}
