from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from tests.builders import NOBODY_LISTENS, an_event, asynchronous, waiting
from workers import keys
from workers.connection import connect_async
from workers.errors import UnavailableError
from workers.event import Event, Route
from workers.queue.limits import MAX_MESSAGE_BYTES, MessageTooLargeError
from workers.queue.publisher import AsyncPublisher, Outcome, Posting, fingerprint

ROUTES = {
    "user.signed_up": (Route("users.create", "users"),),
    "email.requested": (Route("email.deliver", "email"),),
}


class Post:
    """A publisher on a client that counts its calls, and tells when the first one begins."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.calls = 0
        self.began = asyncio.Event()
        self._held = ""
        self._publisher = AsyncPublisher(client, ROUTES, outside=ROUTES)
        self._evalsha = client.evalsha
        client.evalsha = self._counted  # type: ignore[method-assign]  # in the third party's way, not in ours

    def _counted(self, *args: Any, **options: Any) -> Any:
        self.calls += 1
        self.began.set()
        if self._held and args[2] == keys.stream(self._held):
            return asyncio.Event().wait()
        return self._evalsha(*args, **options)

    def hold(self, queue: str) -> None:
        """Let every call for this queue hang."""
        self._held = queue

    async def send_list(self, events: list[Event]) -> list[Any]:
        return await self._publisher.publish_all([Posting(event, fingerprint(event)) for event in events])

    async def send(self, event: Event, body: str | None = None) -> Outcome:
        return await self._publisher.publish(event, body or fingerprint(event))

    async def send_all(self, events: list[Event]) -> list[Outcome]:
        return await asyncio.gather(*(self.send(event) for event in events))


def posting(store: redis.Redis, act: Callable[[Post], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with asynchronous(store) as client:
            return await act(Post(client))

    return asyncio.run(run())


def test_an_event_is_stored_before_it_is_confirmed(store: redis.Redis) -> None:
    event = an_event(data={"name": "Ada"})
    outcome = posting(store, lambda post: post.send(event))
    assert outcome is Outcome.STORED
    assert waiting(store, "users") == [event]


def test_the_same_event_again_is_a_duplicate_and_another_body_a_conflict(store: redis.Redis) -> None:
    first, other = an_event(id="e-1", data={"name": "Ada"}), an_event(id="e-1", data={"name": "Bob"})
    outcomes = posting(store, lambda post: post.send_all([first, first, other]))
    assert outcomes == [Outcome.STORED, Outcome.DUPLICATE, Outcome.CONFLICT]
    assert waiting(store, "users") == [first]


def test_the_body_as_sent_decides_and_not_what_was_derived_from_it(store: redis.Redis) -> None:
    sent = an_event(id="e-1", data={"name": "Ada"})
    derived = an_event(id="e-1", data={"name": "Ada", "user_id": "u-1"})

    async def act(post: Post) -> list[Outcome]:
        return [await post.send(event, fingerprint(sent)) for event in (derived, sent)]

    assert posting(store, act) == [Outcome.STORED, Outcome.DUPLICATE]


def test_events_that_arrive_together_share_one_call(store: redis.Redis) -> None:
    async def act(post: Post) -> tuple[list[Outcome], int]:
        return await post.send_all([an_event() for _ in range(50)]), post.calls

    assert posting(store, act) == ([Outcome.STORED] * 50, 1)


def test_what_arrives_while_a_call_is_under_way_shares_the_next_one(store: redis.Redis) -> None:
    async def act(post: Post) -> tuple[list[Outcome], int]:
        first = asyncio.create_task(post.send(an_event()))
        await post.began.wait()
        rest = await post.send_all([an_event() for _ in range(20)])
        return [await first, *rest], post.calls

    assert posting(store, act) == ([Outcome.STORED] * 21, 2)


def test_each_caller_gets_the_answer_for_its_own_event(store: redis.Redis) -> None:
    known, fresh = an_event(), an_event()

    async def act(post: Post) -> list[Outcome]:
        await post.send(known)
        return await post.send_all([fresh, known, an_event(), known])

    assert posting(store, act) == [Outcome.STORED, Outcome.DUPLICATE, Outcome.STORED, Outcome.DUPLICATE]


def test_a_caller_that_goes_away_takes_nobody_with_it(store: redis.Redis) -> None:
    leaving, staying = an_event(), an_event()

    async def act(post: Post) -> Outcome:
        gone, stays = (asyncio.create_task(post.send(event)) for event in (leaving, staying))
        await post.began.wait()
        gone.cancel()
        return await stays

    assert posting(store, act) is Outcome.STORED
    assert {event.id for event in waiting(store, "users")} == {leaving.id, staying.id}


def test_nobody_waits_for_ever_on_a_server_that_is_away() -> None:
    async def act() -> list[Any]:
        async with connect_async(NOBODY_LISTENS) as client:
            post = Post(client)
            together = await asyncio.gather(*(post.send(an_event()) for _ in range(3)), return_exceptions=True)
            return [*together, *await asyncio.gather(post.send(an_event()), return_exceptions=True)]

    assert [type(error) for error in asyncio.run(act())] == [UnavailableError] * 4


def test_a_message_the_client_cannot_encode_is_refused_and_the_next_one_stored(store: redis.Redis) -> None:
    async def act(post: Post) -> Outcome:
        with pytest.raises(UnavailableError):
            await post.send(an_event(), {"no": "text"})  # type: ignore[arg-type]  # what must not hang its caller
        return await post.send(an_event())

    assert posting(store, act) is Outcome.STORED


def test_many_events_of_one_call_are_stored_by_one_call_and_answered_in_order(store: redis.Redis) -> None:
    known, other, huge = an_event(), an_event(), an_event(data={"name": "x" * MAX_MESSAGE_BYTES})
    changed = an_event(id=other.id, data={"name": "Bob"})

    async def act(post: Post) -> tuple[list[Any], int]:
        await post.send(known)
        return await post.send_list([other, huge, known, changed, other]), post.calls

    (first, too_large, *rest), calls = posting(store, act)
    assert first is Outcome.STORED
    assert isinstance(too_large, MessageTooLargeError)
    assert rest == [Outcome.DUPLICATE, Outcome.CONFLICT, Outcome.DUPLICATE]
    assert calls == 2
    assert [event.id for event in waiting(store, "users")] == [known.id, other.id]


def test_no_events_are_no_call(store: redis.Redis) -> None:
    async def act(post: Post) -> tuple[list[Any], int]:
        return await post.send_list([]), post.calls

    assert posting(store, act) == ([], 0)


def test_an_id_used_for_another_type_is_a_conflict_for_its_own_event_alone(store: redis.Redis) -> None:
    used = an_event("email.requested")

    async def act(post: Post) -> list[Any]:
        await post.send(used)
        return await post.send_list([an_event(), an_event(id=used.id), an_event()])

    assert posting(store, act) == [Outcome.STORED, Outcome.CONFLICT, Outcome.STORED]


def test_a_queue_whose_call_hangs_holds_up_no_other(store: redis.Redis) -> None:
    async def act(post: Post) -> Outcome:
        post.hold("email")
        held = asyncio.create_task(post.send(an_event("email.requested")))
        await post.began.wait()
        outcome = await asyncio.wait_for(post.send(an_event()), 10)
        held.cancel()
        return outcome

    assert posting(store, act) is Outcome.STORED
