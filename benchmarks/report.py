"""The table: medians with the least and the most of the rounds, and ratios to Dramatiq's own broker of the same run."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

BASE = "dramatiq"


class Column(NamedTuple):
    """One figure: its key in the results, its heading, how it is printed."""

    key: str
    heading: str
    digits: int = 0
    unit: float = 1.0
    ratio: bool = False


COLUMNS = (
    Column("drain2", "drain, 2 processes, jobs/s", ratio=True),
    Column("drain1", "1 process, jobs/s", ratio=True),
    Column("enqueue", "enqueue, jobs/s", ratio=True),
    Column("bulk", "bulk, jobs/s"),
    Column("pickup_p50_ms", "pickup p50, ms", 2),
    Column("pickup_p99_ms", "p99, ms", 1),
    Column("rare_p50_ms", "rare job p50, ms", 1),
    Column("rare_p99_ms", "p99, ms", 1),
    Column("pss_mb", "PSS, MB", ratio=True),
    Column("idle_cpu", "idle, % of a core", 1, 100.0),
)


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The facts of the run and its cells."""
    facts, *cells = [json.loads(line) for line in path.read_text().splitlines()]
    return facts, cells


def markdown(facts: dict[str, Any], cells: Iterable[dict[str, Any]]) -> str:
    """The whole report."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    errors = []
    for cell in cells:
        for key, value in cell.get("figures", {}).items():
            found[cell["system"]][key].append(value)
        if "error" in cell:
            errors.append(f"* {cell['system']}, {cell['cell']}, round {cell['round']}: {cell['error']}")
    lines = [_row(["", *(column.heading for column in COLUMNS)]), _row(["---"] * (len(COLUMNS) + 1))]
    for name, figures in found.items():
        lines.append(_row([_name(name, facts), *(_cell(column, figures, found.get(BASE, {})) for column in COLUMNS)]))
    return "\n".join([*lines, "", *_notes(facts), *errors])


def _notes(facts: dict[str, Any]) -> list[str]:
    machine = (
        f"{facts['cores']} cores ({facts['cpu']}), {facts['memory_gb']} GB, Linux {facts['kernel']}, "
        f"Python {facts['python']}, {facts['server']}, {facts['persistence']}; "
        "server, workers and sender share the cores"
    )
    rounds = "One round" if facts["rounds"] == 1 else f"Medians of {facts['rounds']} rounds (least–most)"
    versions: dict[str, list[str]] = {version: [] for version in facts["versions"].values()}
    for name, version in facts["versions"].items():
        versions[version].append(name)
    return [
        f"{rounds}; × is the ratio to Dramatiq's own broker in the same run. {machine}.",
        "",
        "; ".join(f"{' and '.join(names)}: {version}" for version, names in versions.items()) + ".",
        "",
    ]


def _name(name: str, facts: dict[str, Any]) -> str:
    return name if name in facts["keeps"] else f"{name} (loses jobs with a killed worker)"


def _cell(column: Column, figures: dict[str, list[float]], base: dict[str, list[float]]) -> str:
    values = figures.get(column.key)
    if not values:
        return "–"
    text = f"**{_number(column, median(values))}**"
    if len(values) > 1:
        text += f" ({_number(column, min(values))}–{_number(column, max(values))})"
    if column.ratio and base.get(column.key):
        text += f" ×{median(values) / median(base[column.key]):.2f}"
    return text


def _number(column: Column, value: float) -> str:
    return f"{value * column.unit:,.{column.digits}f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
