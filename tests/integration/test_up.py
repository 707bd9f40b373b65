from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.luna_up import LunaUp, statuses
from tests.processes import Processes, children
from tests.servers import eventually, free_port

QUICK_S = 20  # generous: the machine may be shared


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_it_says_where_everything_is(up: LunaUp) -> None:
    for name, address in re.findall(r"^  (gateway|reference|health) +(\S+)$", up.process.output, re.MULTILINE):
        assert (name, httpx.get(address).status_code) in {("gateway", 404), ("reference", 200), ("health", 200)}
    assert up.process.says(r"^  e-mail +(\S+)$").group(1) == str(up.processes.data_dir / "mail" / "new")


def test_the_printed_curl_line_creates_a_user_and_its_email(up: LunaUp) -> None:
    line = up.process.says(r"^  (curl .+)$").group(1)
    shell = subprocess.run(line, shell=True, capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    accepted = json.loads(shell.stdout)
    tree = up.follow(accepted["id"])
    assert set(statuses(tree).values()) == {"done"}
    user = up.get(f"/v1/users/{accepted['subject']}")
    address = json.loads(shlex.split(line)[-1])["data"]["email"]
    assert (user.status_code, user.json()["email"]) == (200, address)
    letters = [letter.read_text() for letter in (up.processes.data_dir / "mail" / "new").glob("*.eml")]
    assert sum(f"To: {address}" in letter for letter in letters) == 1


@pytest.mark.parametrize(
    ("name", "command", "child"),
    [
        ("web", "api_gateway", False),
        ("worker", "--queues users", False),
        ("worker", "--queues users", True),
        ("mailer", "--queues email", True),
        ("scheduler", "scheduler.py", False),
        ("valkey", "valkey-server", False),
    ],
)
def test_a_killed_process_starts_again_and_events_still_flow(
    up: LunaUp, name: str, command: str, *, child: bool
) -> None:
    said = rf"^luna +{name} ended with status \S+; it starts again in"
    before = len(re.findall(said, up.process.output, re.MULTILINE))
    killed = up.pid(command, child=child)
    os.kill(killed, signal.SIGKILL)
    up.process.says(said, times=before + 1)
    eventually(lambda: any(command in line for line in children(up.process.pid).values()), what=f"a new {name}")
    assert killed not in up.processes.left()
    eventually(lambda: ready(up), within=40, what="readiness")
    assert set(statuses(up.follow(up.sign_up()["id"])).values()) == {"done"}


def ready(up: LunaUp) -> bool:
    try:
        return httpx.get(f"{up.url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def test_a_second_one_on_the_same_folder_is_refused(up: LunaUp) -> None:
    second = up.run("luna", "up", LUNA_PORT=free_port())
    assert second.ends() == 1
    assert second.output == (
        f"luna: LUNA_DATA_DIR: {up.processes.data_dir} is in use by another `luna up` (process {up.process.pid})\n"
    )
    assert ready(up)


def test_it_stops_cleanly_and_starts_again_with_its_data(processes: Processes) -> None:
    first = LunaUp(processes)
    accepted = first.sign_up()
    first.follow(accepted["id"])
    assert first.process.stop(signal.SIGINT) == 0
    assert processes.left() == {}
    assert first.process.output.splitlines()[-1] == "luna      stopped; nothing is left running"
    began = time.monotonic()
    second = LunaUp(processes, first.port)
    assert time.monotonic() - began < QUICK_S
    assert second.get(f"/v1/users/{accepted['subject']}").status_code == 200
    assert second.follow(accepted["id"])["status"] == "done"
    assert second.process.stop(signal.SIGTERM) == 0
    assert processes.left() == {}


def test_killed_itself_it_takes_all_along_and_can_be_started_again(processes: Processes) -> None:
    first = LunaUp(processes)
    assert first.process.stop(signal.SIGKILL) == -signal.SIGKILL
    eventually(lambda: processes.left() == {}, what="the end of all its processes")
    second = LunaUp(processes, first.port)
    assert set(statuses(second.follow(second.sign_up()["id"])).values()) == {"done"}


def test_a_taken_port_is_refused_in_one_line(processes: Processes, taken_port: int) -> None:
    refused = processes.start("luna", "up", LUNA_PORT=taken_port)
    assert refused.ends() == 1
    assert refused.output == (
        f"luna: LUNA_PORT: cannot listen on 127.0.0.1 port {taken_port} (Address already in use)\n"
    )
    assert processes.left() == {}


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("LUNA_PORT", "http", "LUNA_PORT: Input should be a valid integer"),
        ("EMAIL_TRANSPORT", "smtp", "SMTP_URL: is needed when EMAIL_TRANSPORT is smtp"),
        ("REDIS_URL", "redis://127.0.0.1:1", "cannot be reached"),
        ("DATABASE_URL", "sqlite:////proc/luna.db", "DATABASE_URL: sqlite:////proc/luna.db is not writable"),
        ("LUNA_ENV", "production", "REDIS_URL: is needed when LUNA_ENV is production"),
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(processes: Processes, variable: str, value: str, says: str) -> None:
    refused = processes.start("luna", "up", **{"LUNA_PORT": free_port(), variable: value})
    assert refused.ends() == 1
    lines = [line for line in refused.output.splitlines() if not line.startswith("luna    ")]
    assert len(lines) == 1
    assert lines[0].startswith("luna: ")
    assert says in lines[0]
    assert processes.left() == {}


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(processes: Processes) -> None:
    processes.data_dir.write_text("a file, no folder")
    refused = processes.start("luna", "up", LUNA_PORT=free_port(), LUNA_DATA_DIR=processes.data_dir / "luna")
    assert refused.ends() == 1
    assert refused.output == f"luna: LUNA_DATA_DIR: cannot write to {processes.data_dir / 'luna'} (Not a directory)\n"


def test_a_folder_without_a_procfile_is_refused_in_one_line(processes: Processes) -> None:
    (processes.project / "Procfile").unlink()
    refused = processes.start("luna", "up", LUNA_PORT=free_port())
    assert refused.ends() == 1
    assert refused.output == (
        f"luna: there is no Procfile in {processes.project}; run `luna up` in the project's folder\n"
    )


def test_a_process_type_that_does_not_start_ends_all_and_is_named(processes: Processes) -> None:
    procfile = processes.project / "Procfile"
    text = procfile.read_text()
    procfile.unlink()  # the link, not what it names
    procfile.write_text(text + f"broken: {shlex.join(['sh', '-c', 'echo luna: out of order; exit 3'])}\n")
    refused = processes.start("luna", "up", LUNA_PORT=free_port())
    assert refused.ends(within=60) == 1
    assert refused.output.splitlines()[-1] == "luna: broken did not start: out of order"
    assert processes.left() == {}
