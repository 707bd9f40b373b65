"""The benchmarks measure what runs in production, and go on running."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from actors import boot
from benchmarks.gateway import checked
from benchmarks.limits import LUNA, Cell
from benchmarks.report import markdown
from benchmarks.server import Server
from tests.builders import NOBODY_LISTENS
from tests.processes import ROOT
from workers.settings import Settings


def luna_broker() -> Any:
    path = ROOT / "benchmarks" / "systems" / "luna_broker.py"
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_luna_is_measured_with_the_middleware_of_its_workers(tmp_path: Path) -> None:
    broker = boot.build(Settings.model_validate({"REDIS_URL": NOBODY_LISTENS, "LUNA_DATA_DIR": tmp_path / "var"}))
    ours = [type(middleware).__name__ for middleware in broker.middleware]
    measured = [type(middleware).__name__ for middleware in luna_broker().middleware()]
    assert [name for name in ours if name not in {"StartChecks", "StopOnce", "Lifecycle"}] == measured


def test_a_cell_runs_and_is_kept(tmp_path: Path) -> None:
    options = ["--systems", "luna", "--cells", "drain_by_one", "--quick", "--rounds", "1", "--results", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    (kept,) = tmp_path.glob("*.jsonl")
    _, cell = map(json.loads, kept.read_text().splitlines())
    assert cell["figures"]["drain1"] > 0
    assert "| luna |" in done.stdout


@pytest.mark.parametrize(
    ("way", "clients"),
    [("script", 1), ("grouped, 100 callers", 1), ("grouped, 20 callers", 1), ("limiter", 1), ("limiter", 64)],
)
def test_the_limits_are_decided_in_each_way_that_is_measured(way: str, clients: int) -> None:
    with Server() as server:
        assert Cell(LUNA, way, clients, 640).measure(server) > 0


def test_the_table_has_medians_and_ratios_and_tells_of_what_failed() -> None:
    facts = {
        "rounds": 3,
        "cores": 2,
        "cpu": "a CPU",
        "memory_gb": 4,
        "kernel": "6.1",
        "python": "3.11",
        "server": "a server",
        "persistence": "no persistence",
        "keeps": ["luna", "dramatiq"],
        "versions": {"luna": "x 1", "dramatiq": "x 1"},
    }
    cells: list[dict[str, Any]] = [
        {"round": n, "system": system, "cell": "drain_by_two", "figures": {"drain2": rate}}
        for n, (system, rate) in enumerate([("dramatiq", 100), ("luna", 900), ("luna", 700), ("luna", 800)])
    ]
    cells.append({"round": 4, "system": "luna", "cell": "idle", "error": "1 of 2 jobs ran"})
    text = markdown(facts, cells)
    assert "| luna | **800** (700–900) ×8.00 |" in text
    assert "luna and dramatiq: x 1." in text
    assert "* luna, idle, round 4: 1 of 2 jobs ran" in text


@pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")
def test_the_gateway_is_measured() -> None:
    command = [sys.executable, "-m", "benchmarks.gateway", "--systems", "luna", "--rounds", "1", "--seconds", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    assert "| luna | one event | **" in done.stdout
    assert "| luna | one event with an id | **" in done.stdout


@pytest.mark.parametrize(
    ("figures", "stored"),
    [
        ({"answers": 1000, "refused": 0, "lost": 0}, 999),
        ({"answers": 1000, "refused": 0, "lost": 0}, 1065),
        ({"answers": 1000, "refused": 1, "lost": 0}, 1000),
        ({"answers": 1000, "refused": 0, "lost": 1}, 1000),
        ({"answers": 0, "refused": 0, "lost": 0}, 0),
    ],
)
def test_no_figure_counts_whose_events_are_not_stored(figures: dict[str, float], stored: int) -> None:
    with pytest.raises(RuntimeError):
        checked({**figures, "seconds": 2.0}, stored, size=1)


def test_what_was_under_way_at_the_end_may_be_stored_as_well() -> None:
    assert checked({"answers": 10, "refused": 0, "lost": 0, "seconds": 2.0}, 1100, size=100)["events_s"] == 500
