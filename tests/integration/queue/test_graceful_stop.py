"""Promise 8: what is prefetched is handed back at once, what runs is finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import dramatiq
import pytest
import redis

from tests.queues import ROOT, Brokers, Log, add, empty, letters, message, pending, working
from tests.servers import Valkey, eventually
from workers import keys


def test_prefetched_messages_are_handed_back_at_once_and_taken_before_newer_ones(
    new_broker: Brokers, client: redis.Redis, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.QUEUE_PREFETCH", 4)
    go, one, other = threading.Event(), new_broker(lease_s=30), new_broker(lease_s=30)

    @dramatiq.actor(broker=one, actor_name="work")
    def work(line: str) -> None:
        log.add(f"begin {line}")
        go.wait(20)
        log.add(f"end {line}")

    @dramatiq.actor(broker=other, actor_name="work")
    def note(line: str) -> None:
        log.add(line)

    ids = [add(client, message("work", line).encode()) for line in ("0", "1", "2", "3")]
    with working(one, threads=1) as worker:
        log.holds("begin 0")
        (lane,) = one.workplace.lanes.values()
        eventually(lambda: len(lane._held) == 4)  # noqa: SLF001
        add(client, message("work", "newer").encode())
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        eventually(lambda: pending(client).get("released") == 3, within=2)
        released = client.xpending_range(keys.stream("default"), "workers", "-", "+", 9, consumername="released")
        assert [row["message_id"].decode() for row in released] == ids[1:]
        with working(other, threads=1):
            log.holds("1", "2", "3", "newer")
        go.set()
        stopping.join()
    assert log.lines == ["begin 0", "1", "2", "3", "newer", "end 0"]
    assert empty(client)


def test_a_stopping_worker_rests_while_it_waits_for_its_actors(new_broker: Brokers, log: Log) -> None:
    go, broker = threading.Event(), new_broker()

    @dramatiq.actor(broker=broker)
    def work() -> None:
        log.add("begin")
        go.wait(20)

    work.send()
    with working(broker, threads=1) as worker:
        log.holds("begin")
        (lane,) = broker.workplace.lanes.values()
        reads, read = [], lane.read
        lane.read = lambda timeout_s: (reads.append(timeout_s), read(timeout_s))[1]  # type: ignore[method-assign]
        stopping = threading.Thread(target=worker.stop)
        stopping.start()
        eventually(lambda: len(reads) > 5)
        count, tend_at = len(reads), lane._tend_at  # noqa: SLF001
        eventually(lambda: lane._tend_at > tend_at)  # noqa: SLF001  at most half a second
        reads_in_half_a_second = len(reads) - count
        go.set()
        stopping.join()
    assert reads_in_half_a_second < 50


def test_several_processes_under_sigterm_lose_nothing_and_leave_no_consumer(
    valkey: Valkey, client: redis.Redis, log: Log, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REDIS_URL": valkey.url}
    lines = [f"m{number}" for number in range(2000)]
    for line in lines:
        add(client, message("note", line).encode())
    command = [sys.executable, "-m", "dramatiq", "tests.integration.queue.program", "-p", "2", "-t", "4"]
    rounds = 0
    while not rounds or not empty(client):
        rounds += 1
        before = len(log.lines)
        with (tmp_path / "dramatiq.log").open("ab") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            eventually(lambda before=before: len(log.lines) > before + 300 or empty(client))
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(10)
        assert set(pending(client)) <= {"released"}
    assert sorted(log.lines) == sorted(lines)
    assert not letters(client)
