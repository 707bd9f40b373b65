"""The short form of chaos: a few kills of each kind, and all is as if nothing had been killed."""

from __future__ import annotations

import random

import pytest

from tests.chaos.storm import SHORT, storm
from tests.chaos.table import table


@pytest.mark.timeout(300)
def test_whatever_is_killed_what_was_accepted_is_done_once_or_planned_to_be_dead() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    report = storm(SHORT, seed)
    print(table(report))
    assert report.verdict.broken == []
    assert report.verdict.done > 0
    assert report.kills == SHORT.kills
    assert set(report.exits.values()) == {0}
