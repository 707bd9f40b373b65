"""What an operator types when something is wrong: queues, dead letters, and mending them."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

from actors.routes import QUEUES
from tests.luna_up import LunaUp
from tests.servers import eventually


def printed(up: LunaUp, *command: str, status: int = 0) -> str:
    process = up.run("luna", *command)
    assert process.ends() == status, process.output
    return process.output


def document(up: LunaUp, *command: str) -> Any:
    return json.loads(printed(up, *command, "--json"))


def letters(up: LunaUp, *filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document(up, "dead", "list", *filters)["letters"]
    return found


@pytest.fixture
def dead(up: LunaUp) -> str:
    """A sign-up that died because its address was taken; its dead letter's id."""
    data = json.dumps({"email": f"{uuid4()}@example.com", "name": "Zoë"})
    for _ in range(2):
        up.run("luna", "publish", "user.signed_up", data, "--wait")
    address = json.loads(data)["email"]
    (letter,) = (each for each in letters(up) if each["message"]["kwargs"]["event"]["data"]["email"] == address)
    return str(letter["id"])


def test_queues_are_listed_with_their_depth_and_workers(up: LunaUp) -> None:
    states = {state["queue"]: state for state in document(up, "queues")}
    assert set(states) == set(QUEUES)
    assert all(state["workers"] == 1 and not state["paused"] for state in states.values())
    assert "users" in printed(up, "queues")


def test_a_paused_queue_takes_nothing_until_it_is_resumed(up: LunaUp) -> None:
    assert printed(up, "queues", "pause", "cache") == "cache is paused; `luna queues resume cache` lets it go on\n"
    try:
        eventually(lambda: {s["queue"] for s in document(up, "queues") if s["paused"]} == {"cache"})
    finally:
        assert printed(up, "queues", "resume", "cache") == "cache goes on\n"
    assert not any(state["paused"] for state in document(up, "queues"))


def test_a_queue_that_does_not_exist_is_said_so(up: LunaUp) -> None:
    output = printed(up, "queues", "pause", "post", status=1)
    assert output == f"luna: there is no queue 'post'; these are: {', '.join(QUEUES)}\n"


def test_a_dead_letter_is_listed_and_shown_with_its_error(up: LunaUp, dead: str) -> None:
    listed = printed(up, "dead", "list", "--actor", "users.create", "--since", "1h")
    assert dead in listed
    assert "PermanentError: a user with this id or e-mail address exists already" in listed
    shown = printed(up, "dead", "show", dead)
    assert shown.startswith(f"{dead}  permanent  queue users  actor users.create")
    assert "attempt 1" in shown
    assert "Traceback" in shown


def test_a_letter_that_is_edited_lives_again(up: LunaUp, dead: str) -> None:
    data = json.dumps({"user_id": str(uuid4()), "email": f"{uuid4()}@example.com", "name": "Zoë"})
    assert printed(up, "dead", "edit", dead, data) == f"{dead} is back on its queue, with the new data\n"
    event = eventually(lambda: dead not in {letter["id"] for letter in letters(up)})
    assert event
    assert printed(up, "dead", "show", dead, status=1).startswith(f"luna: there is no dead letter '{dead}'")


def test_an_edit_that_breaks_the_contract_is_refused(up: LunaUp, dead: str) -> None:
    output = printed(up, "dead", "edit", dead, '{"email": "nobody"}', status=1)
    assert output.startswith("luna: the data breaks the contract of user.signed_up: email: ")


def test_one_letter_is_retried_and_dies_again_or_is_discarded(up: LunaUp, dead: str) -> None:
    assert printed(up, "dead", "retry", dead) == f"{dead} is back on its queue\n"
    eventually(lambda: dead in {letter["id"] for letter in letters(up)})
    assert printed(up, "dead", "discard", dead) == f"{dead} is discarded\n"
    assert dead not in {letter["id"] for letter in letters(up)}


def test_many_are_counted_before_anything_is_done(up: LunaUp, dead: str) -> None:
    count = len(letters(up, "--limit", "1000"))
    assert printed(up, "dead", "discard", "--all", "--dry-run") == f"{count} dead letters\n"
    assert "name a dead letter, give a filter, or say --all" in printed(up, "dead", "retry", status=1)
    lines = printed(up, "dead", "export").splitlines()
    assert dead in {json.loads(line)["id"] for line in lines}
    assert f"done: {count} of {count}" in printed(up, "dead", "discard", "--all", "--yes")
    assert printed(up, "dead", "list") == "no dead letters\n"


def test_an_editor_that_does_not_start_is_said_so(up: LunaUp, dead: str) -> None:
    edited = up.run("luna", "dead", "edit", dead, EDITOR="/nowhere/editor")
    assert edited.ends() == 1
    assert edited.output.startswith("luna: the editor does not start: ")


def test_what_an_edit_leaves_out_stays(up: LunaUp, dead: str) -> None:
    address = f"{uuid4()}@example.com"
    before = document(up, "dead", "show", dead)["message"]["kwargs"]["event"]
    printed(up, "dead", "edit", dead, json.dumps({"email": address}))
    user = eventually(lambda: (found := up.get(f"/v1/users/{before['data']['user_id']}")).status_code == 200 and found)
    assert (user.json()["email"], user.json()["name"]) == (address, before["data"]["name"])


def test_a_filter_for_a_queue_that_does_not_exist_is_refused(up: LunaUp) -> None:
    assert "there is no queue 'post'" in printed(up, "dead", "list", "--queue", "post", status=1)
