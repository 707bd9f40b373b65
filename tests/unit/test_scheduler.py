from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import redis
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from actors.routes import ROUTES
from scheduler import JOBS, RETRY_S, Clock, FireTimes, Job, tick
from tests.builders import NOBODY_LISTENS, waiting
from tests.servers import eventually
from workers.connection import connect
from workers.errors import UnavailableError
from workers.event import Event
from workers.queue.publisher import Publisher

(PURGE, *_) = JOBS
NIGHT = datetime(2026, 7, 1, 3, 17, tzinfo=UTC)


class Stopping:
    """A process's stop signal that comes after so many waits, none of which takes time."""

    def __init__(self, after: int) -> None:
        self.waited: list[float] = []
        self._after = after

    def is_set(self) -> bool:
        return len(self.waited) >= self._after

    def wait(self, timeout: float) -> None:
        self.waited.append(timeout)


class Recovering(Publisher):
    """A publisher whose server is away for the first few calls."""

    def __init__(self, store: redis.Redis, *, away: int) -> None:
        super().__init__(store, ROUTES)
        self._away = away

    def publish(self, *events: Event) -> None:
        self._away -= 1
        if self._away >= 0:
            raise UnavailableError("Redis", "it is away")
        super().publish(*events)


def test_the_same_job_and_time_give_the_same_tick() -> None:
    elsewhere = NIGHT.astimezone(timezone(timedelta(hours=9)))
    one, other = tick(PURGE, NIGHT), tick(PURGE, elsewhere)
    assert (one.identity, one.data) == (other.identity, other.data)


@pytest.mark.parametrize("other", [(PURGE, NIGHT + timedelta(minutes=1)), (PURGE._replace(name="other"), NIGHT)])
def test_another_job_or_time_gives_another_tick(other: tuple[Job, datetime]) -> None:
    assert tick(PURGE, NIGHT).identity != tick(*other).identity


def test_a_tick_says_which_job_is_due_when_and_what_it_consists_of() -> None:
    event = tick(PURGE, NIGHT)
    assert event.type == "job.due"
    tasks = ["purge_receipts", "purge_dead_letters", "purge_api_keys", "purge_revocations"]
    assert event.data == {"job": "purge_expired", "fire_time": "2026-07-01T03:17:00Z", "tasks": tasks}


def test_a_tick_comes_from_a_source_that_no_caller_may_use() -> None:
    assert tick(PURGE, NIGHT).source.startswith("/luna/")


def test_two_clocks_that_publish_the_same_tick_fire_once(store: redis.Redis) -> None:
    for _ in range(2):
        Clock(Publisher(store, ROUTES)).publish(PURGE, [NIGHT])
    assert [event.id for event in waiting(store, "maintenance")] == ["purge_expired:2026-07-01T03:17:00.000Z"]


def test_every_fire_time_is_a_tick_of_its_own(store: redis.Redis) -> None:
    Clock(Publisher(store, ROUTES)).publish(PURGE, [NIGHT, NIGHT + timedelta(days=1)])
    assert len(waiting(store, "maintenance")) == 2


def test_a_tick_waits_while_the_server_is_away_and_is_published_when_it_is_back(store: redis.Redis) -> None:
    clock, stopping = Clock(Recovering(store, away=3)), Stopping(after=10)
    clock.stopping = stopping  # type: ignore[assignment]
    clock.publish(PURGE, [NIGHT])
    assert stopping.waited == [RETRY_S] * 3
    assert len(waiting(store, "maintenance")) == 1


def test_the_end_of_the_process_ends_the_wait() -> None:
    with connect(NOBODY_LISTENS) as away:
        clock, stopping = Clock(Publisher(away, ROUTES)), Stopping(after=2)
        clock.stopping = stopping  # type: ignore[assignment]
        clock.publish(PURGE, [NIGHT])
    assert len(stopping.waited) == 2


def test_a_due_trigger_publishes_the_tick_of_its_fire_time(store: redis.Redis) -> None:
    clock, missed = Clock(Publisher(store, ROUTES)), datetime.now(UTC) - timedelta(hours=1)
    scheduler = BackgroundScheduler(timezone=UTC, executors={"default": FireTimes()})
    scheduler.add_job(
        clock.publish, IntervalTrigger(days=1), args=[PURGE], next_run_time=missed, misfire_grace_time=None
    )
    scheduler.start()
    (event,) = eventually(lambda: waiting(store, "maintenance"))
    scheduler.shutdown()
    assert event.identity == tick(PURGE, missed).identity


def test_the_jobs_have_names_of_their_own_and_fire_in_utc() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    for job in JOBS:
        fires = job.trigger.get_next_fire_time(None, datetime(2026, 3, 29, tzinfo=timezone(timedelta(hours=1))))
        assert fires.utcoffset() == timedelta(0)
