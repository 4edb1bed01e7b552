"""The address that a request is counted under."""

from ipaddress import IPv6Address, IPv6Network, ip_address


def network(address: str) -> str:
    """The address itself; of IPv6 the /64 network, from which one customer may call with 2⁶⁴ addresses."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or IPv6Network((parsed, 64), strict=False))
