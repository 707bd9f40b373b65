"""Promise 5: a message that kills its worker is caught, and its neighbours are not charged."""

from __future__ import annotations

import redis

from tests.queues import Log, Process, add, empty, letters, message
from tests.servers import Valkey, eventually


def test_a_message_that_kills_its_worker_is_dead_after_three_recorded_starts(
    valkey: Valkey, client: redis.Redis, log: Log
) -> None:
    add(client, message("die").encode())
    for number in range(1, 5):  # the first start is not recorded: only a message delivered again pays a round trip
        with Process(valkey, lease_s=0.5) as process:
            eventually(lambda process=process: process.ended)
        assert log.lines == ["die"] * number
    with Process(valkey, lease_s=0.5) as process:
        (letter,) = eventually(lambda: letters(client))
        eventually(lambda: empty(client))
        assert process.terminate() == 0
    assert letter["reason"] == "worker lost"
    assert letter["attempts"][-1]["message"].startswith("3 workers ended")
    assert log.lines == ["die"] * 4


def test_of_many_prefetched_neighbours_none_is_charged_and_each_runs_once(
    valkey: Valkey, client: redis.Redis, log: Log
) -> None:
    neighbours = [f"n{number}" for number in range(60)]
    client.set("go", "1")
    add(client, message("die").encode())
    for line in neighbours:
        add(client, message("note", line).encode())
    for _ in range(4):
        with Process(valkey, threads=1, lease_s=0.5, prefetch=200) as process:
            eventually(lambda process=process: process.ended or letters(client))
    with Process(valkey, threads=1, lease_s=0.5, prefetch=200) as process:
        log.holds(*neighbours)
        eventually(lambda: empty(client))
        assert process.terminate() == 0
    assert [letter["actor"] for letter in letters(client)] == ["die"]
    assert sorted(line for line in log.lines if line != "die") == sorted(neighbours)
