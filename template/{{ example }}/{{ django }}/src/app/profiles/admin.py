"""Profiles in the admin."""

from django.contrib import admin

from app.profiles.models import Profile


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ("user", "display_name", "locale", "time_zone")
    search_fields = ("display_name",)
    autocomplete_fields = ("user",)
    ordering = ("user",)
