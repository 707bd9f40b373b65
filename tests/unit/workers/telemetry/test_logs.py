from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
PROGRAM = """
import logging, sys
import structlog
from tests.builders import an_event, delivered
from workers.errors import TransientError
from workers.telemetry import logs
from workers.telemetry.middleware import LogContext

logs.configure("worker", production=sys.argv[1] == "production")
log = structlog.get_logger("test")
log.debug("too.small")
log.info("plain", number=1, text="two\\nlines")
logging.getLogger("some.library").warning("from %s", "elsewhere")
logging.getLogger("dramatiq.worker").info("noise")

event = an_event(id="e-1", correlation="c-1", data={"email": "ada@example.org"})
message = delivered(event, actor="users.create", queue="users", attempt=2)
context = LogContext()
for name, error in (("done", None), ("ours", TransientError("busy")), ("bug", ValueError("oops"))):
    context.before_process_message(None, message)
    log.info("inside." + name)
    context.after_process_message(None, message, exception=error)
message.fail()
context.before_process_message(None, message)
context.after_process_message(None, message, exception=TransientError("never"))
log.info("outside")
"""


def run(environment: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, environment]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What a process in production logs: one JSON object a line."""
    return [json.loads(line) for line in run("production")]


def one(lines: list[dict[str, Any]], event: str) -> dict[str, Any]:
    (line,) = (line for line in lines if line["event"] == event)
    return line


def test_a_line_has_its_fields_its_level_its_time_and_its_process(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "plain")
    assert (line["number"], line["text"], line["level"], line["process"]) == (1, "two\nlines", "info", "worker")
    assert line["timestamp"].endswith("Z")


def test_lines_of_other_libraries_look_like_ours(lines: list[dict[str, Any]]) -> None:
    line = one(lines, "from elsewhere")
    assert (line["level"], line["process"]) == ("warning", "worker")
    assert "timestamp" in line


def test_debugging_and_the_chatter_of_libraries_are_left_out(lines: list[dict[str, Any]]) -> None:
    assert {"too.small", "noise"} & {line["event"] for line in lines} == set()


@pytest.mark.parametrize("event", ["inside.done", "actor.done"])
def test_every_line_of_an_attempt_carries_the_ids_of_its_event(lines: list[dict[str, Any]], event: str) -> None:
    line = one(lines, event)
    assert (line["event_id"], line["correlation_id"], line["event_type"]) == ("e-1", "c-1", "user.signed_up")
    assert (line["actor"], line["attempt"]) == ("users.create", 2)


def test_nothing_of_an_event_is_left_on_later_lines(lines: list[dict[str, Any]]) -> None:
    assert set(one(lines, "outside")) == {"event", "level", "process", "timestamp"}


def test_an_error_of_ours_is_one_sentence_and_any_other_has_its_traceback(lines: list[dict[str, Any]]) -> None:
    ours, bug = (line for line in lines if line["event"] == "actor.retrying")
    assert (ours["error"], ours["level"]) == ("busy", "warning")
    assert "exception" not in ours
    assert "ValueError: oops" in bug["exception"]


def test_the_last_failure_is_told_from_the_others(lines: list[dict[str, Any]]) -> None:
    assert one(lines, "actor.dead")["error"] == "never"


def test_the_data_of_an_event_is_never_logged(lines: list[dict[str, Any]]) -> None:
    assert "ada@example.org" not in json.dumps(lines)


def test_development_is_for_people() -> None:
    (line,) = (line for line in run("development") if "plain" in line)
    assert "number=1" in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)
