"""The data that a user may ask for: core's, and that of every slice which listens to `exporting`."""

from collections.abc import Callable, Iterable
from typing import Any

from app.core.accounts.schemas import AccountExport
from app.core.slices import SliceError, owner_of


def assemble(account: AccountExport, answers: Iterable[tuple[Callable[..., Any], Any]]) -> dict[str, Any]:
    """The export of a user, from core's part and from the listeners with what each returned.

    SliceError when a slice has two listeners: one would hide the data of the other.
    """
    exported: dict[str, Any] = {"account": account.model_dump(mode="json")}
    for listener, data in answers:
        name = owner_of(listener)
        if name in exported:
            raise SliceError(
                f"The slice '{name}' listens to `exporting` twice: return all of its data from one listener"
            )
        exported[name] = data
    return exported
