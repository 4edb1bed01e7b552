"""Client addresses behind proxies."""

import pytest

from app.core.http.limits.addresses import Proxies, forwarded_scheme, network
from app.core.testing import MakeClient, assert_problem


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::1]:4711, 10.0.0.2:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:cb00:7107", "203.0.113.7"),
        ("10.9.9.9, 10.1.2.3", "10.1.2.3"),
        ("forged, 10.1.2.3", "10.1.2.3"),
        ("203.0.113.7, unknown", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_address_is_the_last_untrusted_one(forwarded: str, client: str) -> None:
    assert Proxies(["10.0.0.0/8"]).client("10.0.0.1", forwarded) == client


@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_trusted_proxy_may_be_mapped_to_ipv6(peer: str) -> None:
    assert Proxies(["10.0.0.0/8"]).trusts(peer)
    assert not Proxies(["10.0.0.0/8"]).trusts("203.0.113.7")
    assert not Proxies(["10.0.0.0/8"]).trusts("")


def test_asterisk_trusts_the_first_address() -> None:
    assert Proxies(["*"]).client("10.0.0.1", "203.0.113.7, 10.0.0.2") == "203.0.113.7"


@pytest.mark.parametrize(
    ("address", "counted"),
    [("203.0.113.7", "203.0.113.7"), ("::ffff:203.0.113.7", "203.0.113.7"), ("2001:db8::1:2", "2001:db8::/64")],
)
def test_rate_limits_count_networks_of_ipv6(address: str, counted: str) -> None:
    assert network(address) == counted


@pytest.mark.parametrize(
    ("header", "scheme"), [("https", "https"), ("http, HTTPS", "https"), ("ftp", None), ("", None)]
)
def test_forwarded_scheme_is_http_or_https(header: str, scheme: str | None) -> None:
    assert forwarded_scheme(header) == scheme


@pytest.mark.parametrize(
    ("trusted", "statuses"), [("127.0.0.0/8", [422, 429, 422]), ("10.0.0.0/8", [422, 429, 429]), ("", [422, 429, 429])]
)
async def test_only_trusted_proxies_set_client_address(
    make_client: MakeClient, trusted: str, statuses: list[int]
) -> None:
    body = {"name": "Ada", "email": "invalid", "password": "engine no. 1"}
    async with make_client(trusted_proxies=trusted, registration_rate="1/minute") as client:
        for address, status in zip(("203.0.113.7", "203.0.113.7:81", "203.0.113.8"), statuses, strict=True):
            response = await client.post("/api/v1/users", json=body, headers={"X-Forwarded-For": address})
            assert_problem(response, status)
