"""The letters that somebody's deeds call for."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from app.jobs import BACKOFF, enqueue, queue
from app.mail.service import send, welcome_letter
from app.mail.settings import get_settings
from app.users import User


@queue.task(name="mail.welcome", retry=BACKOFF)
def welcome(user_id: int) -> None:
    """Greet whoever has registered."""
    if user := User.objects.filter(id=user_id).first():
        send(welcome_letter(user.name, user.email), get_settings())


@receiver(post_save, sender=User)
def _registered(instance: User, *, created: bool, raw: bool, **_: Any) -> None:
    # In the transaction of the registration: whoever is not registered is not greeted either. Nor is it a registration
    # where users are loaded as they were (`loaddata`).
    if created and not raw:
        enqueue(welcome, user_id=instance.pk)
