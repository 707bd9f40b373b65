"""The lanes, the settler and their scripts against a small model: no message vanishes, and none is in two places.

On the real server only: fakeredis drops an emptied stream together with its group.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import redis
from dramatiq import Message
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.servers import Valkey
from workers import keys
from workers.queue.delivery import Delivery
from workers.queue.lane import Lane
from workers.queue.scripts import DELAY
from workers.queue.settler import Settler

QUEUE = "q"
STREAM, DELAYED, BODIES = keys.stream(QUEUE), keys.delayed(QUEUE), keys.delayed_messages(QUEUE)
LEASE_MS, FAR_MS = 3_600_000, 10**9

workers = st.integers(0, 2)
picks = st.integers(0, 50)
fates = st.sampled_from(["done", "again", "later", "dead"])


class Worker:
    """One worker process: its lane, its settler, and what it was given."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.name = name
        self.lane = Lane(client, QUEUE, name, LEASE_MS)
        self.lane.open(64, 64)
        self.lane._take_over_at = 0.0  # noqa: SLF001 the server is old
        self.settler = Settler(client, name, lambda _: None, lambda _: None)
        self.held: dict[str, Delivery] = {}

    def read(self) -> list[Delivery]:
        self.lane._tend_at = 0.0  # noqa: SLF001 it tends before each read
        deliveries = []
        for entry_id, payload, count, again in self.lane.read(0):
            delivery = Delivery(Message.decode(payload), self.lane, entry_id, count, again=again)
            self.lane.hold(delivery)
            deliveries.append(delivery)
        return deliveries

    def settle(self, delivery: Delivery) -> None:
        del self.held[delivery.entry_id]
        self.lane.finished()
        assert self.settler._settle_group([delivery]) == []  # noqa: SLF001 on this thread


