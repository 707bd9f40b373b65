"""Decisions a second over four layers, beside the moving window of the `limits` library: both on one Redis, in one run.

`python -m benchmarks.limits`. One by one: each decision is asked for when the last one is there. 64 clients: asyncio
clients of one process. Grouped: 100 decisions in one call, for which the library has none. All decisions are "passes".
"""

from __future__ import annotations

import subprocess
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.environments import own, virtual
from benchmarks.server import Server

ROUNDS = 5
CLIENTS = 64
DECIDE = Path(__file__).parent / "systems" / "decide.py"
LUNA, LIBRARY = "limits_luna", "limits_library"
PROGRAMS: dict[str, Callable[[], Path]] = {LUNA: own, LIBRARY: virtual("limits")}


class Cell(NamedTuple):
    """A way to ask, by how many at once."""

    module: str
    way: str
    clients: int
    decisions: int

    def measure(self, server: Server) -> float:
        """Decisions a second."""
        server.empty()
        program = [str(PROGRAMS[self.module]() / "python"), str(DECIDE)]
        numbers = (self.clients, self.decisions, server.port)
        command = [*program, self.module, self.way, *map(str, numbers)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


SCRIPT = Cell(LUNA, "script", 1, 6_000)
STRANGERS, GROUPED = (Cell(LUNA, f"grouped, {callers} callers", 1, 60_000) for callers in (100, 20))
ONE_BY_ONE, TOGETHER = Cell(LUNA, "limiter", 1, 6_000), Cell(LUNA, "limiter", CLIENTS, 32_000)
SYNCHRONOUS = Cell(LIBRARY, "synchronous", 1, 2_000)
ASYNCIO = ("redis-py", "redis-py, layers together", "coredis", "coredis, layers together")
LIBRARY_ONE_BY_ONE = [Cell(LIBRARY, way, 1, 1_000) for way in ASYNCIO]
LIBRARY_TOGETHER = [Cell(LIBRARY, way, CLIENTS, 3_200) for way in ASYNCIO]
CELLS = [SCRIPT, SYNCHRONOUS, STRANGERS, GROUPED, ONE_BY_ONE, *LIBRARY_ONE_BY_ONE, TOGETHER, *LIBRARY_TOGETHER]

COMPARED = {
    "one by one": (SCRIPT, [SYNCHRONOUS]),
    "one by one, asyncio": (ONE_BY_ONE, LIBRARY_ONE_BY_ONE),
    f"{CLIENTS} clients, asyncio": (TOGETHER, LIBRARY_TOGETHER),
    "grouped, each of another caller, beside one by one": (STRANGERS, [SYNCHRONOUS]),
    "grouped, of 20 callers, beside one by one": (GROUPED, [SYNCHRONOUS]),
}

Round = dict[Cell, float]


def table(rounds: list[Round]) -> str:
    """Medians with their ranges, then our figure by their best, round by round."""
    lines = ["| limiter | way | clients | decisions/s |", "| --- | --- | --- | --- |"]
    for cell in CELLS:
        rates = [figures[cell] for figures in rounds]
        who = cell.module.removeprefix("limits_")
        spread = f"{median(rates):,.0f} ({min(rates):,.0f}–{max(rates):,.0f})"
        lines.append(f"| {who} | {cell.way} | {cell.clients} | {spread} |")
    lines.append("")
    for name, (ours, theirs) in COMPARED.items():
        ratios = [figures[ours] / max(figures[cell] for cell in theirs) for figures in rounds]
        lines.append(f"* {name}: ×{median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter).parse_args()
    with Server() as server:
        rounds = [{cell: cell.measure(server) for cell in CELLS} for _ in range(ROUNDS)]
        print(f"{server.name}; medians of {ROUNDS} rounds, each cell once a round.\n\n{table(rounds)}")


if __name__ == "__main__":
    main()
