"""The command line against a running system: every command as its own process, as a user types it."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import jwt
import pytest

from actors.events import CONTRACTS
from tests.luna_up import LunaUp, statuses
from tests.processes import Processes
from tests.servers import free_port


def sign_up(address: str = "") -> str:
    return json.dumps({"email": address or f"{uuid4()}@example.com", "name": "Zoë"})


def answer(up: LunaUp, *command: str) -> Any:
    """What a command that succeeds prints as JSON."""
    process = up.run("luna", *command, "--json")
    assert process.ends() == 0, process.output
    return json.loads(process.output)


def test_publish_says_accepted_and_at_the_second_time_already_there(up: LunaUp) -> None:
    event = ("luna", "publish", "user.signed_up", sign_up(), "--id", "once")
    first, second = (up.run(*event) for _ in range(2))
    status_url = f"{up.url}/v1/events/once?source=%2Fcallers%2Fluna-cli"
    assert (first.ends(), first.output) == (0, f"accepted  once  {status_url}\n")
    assert (second.ends(), second.output) == (0, f"already there  once  {status_url}\n")


def test_publish_can_wait_for_the_whole_tree(up: LunaUp) -> None:
    shown = up.run("luna", "publish", "user.signed_up", sign_up(), "--wait")
    assert shown.ends() == 0
    for name in ("user.signed_up", "users.create", "user.created", "cache.invalidate", "email.deliver"):
        assert re.search(rf"{name}  done  ", shown.output)


def test_publish_that_waits_fails_when_the_event_is_dead(up: LunaUp) -> None:
    data = sign_up("taken@example.com")
    tree = answer(up, "publish", "user.signed_up", data, "--wait")
    assert set(statuses(tree).values()) == {"done"}
    failed = up.run("luna", "publish", "user.signed_up", data, "--wait")
    assert failed.ends() == 1
    assert "users.create  dead  attempt 1" in failed.output
    assert "PermanentError: a user with this id or e-mail address exists already" in failed.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("user.signed_up", "{email: x}"), ["luna: the data is not JSON: Expecting property name"]),
        (("user.signed_up", '{"email": "nobody"}'), ["luna: 422 ", "  /data/email: ", "  /data/name: "]),
        (("user.created", "{}"), ["luna: 422 ", "  /type: There is no such event to post."]),
    ],
)
def test_publish_says_what_is_wrong_with_the_event(up: LunaUp, arguments: tuple[str, ...], says: list[str]) -> None:
    refused = up.run("luna", "publish", *arguments)
    assert refused.ends() == 1
    lines = refused.output.splitlines()
    assert len(lines) == len(says)
    assert all(line.startswith(start) for line, start in zip(lines, says, strict=True))


def test_publish_without_a_gateway_is_one_sentence(processes: Processes) -> None:
    port = free_port()
    refused = processes.start("luna", "publish", "user.signed_up", sign_up(), LUNA_PORT=port)
    assert refused.ends() == 1
    assert refused.output == f"luna: no gateway answers at http://127.0.0.1:{port}; start one with `luna up`\n"


def test_events_types_lists_the_catalogue(up: LunaUp) -> None:
    listed = answer(up, "events", "types")
    assert {event["type"]: event["external"] for event in listed} == {
        name: contract.external for name, contract in CONTRACTS.items()
    }
    assert all(event["data_schema"]["properties"] for event in listed)
    table = up.run("luna", "events", "types").output
    assert all(re.search(rf"^ *{re.escape(name)} ", table, re.MULTILINE) for name in CONTRACTS)
    for event in listed:
        assert event["example"] == CONTRACTS[event["type"]].example
        assert json.dumps(event["example"]) in table


def test_events_trace_shows_what_became_of_an_event(up: LunaUp) -> None:
    accepted = up.sign_up()
    up.follow(accepted["id"])
    tree = answer(up, "events", "trace", accepted["id"])
    assert (tree["id"], tree["type"]) == (accepted["id"], "user.signed_up")
    assert set(statuses(tree).values()) == {"done"}


def test_events_trace_of_nothing_is_one_sentence(up: LunaUp) -> None:
    unknown = up.run("luna", "events", "trace", "nothing")
    assert unknown.ends() == 1
    assert unknown.output == "luna: there is no event 'nothing', or it is past its retention of 7 days\n"


def test_a_created_token_opens_the_gateway(up: LunaUp) -> None:
    made = answer(up, "token", "create", "--sub", "shop", "--scope", "events:read,users:read", "--ttl", "15m")
    claims = jwt.decode(made["token"], options={"verify_signature": False})
    assert (claims["sub"], set(claims["scope"].split())) == ("shop", {"events:read", "users:read"})
    assert claims["exp"] - claims["iat"] == 900


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--scope", "events:write root", "unknown: root. These are: "),
        ("--ttl", "soon", "'soon' is not a duration such as 90s, 15m, 12h or 30d"),
    ],
)
def test_a_token_with_a_wrong_option_is_refused(processes: Processes, option: str, value: str, says: str) -> None:
    refused = processes.start("luna", "token", "create", "--sub", "shop", option, value, COLUMNS=200)
    assert refused.ends() == 2
    assert says in refused.output
    assert "eyJ" not in refused.output
