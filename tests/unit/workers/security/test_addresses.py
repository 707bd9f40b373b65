from __future__ import annotations

from ipaddress import ip_network

import pytest

from workers.errors import SettingsError
from workers.security.addresses import NOWHERE, Proxies
from workers.settings import load

TRUSTED = [ip_network(text) for text in ("10.0.0.0/8", "192.0.2.1", "fd00::/8", "fe80::/10")]
PROXY, EDGE, CLIENT, VICTIM = "10.0.0.1", "10.0.0.2", "203.0.113.7", "198.51.100.9"


def client(peer: str | None, *forwarded: str, trusted: bool = True) -> str:
    headers = [(b"host", b"luna"), *((b"x-forwarded-for", value.encode("utf-8")) for value in forwarded)]
    return Proxies(TRUSTED if trusted else ()).client(peer, headers)


@pytest.mark.parametrize(
    ("peer", "bucket"),
    [
        (CLIENT, CLIENT),
        ("::ffff:203.0.113.7", CLIENT),
        ("::FFFF:cb00:7107", CLIENT),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2%eth1", "fe80::/64"),
        ("::1", "::/64"),
        (None, NOWHERE),
        ("", NOWHERE),
        ("testclient", NOWHERE),
        ("/run/luna.sock", NOWHERE),
    ],
)
def test_a_peer_counts_as_its_address_and_ipv6_as_its_network(peer: str | None, bucket: str) -> None:
    assert client(peer) == bucket
    assert client(peer, VICTIM, trusted=False) == bucket


@pytest.mark.parametrize("peer", [CLIENT, "::ffff:203.0.113.7", "192.0.2.2", "11.0.0.1", "100.0.0.1", "2001:db8::1"])
def test_nobody_but_a_trusted_proxy_speaks_for_others(peer: str) -> None:
    assert client(peer, VICTIM) == client(peer)
    assert client(peer, f"{VICTIM}, {PROXY}", PROXY) == client(peer)


