"""What `make chaos` measures, in small: only that it comes to an end, never how long it took."""

from __future__ import annotations

import random

from tests.chaos.delayed import patience
from tests.chaos.recovery import recoveries
from tests.servers import Valkey


def test_the_messages_of_the_only_busy_worker_are_taken_over(valkey: Valkey) -> None:
    took = recoveries(valkey, kills=1, lease_s=0.5, chance=random.Random(1))
    print(took)
    assert len(took) == 1


def test_a_due_message_is_delivered_beside_many_that_wait(valkey: Valkey) -> None:
    found = patience(valkey, 2_000, looks=1)
    print(found)
    assert found.stored == 2_000
