"""Durations and moments as operators write them: 15m, 12h, or a moment of RFC 3339."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import datetime

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}

DURATION = r"([1-9][0-9]{0,5})([smhd])"
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")


def seconds(text: str) -> int:
    """A duration such as 90s, 15m, 12h or 30d in seconds. Raises ValueError."""
    found = re.fullmatch(DURATION, text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 12h or 30d")
    return int(found[1]) * UNITS_S[found[2]]


def since_ms(text: str) -> int:
    """That long ago, or the moment with its offset that the text names; ms since the epoch. Raises ValueError."""
    if re.fullmatch(DURATION, text):
        return int((time.time() - seconds(text)) * 1000)
    if _MOMENT.fullmatch(text):
        with suppress(ValueError):  # the 30th of February
            return max(0, int(datetime.fromisoformat(text.upper()).timestamp() * 1000))
    raise ValueError(f"{text!r} is neither a duration such as 12h nor a moment such as 2026-01-31T09:00:00Z")
