"""`python -m api_gateway`: whole, or not at all and for one stated reason; and how it ends."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.gateway import ADA, SIGNED_UP, WebProcess
from tests.servers import Valkey, eventually, free_port
from workers.database import Database


def refusal(folder: Path, **environment: str) -> str:
    """The one line of a gateway that does not start."""
    web = WebProcess(folder, **environment)
    try:
        status = web.process.wait(20)
    finally:
        web.__exit__()
    (line,) = web.log.read_text().splitlines()
    assert status == 1
    assert line.startswith("luna: ")
    return line.removeprefix("luna: ")


@pytest.mark.parametrize(("variable", "value"), [("LUNA_PORT", "99999"), ("DATABASE_URL", "sqlite://")])
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str) -> None:
    line = refusal(tmp_path, **{"REDIS_URL": "redis://127.0.0.1:1/0", variable: value})
    assert line.startswith(f"{variable}: ")


def test_production_does_not_start_with_a_weak_secret(tmp_path: Path) -> None:
    weak = "this one is too short"
    line = refusal(tmp_path, LUNA_ENV="production", REDIS_URL="redis://127.0.0.1:1/0", JWT_SECRET=f"{'x' * 40},{weak}")
    assert line.startswith("JWT_SECRET: ")
    assert weak not in line


def test_without_redis_it_does_not_start(tmp_path: Path) -> None:
    line = refusal(tmp_path, REDIS_URL=f"redis://:hidden-word@127.0.0.1:{free_port()}/0")
    assert line.startswith("Redis at redis://:***@127.0.0.1")
    assert "hidden-word" not in line


def test_on_a_redis_that_evicts_it_does_not_start(tmp_path: Path, own_valkey: Valkey) -> None:
    with own_valkey.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    line = refusal(tmp_path, REDIS_URL=own_valkey.url)
    assert line.startswith("REDIS_URL: the server's maxmemory-policy is allkeys-lru; a queue must never evict")


@pytest.mark.parametrize("place", ["file/luna.db", "file"], ids=["below a file", "another file"])
def test_on_a_database_that_it_cannot_write_it_does_not_start(tmp_path: Path, valkey: Valkey, place: str) -> None:
    (tmp_path / "file").write_text("this is no database, " * 100)
    line = refusal(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=f"sqlite:///{tmp_path / place}")
    assert line.startswith("DATABASE_URL: ")


def test_on_an_old_schema_it_does_not_start_and_says_what_to_do(tmp_path: Path, valkey: Valkey) -> None:
    assert "run `luna migrate`" in refusal(tmp_path, REDIS_URL=valkey.url)


def test_on_a_port_that_is_taken_it_does_not_start(tmp_path: Path, valkey: Valkey, database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = refusal(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=url, LUNA_PORT=port)
    assert line.startswith("LUNA_PORT: ")
    assert port in line


def test_on_sigterm_a_request_under_way_is_finished_and_the_process_ends_well(web: WebProcess) -> None:
    first_half_sent = []

    def slow_body() -> object:
        yield b'{"type": "user.signed_up", '
        first_half_sent.append(True)
        eventually(lambda: not web.listens(), what="the end of listening")
        yield b'"data": {"email": "ada@example.com", "name": "Ada"}}'

    def post() -> httpx.Response:
        headers = {**ADA, "Content-Type": "application/json"}
        return web.http.post("/v1/events", headers=headers, content=slow_body())  # type: ignore[arg-type]

    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post)
        eventually(lambda: first_half_sent, what="a request under way")
        web.terminate()
        assert answer.result(20).status_code == 202
    assert web.process.wait(10) == 0
    assert web.lines()[-1]["event"] == "gateway.stopped"


def test_a_caller_who_leaves_in_the_middle_is_no_error(web: WebProcess) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as connection:
        head = f"POST /v1/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: {ADA['Authorization']}\r\n"
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{".encode())
    eventually(lambda: any(line["event"] == "request" for line in web.lines()), what="the end of the request")
    assert {line["level"] for line in web.lines()} == {"info"}
    assert web.post(SIGNED_UP).status_code == 202
