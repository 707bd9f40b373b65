"""Figures for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tests.chaos.kills import Recovery
from tests.chaos.storm import Report

SHOWN = 20


def table(report: Report) -> str:
    """What a storm came to, line by line."""
    verdict = report.verdict
    alone = [recovery for recovery in report.recoveries if recovery.alone]
    others = [recovery for recovery in report.recoveries if not recovery.alone]
    rows: list[tuple[str, Any]] = [
        ("seed", report.seed),
        ("sent", f"{report.sent} in {report.posted_s:.1f} s, {report.sent / report.posted_s:.0f} a second"),
        ("answers", counts(report.answers)),
        ("accepted", f"{report.accepted}, the slowest after {report.slowest_s:.1f} s"),
        ("done", f"{verdict.done}, {report.drained_s:.1f} s after the last post"),
        ("dead", f"{verdict.dead} planned, {len(verdict.unplanned)} unplanned"),
        ("lost", len(verdict.lost)),
        ("doubled", len(verdict.doubled)),
        ("e-mails", f"{verdict.mails}, of them unknown {verdict.unknown}, of them sent again {verdict.sent_again}"),
        ("ticks done", verdict.ticks),
        ("kills", f"{report.kills.total()}: {counts(report.kills)}"),
        ("restarts", counts(report.restarts)),
        ("recovery, kill alone", recoveries(alone)),
        ("recovery, of several", recoveries(others)),
        ("exit statuses", counts(report.exits)),
    ]
    broken = verdict.broken
    more = [f"… and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
    return "\n".join([*(f"{name:<22}{value}" for name, value in rows), *broken[:SHOWN], *more])


def counts(found: Mapping[Any, int]) -> str:
    """Each name and its number."""
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items())) or "none"


def recoveries(found: Sequence[Recovery]) -> str:
    """The middle, the worst, and each with the messages it was about."""
    if not found:
        return "none"
    took = [recovery.took_s for recovery in found]
    each = ", ".join(f"{recovery.took_s:.1f} ({recovery.target}, {recovery.entries})" for recovery in found)
    return f"p50 {median(took):.1f} s, max {max(took):.1f} s: {each}"
