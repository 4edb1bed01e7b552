"""Client addresses: behind trusted proxies, and for rate limits."""

from collections.abc import Iterable
from contextvars import ContextVar
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

type Address = IPv4Address | IPv6Address

current_client: ContextVar[str | None] = ContextVar("current_client", default=None)
"""Address of the client of the current request."""


def network(address: str) -> str:
    """Return the address. For IPv6, return its /64 network, because one customer may use all 2⁶⁴ addresses of it."""
    parsed = parse_address(address)
    return str(IPv6Network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed or address)


def parse_address(text: str) -> Address | None:
    """Parse an address as proxies write it: with a port, in brackets, or IPv4 mapped to IPv6. None if it is invalid."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


class Proxies:
    """Applies X-Forwarded-For and X-Forwarded-Proto headers of trusted proxies."""

    def __init__(self, trusted: Iterable[str]) -> None:
        names = tuple(trusted)
        self._trusts_all = "*" in names
        self._networks = [ip_network(name) for name in names if name != "*"]

    def trusts(self, address: str) -> bool:
        """Return whether the address is a trusted proxy."""
        return self._trusts_all or self._trusts(parse_address(address))

    def client(self, peer: str, forwarded: str) -> str:
        """Return the client of a request from the trusted proxy `peer` with this X-Forwarded-For header.

        Each proxy appends the address of its client. The last address that is not a trusted proxy is the client. If
        all addresses are trusted, the last one is the client: an address before it may be forged.
        """
        hops = [parse_address(hop) for hop in forwarded.split(",")]
        if self._trusts_all:
            return str(hops[0] or peer)
        client = parse_address(peer)
        for number, hop in enumerate(reversed(hops)):
            if hop is None:
                break
            if number == 0 or not self._trusts(hop):
                client = hop
            if not self._trusts(hop):
                break
        return str(client or peer)

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def forwarded_scheme(header: str) -> str | None:
    """Return the scheme of an X-Forwarded-Proto header: the last proxy's. None for an unknown scheme."""
    scheme = header.rpartition(",")[2].strip().lower()
    return scheme if scheme in {"http", "https"} else None
