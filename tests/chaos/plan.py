"""What is posted: an endless row of events from one seed, each with what must become of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import uuid5

import orjson

from workers.event import NAMESPACE

SOURCE = "/chaos"


class Kind(StrEnum):
    SIGN_UP = "sign-up"
    CHANGE = "profile change"
    EMAIL = "e-mail"
    INVALIDATION = "invalidation"
    TAKEN = "taken address"
    NOBODY = "change of nobody"
    TEMPLATE = "unknown template"


SHARES = {
    Kind.INVALIDATION: 67,
    Kind.CHANGE: 18,
    Kind.SIGN_UP: 9,
    Kind.EMAIL: 3,
    Kind.TAKEN: 1,
    Kind.NOBODY: 1,
    Kind.TEMPLATE: 1,
}
"""Per cent."""

DOOMED = {Kind.TAKEN, Kind.NOBODY, Kind.TEMPLATE}
"""What can never be done: their dead letters are planned."""

TYPES = {
    Kind.SIGN_UP: "user.signed_up",
    Kind.TAKEN: "user.signed_up",
    Kind.CHANGE: "user.profile_changed",
    Kind.NOBODY: "user.profile_changed",
    Kind.EMAIL: "email.requested",
    Kind.TEMPLATE: "email.requested",
    Kind.INVALIDATION: "cache.invalidation_requested",
}

TREES: dict[Kind, list[str]] = {
    Kind.SIGN_UP: ["users.create", "cache.invalidate", "email.deliver"],
    Kind.CHANGE: ["users.update", "cache.invalidate"],
    Kind.EMAIL: ["email.deliver"],
    Kind.INVALIDATION: ["cache.invalidate"],
}
"""The actors in the whole tree of an event that is done: its own, then those of its follow-ups by name."""


class Post(NamedTuple):
    """One event as a client posts it, however often."""

    kind: Kind
    id: str
    data: dict[str, Any]

    @property
    def doomed(self) -> bool:
        return self.kind in DOOMED

    @property
    def body(self) -> bytes:
        return orjson.dumps({"type": TYPES[self.kind], "id": self.id, "source": SOURCE, "data": self.data})


class Plan:
    """`users` are the ids, `addresses` the addresses of users who exist."""

    def __init__(self, chance: random.Random, users: Sequence[str], addresses: Sequence[str]) -> None:
        self._chance = chance
        self._users = users
        self._addresses = addresses
        self._made = 0

    def __iter__(self) -> Iterator[Post]:
        while True:
            yield self._post()

    def _post(self) -> Post:
        self._made += 1
        (kind,) = self._chance.choices(list(SHARES), weights=list(SHARES.values()))
        return Post(kind, f"{kind.replace(' ', '-')}-{self._made}", self._data(kind, self._made))

    def _data(self, kind: Kind, number: int) -> dict[str, Any]:
        user = self._chance.choice(self._users)
        match kind:
            case Kind.SIGN_UP:
                return sign_up(f"new-{number}@example.com").data
            case Kind.TAKEN:
                return {"email": self._chance.choice(self._addresses), "name": "Too Late"}
            case Kind.CHANGE:
                return {"user_id": user, "name": f"Name {number}"}
            case Kind.NOBODY:
                return {"user_id": str(uuid5(NAMESPACE, f"nobody-{number}")), "name": "Nobody"}
            case Kind.EMAIL | Kind.TEMPLATE:
                template = "notice" if kind is Kind.EMAIL else "unheard_of"
                params = {"title": f"Number {number}", "text": "Something happened."}
                return {"to": f"asked-{number}@example.com", "template": template, "params": params}
            case _:
                return {"user_id": user, "tags": [f"page:{number}"]}


def sign_up(address: str) -> Post:
    """The sign-up of somebody new."""
    return Post(Kind.SIGN_UP, f"sign-up-of-{address}", {"email": address, "name": "Ada Lovelace"})
