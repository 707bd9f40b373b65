"""take.lua: what it is asked, and how its answer reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import NamedTuple

import orjson

from workers.script import Argument, Script
from workers.security.limits.gcra import NOTHING, SECOND_US, Debt
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

    def __init__(self, requests: Iterable[Request]) -> None:
        numbers: dict[str, int] = {}
        rates: list[int] = []
        asked: list[int] = []
        self._places: list[list[int]] = []
        for buckets, cost in requests:
            places = []
            for (_, rate), key in buckets:
                number = numbers.get(key)
                if number is None:
                    number = numbers[key] = len(numbers) + 1  # as Lua counts
                    rates += (rate.window_s * SECOND_US, rate.quota)
                places.append(number)
            self._places.append(places)
            asked += (cost, len(places), *places)
        self.names = [key.encode() for key in numbers]  # redis-py would, in ten times the time
        self.args: list[Argument] = [orjson.dumps([rates, asked])]

    def read(self, answer: bytes) -> Iterator[Verdict]:
        """What became of each request, in order. What is owed is what all of them together left."""
        marks, *figures = answer.split()
        numbers, count = list(map(int, figures)), len(self.names)
        debts = [NOTHING, *map(Debt, numbers[:count], numbers[count:] or repeat(0))]
        for places, mark in zip(self._places, marks, strict=True):
            refusing = mark - ord("0")
            refused = [refusing >> at & 1 == 1 for at in range(len(places))] if refusing else [False] * len(places)
            yield Verdict([debts[number] for number in places], refused)
