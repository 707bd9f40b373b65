"""`luna up` under test: started, awaited, and used as its printed lines say."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx

from tests.processes import Process, Processes, children
from tests.servers import eventually, free_port

READY = r"^Ctrl-C stops everything\.$"


class LunaUp:
    """One `luna up`, ready to be used."""

    def __init__(self, processes: Processes, port: int | None = None) -> None:
        self.processes = processes
        self.port = port or free_port()
        self.process = processes.start("luna", "up", LUNA_PORT=self.port)
        self.process.says(READY, within=60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        return self.process.says(r"^  (eyJ\S+)$").group(1)

    def run(self, *command: str, **variables: object) -> Process:
        """A command in the same folders; returned once it has ended."""
        process = self.processes.start(*command, **{"LUNA_PORT": self.port, **variables})
        process.ends(within=60)
        return process

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers={"Authorization": f"Bearer {self.token}"})

    def sign_up(self) -> dict[str, Any]:
        """Post a sign-up of somebody new; the answer."""
        event = {"type": "user.signed_up", "data": {"email": f"{uuid4()}@example.com", "name": "Ada"}}
        answer = httpx.post(f"{self.url}/v1/events", json=event, headers={"Authorization": f"Bearer {self.token}"})
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def follow(self, event_id: str) -> dict[str, Any]:
        """The event's tree, once nothing in it will change any more."""
        path = f"/v1/events/{event_id}"
        tree: dict[str, Any] = eventually(lambda: settled(self.get(path).json()), what=f"the end of {event_id}")
        return tree

    def pid(self, command: str, *, child: bool = False) -> int:
        """The process whose command line holds `command`, or its only child."""
        (found,) = (pid for pid, line in children(self.process.pid).items() if command in line)
        if not child:
            return found
        return next(pid for pid, line in children(found).items() if "resource_tracker" not in line)


def settled(event: dict[str, Any]) -> dict[str, Any] | None:
    """The tree of an event, if all of it is done or dead."""
    return event if set(statuses(event).values()) <= {"done", "dead"} else None


def statuses(event: dict[str, Any]) -> dict[str, str]:
    """The status of an event and its actors, and of all that came of it."""
    found = {event["type"]: event["status"]} | {actor["actor"]: actor["status"] for actor in event["actors"]}
    for follow_up in event["follow_ups"]:
        found |= statuses(follow_up)
    return found