@pytest.mark.parametrize(
    ("peer", "forwarded", "believed"),
    [
        # What proxies say
        (PROXY, [CLIENT], CLIENT),
        ("192.0.2.1", [CLIENT], CLIENT),
        ("::ffff:10.0.0.1", [CLIENT], CLIENT),
        ("fd00::1", [CLIENT], CLIENT),
        ("fe80::1%eth0", [CLIENT], CLIENT),
        (PROXY, [f"{CLIENT}, {EDGE}"], CLIENT),
        (PROXY, [f"{CLIENT},{EDGE}"], CLIENT),
        (PROXY, [f" {CLIENT}\t,\t{EDGE} "], CLIENT),
        (PROXY, [CLIENT, EDGE], CLIENT),
        (PROXY, [f"{CLIENT}:40312"], CLIENT),
        (PROXY, ["2001:db8:1:2::9"], "2001:db8:1:2::/64"),
        (PROXY, ["[2001:db8:1:2::9]"], "2001:db8:1:2::/64"),
        (PROXY, ["[2001:db8:1:2::9]:40312"], "2001:db8:1:2::/64"),
        (PROXY, ["[::ffff:203.0.113.7]:40312"], CLIENT),
        (PROXY, ["::ffff:203.0.113.7"], CLIENT),
        (PROXY, ["2001:db8:1:2::9%eth0"], "2001:db8:1:2::/64"),
        # A request from inside, or without the field: the hop that is furthest away
        (PROXY, [], PROXY),
        (PROXY, [EDGE], EDGE),
        (PROXY, ["10.9.9.9, 10.0.0.2"], "10.9.9.9"),
        # What the client wrote to the left is not believed
        (PROXY, [f"{VICTIM}, {CLIENT}"], CLIENT),
        (PROXY, [f"{VICTIM}, {CLIENT}, {EDGE}"], CLIENT),
        (PROXY, [VICTIM, CLIENT], CLIENT),
        (PROXY, [f"{PROXY}, {CLIENT}"], CLIENT),
        (PROXY, [f"{PROXY}, {PROXY}, {VICTIM}, {CLIENT}"], CLIENT),
        (PROXY, [f"::ffff:10.0.0.2, {CLIENT}"], CLIENT),
        (PROXY, [f"127.0.0.1, {CLIENT}"], CLIENT),
        (PROXY, [f"unknown, {CLIENT}"], CLIENT),
        (PROXY, [f"garbage\x00, , {CLIENT}"], CLIENT),
        (PROXY, ["x" * 60_000 + f", {CLIENT}"], CLIENT),
        (PROXY, ["," * 60_000 + CLIENT], CLIENT),
        (PROXY, [f"{VICTIM}, " * 5_000 + CLIENT], CLIENT),
        # What is no address ends the reading: the hop before it counts
        (PROXY, [""], PROXY),
        (PROXY, [","], PROXY),
        (PROXY, [f"{VICTIM},"], PROXY),
        (PROXY, [f"{VICTIM}, , {EDGE}"], EDGE),
        (PROXY, [VICTIM, ""], PROXY),
        (PROXY, [f"{VICTIM}, unknown"], PROXY),
        (PROXY, [f"{VICTIM}, _hidden, {EDGE}"], EDGE),
        (PROXY, ["203.0.113"], PROXY),
        (PROXY, ["203.0.113.7.1"], PROXY),
        (PROXY, ["203.0.113.256"], PROXY),
        (PROXY, ["203.0.113.07"], PROXY),
        (PROXY, ["0xcb.0.113.7"], PROXY),
        (PROXY, ["3405803783"], PROXY),
        (PROXY, ["203.0.113.7/32"], PROXY),
        (PROXY, ["203.0.113.7%1"], PROXY),
        (PROXY, ["203.0.113.7:"], PROXY),
        (PROXY, ["203.0.113.7:port"], PROXY),
        (PROXY, ["203.0.113.7:123456"], PROXY),
        (PROXY, ["[203.0.113.7"], PROXY),
        (PROXY, ["[2001:db8::9"], PROXY),
        (PROXY, ["2001:db8::9]"], PROXY),
        (PROXY, ["[[2001:db8::9]]"], PROXY),
        (PROXY, ["[]"], PROXY),
        (PROXY, ["[2001:db8::9]x"], PROXY),
        (PROXY, ["2001:db8:::9"], PROXY),
        (PROXY, ["2001:db8::9%"], PROXY),
        (PROXY, ['"203.0.113.7"'], PROXY),
        (PROXY, ["for=203.0.113.7"], PROXY),
        (PROXY, ["203.0.113.7 203.0.113.8"], PROXY),
        (PROXY, ["203.0.113.7;203.0.113.8"], PROXY),
        (PROXY, ["٢٠٣.0.113.7"], PROXY),
        (PROXY, ["203.0.113.7\u200b"], PROXY),
        (PROXY, ["203.0.113.7\x00"], PROXY),
        (PROXY, ["localhost"], PROXY),
        (PROXY, ["2001:db8::9%" + "z" * 60], PROXY),
        (PROXY, ["1" * 60_000], PROXY),
        # A chain without an end is not followed
        (PROXY, [", ".join([CLIENT, *["10.0.0.3"] * 19])], CLIENT),
        (PROXY, [", ".join([CLIENT, *["10.0.0.3"] * 20])], "10.0.0.3"),
        (PROXY, [", ".join([CLIENT, *["10.0.0.3"] * 5_000])], "10.0.0.3"),
    ],
)
def test_the_first_hop_from_the_right_that_is_not_trusted_is_the_client(
    peer: str, forwarded: list[str], believed: str
) -> None:
    assert client(peer, *forwarded) == believed


def test_a_zone_does_not_make_another_client() -> None:
    assert {client(PROXY, f"2001:db8::9%{zone}") for zone in range(5)} == {"2001:db8::/64"}


@pytest.mark.parametrize("name", [b"forwarded", b"x-real-ip", b"x-client-ip", b"x-forwarded-for-", b"true-client-ip"])
def test_no_other_header_is_read(name: bytes) -> None:
    assert Proxies(TRUSTED).client(PROXY, [(name, VICTIM.encode())]) == PROXY


def test_the_setting_lists_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().proxies == ()
    monkeypatch.setenv("LUNA_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1,192.0.2.1")
    assert load().proxies == tuple(map(ip_network, ("10.0.0.0/8", "2001:db8::1/128", "192.0.2.1/32")))


@pytest.mark.parametrize(
    "text",
    ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8,", "proxy.example.com", "*", "10.0.0.0/8;::1", "::ffff:10.0.0.0/104"],
)
def test_a_setting_that_lists_anything_else_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNA_TRUSTED_PROXIES", text)
    with pytest.raises(SettingsError, match=r"^LUNA_TRUSTED_PROXIES: "):
        load()
