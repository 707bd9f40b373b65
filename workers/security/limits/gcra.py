"""The generic cell rate algorithm: what a bucket owes, exactly, in integers. take.lua computes the same.

A bucket of `quota` in `window_s` seconds holds `quota` and fills evenly. What was taken is a debt in time: taking one
adds window / quota, time pays it off, and no more may be owed than one window.
"""

from __future__ import annotations

from typing import NamedTuple

from workers.rates import Rate

SECOND_US = 1_000_000


class Debt(NamedTuple):
    """Microseconds until a bucket is full again: `us` and `part` / quota."""

    us: int
    part: int = 0


NOTHING = Debt(0)


def grown(debt: Debt, rate: Rate, cost: int) -> Debt:
    """What is owed once `cost` is taken."""
    us, part = divmod(debt.part + cost * rate.window_s * SECOND_US, rate.quota)
    return Debt(debt.us + us, part)


def wait_us(debt: Debt, rate: Rate, cost: int) -> int:
    """How long until `cost` may be taken: 0 if it may be now."""
    us, part = grown(debt, rate, cost)
    return max(0, us + (part > 0) - rate.window_s * SECOND_US)


def remaining(debt: Debt, rate: Rate) -> int:
    """How much may be taken now."""
    window_us = rate.window_s * SECOND_US
    return max(0, ((window_us - debt.us) * rate.quota - debt.part) // window_us)


def whole_seconds(us: int) -> int:
    """Rounded up, for those who wait."""
    return -(-us // SECOND_US)
