"""A request to another service."""

from dataclasses import dataclass, field


@dataclass
class OutgoingCall:
    """The headers to send with the request, and the status of its response."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
