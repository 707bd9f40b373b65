"""Setting up: migrating, the doctor, and what every command has in common."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from tests.luna_up import LunaUp
from tests.processes import Processes
from tests.servers import free_port
from workers.cli import app


def commands(group: Any, *path: str) -> list[tuple[str, ...]]:
    """Every command, as its words."""
    if not hasattr(group, "commands"):
        return [path]
    return [found for name, command in group.commands.items() for found in commands(command, *path, name)]


@pytest.mark.parametrize("command", commands(typer.main.get_command(app)), ids=" ".join)
def test_every_command_explains_itself_with_an_example(command: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert re.search(rf"Example: (\w+=\S+ )?luna {' '.join(command)}", shown.output)


def test_help_and_version_are_printed(processes: Processes) -> None:
    shown = processes.start("luna", "publish", "--help", COLUMNS=200)
    assert shown.ends() == 0
    assert "--wait" in shown.output
    version = processes.start("luna", "--version")
    assert version.ends() == 0
    assert version.output.count(".") == 2


def test_migrating_twice_is_harmless(processes: Processes, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'luna.db'}"
    first, second = (processes.start("luna", "migrate", DATABASE_URL=url) for _ in range(2))
    assert (first.ends(), second.ends()) == (0, 0)
    outputs = sorted((first.output, second.output), key=len, reverse=True)  # whoever came first
    assert outputs[0].startswith(f"{url} went from version none to ")
    assert outputs[1].startswith(f"{url} is at version ")


def test_the_doctor_finds_a_running_system_healthy_and_shows_no_secret(up: LunaUp) -> None:
    secret = (up.processes.data_dir / "jwt-secret").read_text()
    password = (up.processes.data_dir / "valkey" / "password").read_text()
    for arguments in ([], ["--json"]):
        shown = up.run("luna", "doctor", *arguments)
        assert shown.ends() == 0, shown.output
        assert secret not in shown.output
        assert password not in shown.output
    report = json.loads(shown.output)
    assert {finding["check"]: finding["verdict"] for finding in report["checks"]} == dict.fromkeys(
        ("Redis", "Redis eviction", "Redis persistence", "Clock", "Database", "Schema", "Workers", "E-mail"), "ok"
    )
    settings = {setting["name"]: setting for setting in report["settings"]}
    assert (settings["LUNA_PORT"]["value"], settings["LUNA_PORT"]["source"]) == (str(up.port), "environment")
    assert settings["JWT_SECRET"]["value"] == "***"
    assert settings["LUNA_HOST"]["source"] == "default"


def test_the_doctor_says_what_is_wrong_and_what_to_do(processes: Processes) -> None:
    redis, password = f"redis://:hunter2hunter2@127.0.0.1:{free_port()}/0", "hunter2hunter2"
    shown = processes.start("luna", "doctor", "--json", REDIS_URL=redis, SMTP_URL="smtp://me:s3cret-s3cret@mail:25")
    assert shown.ends() == 1
    assert password not in shown.output
    assert "s3cret-s3cret" not in shown.output
    wrong = {finding["check"]: finding for finding in json.loads(shown.output)["checks"] if finding["verdict"] != "ok"}
    assert set(wrong) == {"Redis", "Schema"}
    assert all(finding["verdict"] == "wrong" and finding["advice"] for finding in wrong.values())


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("LUNA_PORT", "70000", "Input should be less than or equal to 65535"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file, such as sqlite:///var/luna.db: processes share it"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(processes: Processes, variable: str, value: str, says: str) -> None:
    refused = processes.start("luna", "migrate", **{variable: value})
    assert refused.ends() == 1
    assert refused.output == f"luna: {variable}: {says}\n"


def test_an_unknown_command_is_refused(processes: Processes) -> None:
    refused = processes.start("luna", "explode", COLUMNS=200)
    assert refused.ends() == 2
    assert "No such command 'explode'" in refused.output
