"""Which client a request comes from, as far as it can be believed. The gateway asks, for its limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

HEADER = b"x-forwarded-for"
NOWHERE = "local"
"""The one bucket of peers without an address: those of a unix socket."""

MOST_HOPS = 20  # a chain of more proxies of one's own is a mistake, or an attempt to keep us busy
MOST_CHARS = 64  # the longest address with brackets, zone and port has fewer
MOST_REMEMBERED = 10_000
IPV6_PREFIX = 64  # what one subscriber gets at least (RFC 6177): within it addresses are free

_WITH_PORT = re.compile(r"\[([^\[\]]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class _Hop(NamedTuple):
    bucket: str
    trusted: bool


class Proxies:
    """The proxies that are trusted to say whom they speak for."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        self._trusted = trusted
        self._hop = lru_cache(MOST_REMEMBERED)(self._look)

    def client(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Whose requests these are counted as: an IPv4 address, an IPv6 network of 64 bits, or NOWHERE.

        `headers` are ASGI's: names in lower case. X-Forwarded-For is read only from a trusted peer, from the right,
        past trusted hops; what is malformed, and all to the left of it, is not believed.
        """
        hop = self._hop(peer or "")
        if hop is None:
            return NOWHERE
        if not hop.trusted:
            return hop.bucket
        for entry in _from_the_right(b",".join([value for name, value in headers if name == HEADER])):
            before = self._hop(entry.strip(" \t")) if len(entry) <= MOST_CHARS else None
            if before is None:
                break
            hop = before
            if not hop.trusted:
                break
        return hop.bucket

    def _look(self, text: str) -> _Hop | None:
        address = _parsed(text)
        if address is None:
            return None
        return _Hop(_bucket(address), any(address in network for network in self._trusted))


def _from_the_right(field: bytes) -> list[str]:
    return field.decode("latin-1").rsplit(",", MOST_HOPS)[: -MOST_HOPS - 1 : -1]


def _parsed(text: str) -> Address | None:
    """The address; brackets and port are dropped, and an IPv4 address in IPv6 clothes is taken for what it is."""
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _bucket(address: Address) -> str:
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), IPV6_PREFIX), strict=False))  # the number has no zone
    return str(address)
