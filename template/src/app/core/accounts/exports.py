"""Export of all data of a user: core's, and that of every slice with a listener to `exporting`."""

from collections.abc import Callable, Iterable
from typing import Any

from app.core.accounts.schemas import AccountExport
from app.core.slices import SliceError, owner_of


def assemble(account: AccountExport, answers: Iterable[tuple[Callable[..., Any], Any]]) -> dict[str, Any]:
    """Return the export of a user: core's part, and the answer of each listener under the name of its slice.

    SliceError when a slice has two listeners: the data of one would replace the data of the other.
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
