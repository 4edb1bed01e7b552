"""Products in the admin."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import F, IntegerField, TextField
from django.db.models.functions import Greatest
from django.http import HttpRequest

from app.products.models import Product


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    """Products in the admin."""

    fields = ("name", "price", "stock")
    list_display = ("name", "price", "stock")
    search_fields = ("name",)
    ordering = ("name", "id")
    formfield_overrides: ClassVar[Any] = {
        TextField: {"widget": AdminTextInputWidget},
        IntegerField: {"show_hidden_initial": True},
    }

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        """Add the change of the stock instead of overwriting it: orders may change the stock while the form is open."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        if "stock" in form.changed_data:
            shown = form.fields["stock"].clean(form.data[form["stock"].html_initial_name])
            obj.stock = Greatest(F("stock") + obj.stock - shown, 0)
        obj.save(update_fields=form.changed_data)
