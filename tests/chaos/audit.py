"""After the storm: what was accepted is done or planned to be dead, and every effect is there exactly once."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Table, select

from actors.email.store import email_deliveries
from actors.routes import QUEUES
from actors.users.store import user_metrics, users
from tests.chaos.house import House
from tests.chaos.kills import held_by
from tests.chaos.plan import SOURCE, TREES, Kind, Post
from tests.chaos.producer import Accepted, Producer
from workers import keys
from workers.connection import connect
from workers.event import INTERNAL_SOURCE
from workers.operations import EventTrace, Filter
from workers.queue.graveyard import event_of

JOB_TREE = ["maintenance.run_job", "maintenance.run_task", "maintenance.run_task"]


@dataclass
class Verdict:
    """What became of all that was accepted. Any line in `lost`, `doubled` or `unplanned` is a broken promise."""

    done: int = 0
    dead: int = 0
    ticks: int = 0
    mails: int = 0
    unknown: int = 0
    """e-mails whose row was `sending` when a later attempt began"""
    sent_again: int = 0
    """of these, those that the mail server was given more than once"""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unplanned: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        return [
            *(f"lost: {line}" for line in self.lost),
            *(f"doubled: {line}" for line in self.doubled),
            *(f"unplanned: {line}" for line in self.unplanned),
        ]


class Audit:
    """Reads traces, letters, tables, mail and Redis; every `check_…` adds to the verdict."""

    def __init__(self, house: House, producer: Producer) -> None:
        self.verdict = Verdict()
        self._house = house
        self._accepted = producer.accepted
        self._given_up = producer.given_up
        self._received = Counter(to for letter in house.mail.received for to in letter.recipients)

    def of(self, kind: Kind) -> list[Accepted]:
        return [accepted for accepted in self._accepted.values() if accepted.post.kind is kind]

    def check_traces(self) -> None:
        for accepted in self._accepted.values():
            post = accepted.post
            trace = self._house.operations.trace(post.id, source=SOURCE)
            if post.doomed:
                self._check_doomed(post, trace)
            else:
                self.verdict.done += self._check_tree(post.id, trace, TREES[post.kind])

    def check_ticks(self, output: str) -> None:
        """Each tick that the scheduler says it published."""
        lines = [json.loads(line) for line in re.findall(r'^\{.*"tick\.published".*\}$', output, re.MULTILINE)]
        for tick in dict.fromkeys(line["event_id"] for line in lines):
            trace = self._house.operations.trace(tick, source=f"{INTERNAL_SOURCE}scheduler")
            self.verdict.ticks += self._check_tree(tick, trace, JOB_TREE)

    def check_letters(self) -> None:
        """The only dead letters are the planned ones, each once."""
        planned = {post.id for post in self._posts() if post.doomed}
        found: Counter[str] = Counter()
        for letter, _ in self._house.operations.all_dead(Filter()):
            event = event_of(letter)
            id_ = event.id if event is not None else letter.id
            found[id_] += 1
            if id_ not in planned:
                last = letter.body["attempts"][-1] if letter.body["attempts"] else {}
                self.verdict.unplanned.append(f"{letter.actor} {id_}: {letter.reason}, {last.get('message')}")
        self._once("dead letter of", found)
        self.verdict.dead = len(found.keys() & self._accepted.keys())
        missing = {accepted.post.id for accepted in self._accepted.values() if accepted.post.doomed} - found.keys()
        self.verdict.lost += [f"dead letter of {id_}" for id_ in missing]

    def check_users(self) -> None:
        """One user and one row of metrics for each accepted sign-up, and one change for each accepted change."""
        signed_up = {str(accepted.subject): accepted.post.data["email"] for accepted in self.of(Kind.SIGN_UP)}
        rows = {row.id: row for row in self._rows(users)}
        metrics = {row.user_id: row for row in self._rows(user_metrics)}
        for user_id, address in signed_up.items():
            if user_id not in rows or rows[user_id].email != address or user_id not in metrics:
                self.verdict.lost.append(f"user {user_id}, {address}")
        unasked = rows.keys() - signed_up.keys()
        may_be = {post.data["email"] for post in self._given_up.values() if post.kind is Kind.SIGN_UP}
        self.verdict.doubled += [
            f"user {id_} whom nobody asked for" for id_ in unasked if rows[id_].email not in may_be
        ]
        self._check_changes(rows, metrics)

    def check_mail(self) -> None:
        """One row for each e-mail; sent once, or its row knows that nobody can know."""
        wanted = {accepted.post.data["email"] for accepted in self.of(Kind.SIGN_UP)}
        wanted |= {accepted.post.data["to"] for accepted in self.of(Kind.EMAIL)}
        rows = [row for row in self._rows(email_deliveries) if row.state != "failed"]
        self._once("e-mail row of", Counter(row.recipient for row in rows))
        self.verdict.mails = len(rows)
        for row in rows:
            self._check_delivery(row)
        missing = wanted - {row.recipient for row in rows}
        self.verdict.lost += [f"e-mail row of {address}" for address in missing]
        self.verdict.doubled += [
            f"e-mail to {to} without a row" for to in self._received.keys() - {r.recipient for r in rows}
        ]

    def check_queues(self) -> None:
        """Nothing is left on any queue, and no consumer holds anything."""
        with connect(self._house.valkey.url) as client:
            for queue in QUEUES:
                left = {
                    "on the stream": client.xlen(keys.stream(queue)),
                    "pending": client.xpending(keys.stream(queue), "workers")["pending"],
                    "delayed": client.zcard(keys.delayed(queue)),
                    "delayed messages": client.hlen(keys.delayed_messages(queue)),
                }
                self.verdict.lost += [f"{count} {where} of {queue}" for where, count in left.items() if count]
            self.verdict.lost += [f"{count} held by {name}" for name, count in held_by(client, "").items()]

    def _check_doomed(self, post: Post, trace: EventTrace | None) -> None:
        if trace is None or trace.status != "dead":
            self.verdict.lost.append(f"{post.kind} {post.id} is {trace.status if trace else 'unknown'}, not dead")

    def _check_tree(self, id_: str, trace: EventTrace | None, wanted: list[str]) -> bool:
        found = [] if trace is None else list(_leaves(trace))
        well = sorted(actor for actor, status in found if status == "done") == sorted(wanted) and len(found) == len(
            wanted
        )
        if not well:
            self.verdict.lost.append(f"{id_}: {found or 'unknown'}")
        return well

    def _check_changes(self, rows: dict[str, Any], metrics: dict[str, Any]) -> None:
        accepted = _by_user(entry.post for entry in self.of(Kind.CHANGE))
        given_up = _by_user(post for post in self._given_up.values() if post.kind is Kind.CHANGE)
        for user_id, names in accepted.items():
            changes, at_most = metrics[user_id].profile_changes, len(names) + len(given_up.get(user_id, []))
            if changes < len(names):
                self.verdict.lost.append(f"{len(names) - changes} changes of {user_id}")
            if changes > at_most:
                self.verdict.doubled.append(f"{changes - at_most} changes of {user_id}")
            if rows[user_id].name not in [*names, *given_up.get(user_id, [])]:
                self.verdict.lost.append(f"the name of {user_id}")

    def _check_delivery(self, row: Any) -> None:
        received, to = self._received[row.recipient], row.recipient
        self.verdict.unknown += row.attempts > 1
        self.verdict.sent_again += received > 1
        if row.state != "sent" or not received:
            self.verdict.lost.append(f"e-mail to {to}: {row.state}, received {received} times")
        if received > row.attempts:
            self.verdict.doubled.append(f"e-mail to {to}: {row.attempts} attempts, received {received} times")

    def _posts(self) -> Iterator[Post]:
        yield from (accepted.post for accepted in self._accepted.values())
        yield from self._given_up.values()

    def _rows(self, table: Table) -> list[Any]:
        with self._house.database.read() as connection:
            return list(connection.execute(select(table)))

    def _once(self, what: str, found: Counter[str]) -> None:
        self.verdict.doubled += [f"{what} {name}, {count} times" for name, count in found.items() if count > 1]


def _leaves(trace: EventTrace) -> Iterator[tuple[str, str]]:
    """Every actor in the tree, and its status."""
    for actor in trace.actors:
        yield actor.actor, actor.status
    for child in trace.follow_ups:
        yield from _leaves(child)


def _by_user(posts: Iterable[Post]) -> dict[str, list[str]]:
    """The names that each user was given."""
    found: dict[str, list[str]] = {}
    for post in posts:
        found.setdefault(post.data["user_id"], []).append(post.data["name"])
    return found
