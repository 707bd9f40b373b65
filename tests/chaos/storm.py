"""One storm: the house runs, clients post, the killer kills; then all must be as if nothing had been killed."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.audit import Audit, Verdict
from tests.chaos.house import House
from tests.chaos.kills import Killer, Recovery, Target, schedule
from tests.chaos.plan import Plan, Post, sign_up
from tests.chaos.producer import Producer
from tests.gateway import bearer
from tests.servers import eventually
from workers.errors import UnavailableError

LEASE_S = 2.0
USERS = 40


@dataclass(frozen=True)
class Weather:
    """How long events are posted and how many a second, how often each target is killed, and how long it may take
    until the queues are empty afterwards."""

    seconds: float
    rate: float
    kills: Mapping[Target, int]
    drained_within_s: float


LONG = Weather(
    75,
    300,
    {
        Target.VALKEY: 5,
        Target.GATEWAY: 5,
        Target.WORKER: 4,
        Target.WORKER_CHILD: 4,
        Target.MAILER: 3,
        Target.MAILER_CHILD: 2,
        Target.SCHEDULER: 2,
    },
    180,
)
SHORT = Weather(6, 100, {**dict.fromkeys(Target, 1), Target.VALKEY: 2, Target.GATEWAY: 2}, 60)


@dataclass
class Report:
    """What a storm came to."""

    seed: int
    posted_s: float = 0.0
    drained_s: float = 0.0
    sent: int = 0
    accepted: int = 0
    slowest_s: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    kills: Counter[Target] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    recoveries: list[Recovery] = field(default_factory=list)
    exits: dict[str, int] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=Verdict)


def storm(weather: Weather, seed: int) -> Report:
    """Run it. The data stay where they are when it fails."""
    folder = Path(tempfile.mkdtemp(prefix="luna-chaos-"))
    house, held = House(folder, LEASE_S), False
    try:
        report = _storm(house.open(), weather, seed)
        held = not report.verdict.broken
    finally:
        house.close()
        if held:
            shutil.rmtree(folder)
        else:
            print(f"logs and data: {folder}")
    return report


def _storm(house: House, weather: Weather, seed: int) -> Report:
    report, chance = Report(seed), random.Random(f"kills {seed}")
    producer = Producer(house.port, bearer("chaos", "events:write"))
    plan = _plan(house, producer, random.Random(f"posts {seed}"))
    killer = Killer(house, schedule(chance, weather.kills, weather.seconds), chance)
    began = time.monotonic()
    killer.start()
    producer.run(plan, weather.rate, weather.seconds)
    report.posted_s = time.monotonic() - began
    report.recoveries, report.kills = killer.finish(), killer.done
    report.sent, report.accepted = producer.sent, len(producer.accepted)
    report.answers, report.slowest_s = producer.answers, producer.slowest_s
    ticks = house.output("scheduler")
    report.exits["scheduler"] = house.stop("scheduler")
    report.drained_s = _drain(house, weather.drained_within_s)
    report.verdict = _verdict(house, producer, ticks)
    report.restarts = house.restarts
    report.exits |= house.stop_all()
    return report


def _plan(house: House, producer: Producer, chance: random.Random) -> Plan:
    """Users to be changed, and addresses that are taken, are there before the first kill."""
    posts = [sign_up(f"first-{number}@example.com") for number in range(USERS)]
    producer.run(posts, rate=1000)
    eventually(lambda: _drained(house), within=30, what="the first users")
    subjects = [str(producer.accepted[post.id].subject) for post in posts]
    return Plan(chance, subjects, [_address(post) for post in posts])


def _address(post: Post) -> str:
    return str(post.data["email"])


def _drain(house: House, within: float) -> float:
    """Wait until all queues are empty, or time is up: then the audit says what is left. How long it took."""
    began = time.monotonic()
    while not _drained(house) and time.monotonic() - began < within:
        time.sleep(0.1)
    return time.monotonic() - began


def _drained(house: House) -> bool:
    try:
        return not any(state.ready or state.running or state.delayed for state in house.operations.queues())
    except UnavailableError:
        return False


def _verdict(house: House, producer: Producer, ticks: str) -> Verdict:
    audit = Audit(house, producer)
    audit.check_queues()
    audit.check_traces()
    audit.check_ticks(ticks)
    audit.check_letters()
    audit.check_users()
    audit.check_mail()
    return audit.verdict
