"""Receivers of signals: access tokens and API keys end with a role or with the user."""

from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import m2m_changed, pre_delete
from django.dispatch import receiver

from app.core.accounts.auth.models import ApiKey, DeletedUser
from app.core.accounts.events import deactivated, erased
from app.core.accounts.models import User


@receiver(m2m_changed, sender=User.groups.through)
def revoke_lost_roles(action: str, instance: Any, pk_set: set[int] | None, **_: Any) -> None:
    """Revoke the access tokens of users who lose a role."""
    if action == "post_remove" and isinstance(instance, User):
        instance.revoke()
    elif action == "post_remove":
        for user in User.objects.filter(pk__in=pk_set or ()).order_by("pk"):
            user.revoke()
    elif action == "pre_clear":  # `post_clear` does not know any more who was in the group
        if isinstance(instance, User):
            instance.revoke()
        else:
            _revoke_members(instance)


@receiver(m2m_changed, sender=User.groups.through)
def note_changed_roles(action: str, instance: Any, pk_set: set[int] | None, **_: Any) -> None:
    """Log new and lost roles of users."""
    if action not in {"post_add", "post_remove", "pre_clear"} or pk_set == set():
        return
    if isinstance(instance, User):
        groups = Group.objects.filter(pk__in=pk_set) if pk_set else instance.groups.all()
        _note_roles(instance, [group.name for group in groups], is_new=action == "post_add")
    else:
        for user in User.objects.filter(pk__in=pk_set) if pk_set else instance.user_set.all():
            _note_roles(user, [instance.name], is_new=action == "post_add")


def _note_roles(user: User, roles: list[str], *, is_new: bool) -> None:
    added, removed = (roles, []) if is_new else ([], roles)
    user.note("roles changed", added=sorted(added), removed=sorted(removed), admin=user.is_superuser)


@receiver(user_logged_in)
def note_log_in(user: User, **_: Any) -> None:
    """Log each log-in to the admin or to other pages."""
    user.note("admin log-in" if user.is_superuser or user.is_staff else "log-in", session=None)


@receiver(pre_delete, sender=Group)
def revoke_deleted_role(instance: Group, **_: Any) -> None:
    """Revoke the access tokens of users who lose a role because it is deleted."""
    for user in _revoke_members(instance):
        _note_roles(user, [instance.name], is_new=False)


def _revoke_members(group: Group) -> list[User]:
    """Revoke the access tokens of all members. Locks the group first, so that no user becomes a member meanwhile."""
    Group.objects.select_for_update().filter(pk=group.pk).first()
    members = list(User.objects.filter(groups=group).order_by("pk"))
    for user in members:
        user.revoke()
    return members


@receiver(pre_delete, sender=User)
def erase_before_deletion(instance: User, **_: Any) -> None:
    """Send `erased`: slices also delete what no foreign key deletes. Access tokens of the user end.

    Raise LastAdmin for the only active admin.
    """
    instance.require_other_admin()
    erased.send(User, user=instance)
    DeletedUser.objects.get_or_create(pk=instance.pk)


@receiver(deactivated)
def delete_keys(user: User, **_: Any) -> None:
    """Delete the API keys of a deactivated user: an activation restores neither keys nor sessions."""
    ApiKey.objects.filter(user=user).delete()
