"""take.lua: what it is asked, and how its answer reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson

from workers.script import Argument, Script
from workers.security.limits.gcra import SECOND_US, Debt
from workers.security.limits.policies import Bucket

TAKE = Script("workers.security.limits", "take")

Request = tuple[Sequence[Bucket], int]
"""The buckets, at most six, and what is to be drawn on each."""


class Verdict(NamedTuple):
    """Of one request: what its buckets owe, and which had no room for it. If all had, it is drawn."""

    debts: list[Debt]
    refused: list[bool]


class Call:
    """Requests to decide in one step: `names` and `args` are the script's."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._numbers: dict[str, int] = {}
        rates: list[int] = []
        asked: list[int] = []
        for buckets, cost in requests:
            asked += (cost, len(buckets))
            for (_, rate), key in buckets:
                if key not in self._numbers:
                    self._numbers[key] = len(self._numbers) + 1  # as Lua counts
                    rates += (rate.window_s * SECOND_US, rate.quota)
                asked.append(self._numbers[key])
        self.names = [key.encode() for key in self._numbers]  # redis-py would, in ten times the time
        self.args: list[Argument] = [orjson.dumps([rates, asked])]

    def read(self, answer: bytes) -> Iterator[Verdict]:
        """What became of each request, in order. What is owed is what all of them together left."""
        marks, *figures = answer.split()
        numbers = [int(figure) for figure in figures]
        count = len(self.names)
        debts = [Debt(us, rest) for us, rest in zip(numbers[:count], numbers[count:] or [0] * count, strict=True)]
        for (buckets, _), mark in zip(self._requests, marks, strict=True):
            refusing = mark - ord("0")
            yield Verdict(
                [debts[self._numbers[bucket.key] - 1] for bucket in buckets],
                [bool(refusing >> place & 1) for place in range(len(buckets))],
            )
