"""The table of profiles."""

from django.conf import settings
from django.db.models import CASCADE, CharField, Model, OneToOneField


class Profile(Model):
    """The profile of a user."""

    user = OneToOneField(settings.AUTH_USER_MODEL, on_delete=CASCADE, primary_key=True, related_name="profile")
    display_name = CharField(max_length=200, null=True, blank=True)
    phone = CharField(max_length=16, null=True, blank=True)
    locale = CharField(max_length=35, null=True, blank=True)
    time_zone = CharField(max_length=64, null=True, blank=True)

    class Meta:
        db_table = "profiles"

    def __str__(self) -> str:
        return f"profile of user {self.pk}"