class QueueMachine(RuleBasedStateMachine):
    """What the model knows: who may settle which entry, and how each message ended."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        self.client = client
        client.flushall()
        self.sent = 0
        self.named = 0
        self.owners: dict[str, str] = {}  # entry id: worker that was given it last
        self.free: set[str] = set()  # entries that may be given to another: released, or their lease has ended
        self.done: set[int] = set()
        self.dead: set[int] = set()
        self.paused = False

    @initialize()
    def boot(self) -> None:
        self.workers = [self._worker() for _ in range(3)]

    def _worker(self) -> Worker:
        self.named += 1
        worker = Worker(self.client, f"w{self.named}")
        self._read(worker)  # creates the group
        self._read(worker)  # from now on it knows the server's clock, and may take over
        return worker

    def _body(self) -> bytes:
        self.sent += 1
        return Message(queue_name=QUEUE, actor_name="a", args=(self.sent,), kwargs={}, options={}).encode()

    @rule()
    def enqueue(self) -> None:
        self.client.xadd(STREAM, {"m": self._body()})

    @rule(due=st.booleans())
    def enqueue_delayed(self, due: bool) -> None:
        DELAY.run(self.client, [DELAYED, BODIES], [f"d{self.sent}", -1 if due else FAR_MS, self._body()])

    @rule()
    def time_passes(self) -> None:
        for name in self.client.zrange(DELAYED, 0, -1):
            self.client.zadd(DELAYED, {name: 1})

    @rule(at=workers)
    def fetch(self, at: int) -> None:
        self._read(self.workers[at])

    def _read(self, worker: Worker) -> None:
        deliveries = worker.read()
        assert not (deliveries and self.paused)
        for delivery in deliveries:
            entry_id = delivery.entry_id
            assert entry_id not in self.owners or entry_id in self.free
            assert delivery.again == (entry_id in self.owners)
            self.free.discard(entry_id)
            self.owners[entry_id] = worker.name
            worker.held[entry_id] = delivery
        for entry_id in self.free & worker.held.keys():
            if self._held_by(worker.name, entry_id):  # its own again, before it knew that it had lost it
                self.owners[entry_id] = worker.name
                self.free.discard(entry_id)

    def _held_by(self, name: str, entry_id: str) -> bool:
        rows = self.client.xpending_range(STREAM, "workers", entry_id, entry_id, 1, consumername=name, idle=0)
        return any(row["time_since_delivered"] < LEASE_MS for row in rows)

    @rule(at=workers, pick=picks, fate=fates)
    def settle(self, at: int, pick: int, fate: str) -> None:
        worker = self.workers[at]
        if not worker.held:
            return
        delivery = list(worker.held.values())[pick % len(worker.held)]
        if fate == "dead":
            delivery.fail()
            delivery.fail_with(RuntimeError(fate))
        elif fate != "done":
            delivery.retry_delay_ms = 0 if fate == "again" else FAR_MS
        owned = self.owners.get(delivery.entry_id) == worker.name and not delivery.lost
        worker.settle(delivery)
        if owned:
            del self.owners[delivery.entry_id]
            self.free.discard(delivery.entry_id)
            if fate in {"done", "dead"}:
                (self.done if fate == "done" else self.dead).add(delivery.args[0])

    @rule(at=workers, by=workers, pick=picks, fate=fates)
    def late_owner(self, at: int, by: int, pick: int, fate: str) -> None:
        """A worker stands still for longer than a lease, and settles when another has its messages."""
        self.leases_end(at)
        self.fetch(by)
        self.settle(at, pick, fate)

    @rule(at=workers, by=workers)
    def late_release(self, at: int, by: int) -> None:
        """The same, and it hands back what is another's by now."""
        self.leases_end(at)
        self.fetch(by)
        self.release(at)

    @rule(at=workers)
    def begin(self, at: int) -> None:
        worker = self.workers[at]
        for entry_id, delivery in worker.held.items():
            assert worker.lane.begin(delivery) == (self.owners.get(entry_id) == worker.name)

    @rule(at=workers)
    def leases_end(self, at: int) -> None:
        self._expire(self.workers[at].name)

    def _expire(self, name: str) -> None:
        for row in self.client.xpending_range(STREAM, "workers", "-", "+", 1000, consumername=name):
            entry_id = row["message_id"].decode()
            self.client.xclaim(STREAM, "workers", name, 0, [entry_id], idle=2 * LEASE_MS, justid=True)
            self.free.add(entry_id)

    @rule(at=workers)
    def renew(self, at: int) -> None:
        worker = self.workers[at]
        worker.lane.renew()
        for entry_id, delivery in worker.held.items():
            assert delivery.lost == (self.owners.get(entry_id) != worker.name)
            if not delivery.lost:
                self.free.discard(entry_id)

    @rule(at=workers)
    def crash(self, at: int) -> None:
        """Killed, and another started in its place; its leases end."""
        name = self.workers[at].name
        self._expire(name)
        self.workers[at] = self._worker()

    @rule(at=workers)
    def release(self, at: int) -> None:
        worker = self.workers[at]
        ids = list(worker.held)
        worker.held.clear()
        worker.lane.release(ids)
        for entry_id in ids:
            if self.owners.get(entry_id) == worker.name:
                self.owners[entry_id] = "released"
                self.free.add(entry_id)

    @rule()
    def pause(self) -> None:
        self.paused = True
        self.client.set(keys.paused(QUEUE), "x")

    @rule()
    def resume(self) -> None:
        self.paused = False
        self.client.delete(keys.paused(QUEUE))

    @rule()
    def destroy_group(self) -> None:
        """The server loses who holds what: everything in the stream is delivered again."""
        self.resume()
        self.client.xgroup_destroy(STREAM, "workers")
        self.owners.clear()
        self.free.clear()
        self._read(self.workers[0])  # creates it again

    @invariant()
    def every_message_is_in_one_place(self) -> None:
        found: Counter[Any] = Counter(self.done)
        found.update(_number(fields[b"m"]) for _, fields in self.client.xrange(STREAM))
        found.update(_number(body) for body in self.client.hvals(BODIES))
        found.update(_letter(body) for body in self.client.hvals(keys.letters(QUEUE)))
        assert found == Counter(range(1, self.sent + 1))

    @invariant()
    def what_is_said_twice_agrees(self) -> None:
        assert set(self.client.hkeys(BODIES)) == set(self.client.zrange(DELAYED, 0, -1))
        letters = self.client.hvals(keys.letters(QUEUE))
        assert {_letter(body) for body in letters} == self.dead
        assert self.client.zcard(keys.dead(QUEUE)) == len(letters)
        entries = {entry_id for entry_id, _ in self.client.xrange(STREAM)}
        if self.client.exists(STREAM) and self.client.xinfo_groups(STREAM):
            rows = self.client.xpending_range(STREAM, "workers", "-", "+", 1000)
            assert {row["message_id"].decode(): row["consumer"].decode() for row in rows} == self.owners
            assert {row["message_id"] for row in rows} <= entries

    def teardown(self) -> None:
        """Whatever happened before, one worker brings everything to its end."""
        self.resume()
        for worker in self.workers:
            self._expire(worker.name)
        last = self._worker()
        rounds = 0
        while self.client.xlen(STREAM) + self.client.zcard(DELAYED):
            rounds += 1
            assert rounds < 20
            self.time_passes()
            self._read(last)
            for delivery in list(last.held.values()):
                last.settle(delivery)
                del self.owners[delivery.entry_id]
                self.done.add(delivery.args[0])
        self.every_message_is_in_one_place()


def _number(body: bytes) -> Any:
    return Message.decode(body).args[0]


def _letter(body: bytes) -> Any:
    return orjson.loads(body)["message"]["args"][0]


def test_no_message_vanishes_and_none_is_in_two_places(valkey: Valkey) -> None:
    profile = settings(
        max_examples=8,
        stateful_step_count=40,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # shrinking takes minutes; the steps are printed all the same
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    with valkey.client() as client:
        run_state_machine_as_test(lambda: QueueMachine(client), settings=profile)
