from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from actors import boot
from actors.routes import QUEUE_OF
from tests.builders import NOBODY_LISTENS
from workers.settings import Settings

ROOT = Path(__file__).parents[3]


def test_the_broker_has_every_actor_on_its_queue_and_building_it_does_no_io(tmp_path: Path) -> None:
    broker = boot.build(Settings.model_validate({"REDIS_URL": NOBODY_LISTENS, "LUNA_DATA_DIR": tmp_path / "var"}))
    assert {name: broker.get_actor(name).queue_name for name in broker.get_declared_actors()} == QUEUE_OF
    assert broker.get_declared_queues() == set(QUEUE_OF.values())
    assert not (tmp_path / "var").exists()


def test_logs_read_the_verdict_of_retries_and_a_time_limit_is_called_off_first(
    tmp_path: Path,
) -> None:
    broker = boot.build(Settings.model_validate({"REDIS_URL": NOBODY_LISTENS, "LUNA_DATA_DIR": tmp_path / "var"}))
    order = [type(middleware).__name__ for middleware in broker.middleware]
    assert order[0] == "StartChecks"
    assert order.index("LogContext") < order.index("Retries") < order.index("TimeLimit")


def test_importing_it_needs_no_environment_and_leaves_no_trace(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import actors.boot, api_gateway.app, scheduler, workers.cli"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == []
