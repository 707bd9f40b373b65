"""Rates such as `3000/1m`: how many requests in what time. Settings and API keys hold them for the gateway.

`layers` reads LUNA_RATE_LIMITS, a list of them.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_QUOTA = 10_000_000
MAX_WINDOW_S = 30 * 86400

LAYERS = ("ip", "user", "key", "failed")
ENDPOINT = "endpoint:"

_RATE = re.compile(r"([1-9][0-9]{0,7})/([1-9][0-9]{0,6})([smhd])")
_ROUTE = re.compile(r"[A-Z]+ /[!#-+\--<>-\[\]-~]*")  # fit for a String of RFC 9651 without escapes, and for our list


class Rate(NamedTuple):
    """`quota` requests in `window_s` seconds; as many may come at once, and then they come back evenly."""

    quota: int
    window_s: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rate that `600/1m` names. Raises ValueError."""
        found = _RATE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text.strip()!r} is not a rate such as 600/1m (units: s, m, h, d)")
        rate = cls(int(found[1]), int(found[2]) * UNITS_S[found[3]])
        if rate.quota > MAX_QUOTA or rate.window_s > MAX_WINDOW_S:
            raise ValueError(f"{text.strip()!r} is beyond {MAX_QUOTA} requests or {MAX_WINDOW_S // 86400} days")
        return rate

    def __str__(self) -> str:
        for unit, seconds in reversed(UNITS_S.items()):
            if self.window_s % seconds == 0:
                return f"{self.quota}/{self.window_s // seconds}{unit}"
        raise AssertionError("every number is a multiple of one")  # pragma: no cover


def layers(text: str) -> dict[str, Rate]:
    """The rate of each layer that `ip=6000/1m, endpoint:POST /v1/events=3000/1m` names; none for `off`.

    Raises ValueError.
    """
    if text.strip() == "off":
        return {}
    found: dict[str, Rate] = {}
    for part in text.split(","):
        name, equals, rate = (side.strip() for side in part.rpartition("="))
        if not equals:
            raise ValueError(f"{part.strip()!r} is not a layer with its rate, such as user=600/1m; `off` disables all")
        if name not in LAYERS and not (name.startswith(ENDPOINT) and _ROUTE.fullmatch(name.removeprefix(ENDPOINT))):
            raise ValueError(
                f"{name!r} is no layer; these are: {', '.join(LAYERS)}, and endpoint:METHOD /path/{{parameter}}"
            )
        if name in found:
            raise ValueError(f"{name!r} is named twice")
        found[name] = Rate.parse(rate)
    return found
