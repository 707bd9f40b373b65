"""What became of the events of one call so far, and what to send next. Used by calls.py alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

import httpx

from workers.client import results
from workers.client.batches import halves, split
from workers.client.errors import Refused, Unavailable
from workers.client.event import Outgoing
from workers.client.results import Later, Reply, Result
from workers.client.retry import retry_after

Numbered: TypeAlias = tuple[int, Outgoing]
"""An event and its place in what was given."""

NOT_TRIED = Later("the events before it took all the time that this call had")


class Delivery:
    """The events of one call: which are settled, and what to send next."""

    def __init__(self, events: Sequence[Outgoing], most: int) -> None:
        self._events = events
        self._results: dict[int, Result] = {}
        self._later: dict[int, Later] = {}
        self._batches: deque[list[Numbered]] = deque(split(list(enumerate(events)), _size, most))

    def next(self) -> list[Numbered] | None:
        """The next batch."""
        return self._batches.popleft() if self._batches else None

    def told(self, batch: list[Numbered], reply: Reply) -> bool:
        """Note what became of a batch. False when something of it must be sent again later."""
        outcomes = results.read(reply, [event for _, event in batch])
        if len(batch) > 1 and _blamed(reply):
            self._put_back(*halves(batch))  # one bad event does not take its neighbours with it
            return True
        later = []
        for (place, event), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Later):
                later.append((place, event))
                self._later[place] = outcome
            else:
                self._results[place] = outcome
        if later:
            self._put_back(*(halves(later) if _too_many(reply) and len(later) > 1 else (later,)))
        return not later

    def given_up(self, reply: Reply) -> list[Result]:
        """The results, where all that is not settled counts as unavailable."""
        asked = retry_after(reply)
        for place, event in chain.from_iterable(self._batches):
            why, status = self._later.get(place, NOT_TRIED)
            self._results[place] = Unavailable(why, id=event.id, status=status, retry_after=asked)
        return self.results()

    def results(self) -> list[Result]:
        """In the order of the events."""
        return [self._results[place] for place in range(len(self._events))]

    def _put_back(self, *batches: list[Numbered]) -> None:
        self._batches.extendleft(reversed(batches))


def _blamed(reply: Reply) -> bool:
    """Whether a whole request was refused for what it holds."""
    if not isinstance(reply, httpx.Response) or reply.status_code in {results.ACCEPTED, results.MULTI_STATUS}:
        return False
    return not results.worth_another_try(reply.status_code) and Refused(reply.status_code, {}).about_event


def _too_many(reply: Reply) -> bool:
    """A batch of n costs n: one that is larger than what the rate limit ever allows passes in parts."""
    return isinstance(reply, httpx.Response) and reply.status_code == results.TOO_MANY


def _size(numbered: Numbered) -> int:
    return len(numbered[1].body)
