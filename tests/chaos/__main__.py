"""`make chaos`: the long form. The exit status is 1 when a promise was broken."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.chaos.delayed import patience
from tests.chaos.recovery import PROMISED_S, recoveries
from tests.chaos.storm import LEASE_S, LONG, SHORT, storm
from tests.chaos.table import table
from tests.servers import Valkey

KILLS = 20
MANY = 1_000_000

Part = Callable[[int], bool]


def a_storm(seed: int) -> bool:
    report = storm(LONG, seed)
    print(table(report), flush=True)
    return not report.verdict.broken


def a_short_storm(seed: int) -> bool:
    report = storm(SHORT, seed)
    print(table(report), flush=True)
    return not report.verdict.broken


def recovery(seed: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Path(folder)).start()
        try:
            took = sorted(recoveries(server, KILLS, LEASE_S, random.Random(seed)))
        finally:
            server.stop()
    print(f"recovery of the only busy worker, lease {LEASE_S} s: p50 {median(took):.2f} s, max {took[-1]:.2f} s")
    print(" ".join(f"{seconds:.2f}" for seconds in took), flush=True)
    return took[-1] <= LEASE_S + PROMISED_S


def delayed(_seed: int) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Path(folder), appendfsync="everysec").start()
        try:
            found = patience(server, MANY)
        finally:
            server.stop()
    print(
        f"{found.stored} delayed messages: one due now delivered after {found.delivered_s:.3f} s, "
        f"no worker grew by more than {max(0, found.grown_kib)} KiB",
        flush=True,
    )
    return found.kept


PARTS: dict[str, Part] = {"storm": a_storm, "recovery": recovery, "delayed": delayed, "short": a_short_storm}

LONG_FORM = ("storm", "recovery", "delayed")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="instead of storm, recovery and delayed")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the same kills in the same order")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    kept = {part: PARTS[part](options.seed) for part in options.only or LONG_FORM}
    print("; ".join(f"{part}: {'kept' if well else 'BROKEN'}" for part, well in kept.items()))
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
