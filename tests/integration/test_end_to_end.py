"""The main job under load: every valid sign-up has one user, one metrics row and one e-mail, whatever is restarted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from actors.email.store import email_deliveries
from actors.users.store import user_metrics, users
from tests.luna_up import settled, statuses
from tests.mailserver import MailServer
from tests.processes import Process, Processes, procfile
from tests.servers import Valkey, eventually, free_port
from workers.database import Database

SEED = 1815
POSTS, DUPLICATES, INVALID = 1000, 50, 50
CLIENTS = 6
NAMES = [
    "Ada Lovelace",
    "Zoë Ångström",
    "Łukasz Żółć",
    "李小龍",
    "Ирина Ковалёва",
    'O\'Neil, "Bob" <bob>',
    "Ñandú " * 30,
]
LOCALS = ["ada", "jürgen", "o'neil", "first.last", "ирина", "ada+news", "x" * 50]
DOMAINS = {
    "example.com": "example.com",
    "mail.example.org": "mail.example.org",
    "bücher.example": "xn--bcher-kva.example",
}
BROKEN: list[dict[str, Any]] = [
    {"email": "nobody", "name": "No At"},
    {"email": "a@example.com\nBcc: b@example.com", "name": "Two Lines"},
    {"email": "nameless@example.com", "name": "  "},
    {"email": "eve@example.com", "name": "Eve", "role": "admin"},
    {"name": "No Address"},
]


@dataclass(frozen=True)
class SignUp:
    source: str
    id: str
    data: dict[str, Any]
    recipient: str = ""

    def post(self, gateway: httpx.Client) -> httpx.Response:
        event = {"type": "user.signed_up", "id": self.id, "source": self.source, "data": self.data}
        return gateway.post("/v1/events", json=event)


def sign_ups(chance: random.Random) -> tuple[list[SignUp], list[SignUp]]:
    """Valid sign-ups, no two alike, and broken ones."""
    valid = []
    for number in range(POSTS - DUPLICATES - INVALID):
        local, domain = f"{chance.choice(LOCALS)}.{number}", chance.choice(list(DOMAINS))
        data = {"email": f"{local}@{domain}", "name": chance.choice(NAMES), "preferences": {"language": "de"}}
        source = chance.choice(["/shop", "/app", "https://partner.example/sign-up"])
        valid.append(SignUp(source, f"sign-up-{number}", data, f"{local}@{DOMAINS[domain]}"))
    return valid, [SignUp("/shop", f"broken-{number}", chance.choice(BROKEN)) for number in range(INVALID)]


@dataclass
class System:
    processes: dict[str, Process]
    gateway: httpx.Client
    mail: MailServer
    database: Database

    def count(self, what: Any) -> int:
        with self.database.read() as connection:
            return int(connection.execute(select(func.count()).select_from(what)).scalar_one())

    def sent(self) -> int:
        sent = select(email_deliveries).where(email_deliveries.c.state == "sent").subquery()
        return self.count(sent)


@pytest.fixture
def system(own_valkey: Valkey, mail: MailServer, processes: Processes, tmp_path: Path) -> Iterator[System]:
    """The Procfile's process types, each started as a supervisor would, beside servers of their own."""
    port, database = free_port(), Database(f"sqlite:///{tmp_path / 'end-to-end.db'}")
    variables = {
        "LUNA_PORT": port,
        "LUNA_RATE_LIMITS": "off",
        "REDIS_URL": own_valkey.url,
        "DATABASE_URL": database.url.render_as_string(hide_password=False),
        "EMAIL_TRANSPORT": "smtp",
        "SMTP_URL": mail.url,
    }
    commands = procfile()
    assert processes.start(*commands.pop("release"), **variables).ends() == 0
    scopes = "events:write events:read users:read"
    token = processes.start("luna", "token", "create", "--sub", "shop", "--scope", scopes, **variables)
    assert token.ends() == 0
    running = {name: processes.start(*command, **variables) for name, command in commands.items()}
    running["web"].says("gateway.started")
    headers = {"Authorization": f"Bearer {token.output.strip()}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as gateway:
        yield System(running, gateway, mail, database)
    database.close()


def test_a_thousand_sign_ups_have_their_effects_exactly_once_across_a_restart(system: System) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    valid, broken = sign_ups(chance)
    posts = valid + broken + chance.sample(valid, DUPLICATES)
    chance.shuffle(posts)
    with ThreadPoolExecutor(CLIENTS) as clients:
        half = len(posts) // 2
        answers = list(clients.map(lambda post: post.post(system.gateway), posts[:half]))
        rest = [clients.submit(post.post, system.gateway) for post in posts[half:]]
        assert system.processes["worker"].stop() == 0
        system.processes["worker"].start()
        answers += [answer.result() for answer in rest]
    assert Counter(answer.status_code for answer in answers) == {202: len(valid) + DUPLICATES, 422: INVALID}
    accepted = [answer.json() for answer in answers if answer.status_code == 202]
    assert Counter(answer["duplicate"] for answer in accepted) == {False: len(valid), True: DUPLICATES}

    eventually(lambda: system.sent() >= len(valid), within=60, every=0.2, what="an e-mail for every user")
    check_trees(system, [answer["status_url"] for answer in chance.sample(accepted, 30)])
    check_profile(system, accepted[0]["subject"])
    assert {name: process.stop() for name, process in system.processes.items()} == dict.fromkeys(system.processes, 0)

    with system.database.read() as connection:
        stored = connection.execute(select(users.c.email, users.c.id).join(user_metrics)).all()
    assert Counter(row.email for row in stored) == Counter(sign_up.data["email"] for sign_up in valid)
    assert {row.id for row in stored} == {answer["subject"] for answer in accepted}
    assert (system.count(users), system.count(user_metrics)) == (len(valid), len(valid))
    assert (system.count(email_deliveries), system.sent()) == (len(valid), len(valid))
    received = Counter(recipient for letter in system.mail.received for recipient in letter.recipients)
    assert received == Counter(sign_up.recipient for sign_up in valid)


def check_trees(system: System, status_urls: list[str]) -> None:
    for url in status_urls:
        event = eventually(lambda url=url: settled(system.gateway.get(url).json()), what=f"the end of {url}")
        assert statuses(event) == {
            "user.signed_up": "done",
            "users.create": "done",
            "user.created": "done",
            "email.deliver": "done",
            "cache.invalidate": "done",
        }


def check_profile(system: System, user_id: str) -> None:
    """A read that the cache answers turns fresh once the profile has changed."""
    path = f"/v1/users/{user_id}"
    assert system.gateway.get(path).headers["X-Cache"] == "miss"
    assert system.gateway.get(path).headers["X-Cache"] == "hit"
    change = {"type": "user.profile_changed", "data": {"user_id": user_id, "name": "Grace Hopper"}}
    assert system.gateway.post("/v1/events", json=change).status_code == 202
    eventually(lambda: system.gateway.get(path).json()["name"] == "Grace Hopper", what="the fresh name")
    cached = system.gateway.get(path)
    assert (cached.headers["X-Cache"], cached.json()["name"]) == ("hit", "Grace Hopper")
