"""Durations and moments as operators write them: 15m, 12h, or a moment of RFC 3339."""

from __future__ import annotations

import re
import time
from datetime import datetime

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhd])")


def seconds(text: str) -> int:
    """A duration such as 90s, 15m, 12h or 30d in seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a duration such as 90s, 15m, 12h or 30d")
    return int(found[1]) * UNITS_S[found[2]]


def since_ms(text: str) -> int:
    """That long ago, or the moment with its offset that the text names; ms since the epoch. Raises ValueError."""
    if _DURATION.fullmatch(text):
        return int((time.time() - seconds(text)) * 1000)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return max(0, int(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is neither a duration such as 12h nor a moment such as 2026-01-31T09:00:00Z")
