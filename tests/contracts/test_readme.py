"""The README cannot go stale: what it names exists, and what it lists is all there is."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from actors.events import CONTRACTS
from actors.routes import QUEUE_OF
from api_gateway.app import create_app
from tests.processes import ROOT, procfile
from workers.cli import app
from workers.database import Database
from workers.settings import Settings

README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```\w*\n(.*?)^```", README, re.MULTILINE | re.DOTALL)).replace("\\\n", "")
SPANS = re.findall(r"`([^`\n]+)`", README)
LINES = [line.partition("  #")[0].strip() for line in [*BLOCKS.splitlines(), *SPANS]]


def test_every_make_target_exists() -> None:
    named = {line.split()[1] for line in LINES if re.fullmatch(r"make [a-z]+", line)}
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"up", "test"} <= named <= targets


def luna_commands() -> list[str]:
    return [line.removeprefix(".venv/bin/") for line in LINES if re.match(r"(\.venv/bin/)?luna [a-z-]", line)]


@pytest.mark.parametrize("line", luna_commands())
def test_every_luna_command_exists(line: str) -> None:
    words = shlex.split(line)[1:]
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= options
    assert CliRunner().invoke(app, [*shlex.split(line)[1:2], "--help"]).exit_code == 0


def test_the_curl_line_posts_a_valid_event_to_a_served_route(database: Database) -> None:
    (line,) = (line for line in BLOCKS.splitlines() if line.startswith("curl "))
    words = shlex.split(line)
    (url,) = (word for word in words if word.startswith("http"))
    event = json.loads(words[words.index("-d") + 1])
    assert CONTRACTS[event["type"]].external
    CONTRACTS[event["type"]].model_validate(event["data"])
    settings = Settings(REDIS_URL="redis://127.0.0.1:1", JWT_SECRET="x" * 32)
    served = create_app(settings, database).openapi()["paths"]
    path = url.removeprefix(settings.gateway_url)
    assert "post" in served[path]


def test_the_shown_tree_names_events_and_actors_that_exist() -> None:
    shown = set(re.findall(r"([a-z]+\.[a-z_]+)  done", BLOCKS))
    assert shown
    assert shown <= CONTRACTS.keys() | QUEUE_OF.keys()


def test_the_process_types_are_those_of_the_procfile() -> None:
    (line,) = (line for line in BLOCKS.splitlines() if line.startswith("honcho start "))
    assert set(line.split()[2:]) == procfile().keys() - {"release"}


def test_every_setting_is_listed_and_every_listed_one_is_a_setting() -> None:
    first_cells = re.findall(r"^\| (`[A-Z][^|]+) \|", README, re.MULTILINE)
    listed = [name for cell in first_cells for name in re.findall(r"`([A-Z_]+)`", cell)]
    assert sorted(listed) == sorted(str(field.alias) for field in Settings.model_fields.values())


def test_every_exported_variable_is_a_setting() -> None:
    exported = set(re.findall(r"\b([A-Z][A-Z_]+)=", BLOCKS))
    assert exported <= {str(field.alias) for field in Settings.model_fields.values()}


@pytest.mark.parametrize("path", sorted({span for span in SPANS if re.fullmatch(r"[a-z_/]+(/|\.py|\.md)", span)}))
def test_every_named_file_exists(path: str) -> None:
    assert (ROOT / path).exists()
