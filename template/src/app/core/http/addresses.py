"""Client addresses for rate limits."""

from ipaddress import IPv6Address, IPv6Network, ip_address


def network(address: str) -> str:
    """Return the address. For IPv6, return its /64 network, because one customer may use all 2⁶⁴ addresses of it."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
