"""`luna up`: everything on one machine. An embedded Valkey, SQLite, and the process types of the Procfile."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import httpx
from rich.console import Console

from workers import settings
from workers.cli.contracts import contracts, queues
from workers.cli.embedded import EmbeddedValkey
from workers.cli.supervisor import Process, Supervisor
from workers.cli.token import issue
from workers.connection import connect, ping
from workers.database import Database
from workers.database.migrate import upgrade
from workers.errors import LunaError, SettingsError, UnavailableError
from workers.operations import Operations
from workers.settings import Files, Settings, cannot_listen

READY_TIMEOUT_S = 60.0
POLL_S = 0.05
TOKEN_TTL_S = 12 * 3600
TOKEN_SCOPES = frozenset({"events:write", "events:read", "users:read"})
RELEASE = "release"  # the process type that runs once, before the others; `up` migrates by itself


def up() -> None:
    """Start everything on this machine for development, and stop it with Ctrl-C.

    Run it in the folder with the Procfile. Set REDIS_URL or DATABASE_URL to use servers of your own.

    Example: luna up
    """
    commands = _procfile(Path("Procfile"))
    loaded = settings.load()
    with _locked(loaded.data_dir):
        _refuse_taken_port(loaded)
        sys.exit(asyncio.run(_run(loaded, commands)))


async def _run(loaded: Settings, commands: dict[str, str]) -> int:
    console = Console(highlight=False, soft_wrap=True)
    supervisor = Supervisor(console)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, supervisor.stopping.set)
    embedded = None if settings.sources()["REDIS_URL"] != "default" else EmbeddedValkey(loaded.data_dir)
    try:
        redis_url = await _start_valkey(supervisor, embedded) if embedded else loaded.redis
        ping(redis_url)
        upgrade(Database(loaded.database))
        environment = _environment(redis_url)
        for name, command in commands.items():
            await supervisor.start(Process(name, shlex.split(command), environment))
        await _ready(supervisor, loaded, Operations(connect(redis_url), queues()))
        if not supervisor.stopping.is_set():
            supervisor.steady = True
            console.print(_welcome(loaded), markup=False)
            await supervisor.stopping.wait()
    finally:
        supervisor.say("stopping")
        await supervisor.stop()
        if embedded:
            embedded.withdraw()
    if supervisor.failed:
        raise LunaError(f"{supervisor.failed.name} did not start: {supervisor.failed.last_line.removeprefix('luna: ')}")
    supervisor.say("stopped; nothing is left running")
    return 0


async def _start_valkey(supervisor: Supervisor, embedded: EmbeddedValkey) -> str:
    command, url = embedded.prepare()
    await supervisor.start(Process("valkey", command, foundation=True))
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not supervisor.stopping.is_set():
        try:
            ping(url)
        except UnavailableError as error:
            if time.monotonic() > deadline:
                raise LunaError(f"the embedded Valkey does not answer: {error}") from None
            await asyncio.sleep(POLL_S)
        else:
            embedded.announce(url)
            break
    return url


async def _ready(supervisor: Supervisor, loaded: Settings, operations: Operations) -> None:
    """Wait until the gateway is ready and every queue has a worker, or something has ended."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    async with httpx.AsyncClient() as client:
        while not supervisor.stopping.is_set():
            missing = set(queues()) - operations.consumed_queues()
            if not missing and await _answers(client, f"{loaded.local_url}/health/ready"):
                return
            if time.monotonic() > deadline:
                what = f"no worker on {', '.join(sorted(missing))}" if missing else "the gateway does not answer"
                raise LunaError(f"not ready after {READY_TIMEOUT_S:g} s: {what}")
            await asyncio.sleep(POLL_S)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _procfile(path: Path) -> dict[str, str]:
    """Process type to command. Raises SettingsError when there is no Procfile here."""
    if not path.exists():
        raise SettingsError(f"there is no Procfile in {Path.cwd()}; run `luna up` in the project's folder")
    from honcho.environ import parse_procfile  # noqa: PLC0415 an optional dependency

    commands: dict[str, str] = dict(parse_procfile(path.read_text()).processes)
    commands.pop(RELEASE, None)
    return commands


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the data folder. Raises SettingsError when another `luna up` holds it, or it cannot be written."""
    path = Files(data_dir).lock
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = path.open("a+")
    except OSError as error:
        raise SettingsError(f"LUNA_DATA_DIR: cannot write to {data_dir} ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SettingsError(
                f"LUNA_DATA_DIR: {data_dir} is in use by another `luna up` (process {lock.read().strip()})"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _refuse_taken_port(loaded: Settings) -> None:
    with socket.socket(socket.AF_INET6 if ":" in loaded.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((loaded.host, loaded.port))
        except OSError as error:
            raise cannot_listen(loaded, error) from None


def _environment(redis_url: str) -> dict[str, str]:
    """What the processes run with: our Redis, and the commands of this Python's environment."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "REDIS_URL": redis_url, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _welcome(loaded: Settings) -> str:
    token = issue(loaded, "developer", TOKEN_SCOPES, TOKEN_TTL_S)
    curl = (
        f"curl -sS {loaded.gateway_url}/v1/events -H 'Authorization: Bearer {token}' "
        f"-H 'Content-Type: application/json' -d {shlex.quote(first_event())}"
    )
    mail = f"\n  e-mail      {loaded.data_dir / 'mail' / 'new'}" if loaded.email_transport == "maildir" else ""
    return f"""
Luna is up.

  gateway     {loaded.gateway_url}
  reference   {loaded.gateway_url}/docs
  health      {loaded.gateway_url}/health/ready{mail}

A token for 12 hours (events:write events:read users:read):

  {token}

Post your first event:

  {curl}

Ctrl-C stops everything.
"""


def first_event() -> str:
    """The example of the first contract that callers may post; an e-mail address in it is another at each start."""
    contract = next(each for each in contracts().values() if each.external)
    event = json.dumps({"type": contract.type, "data": contract.example})
    return event.replace("@", f"+{token_hex(3)}@")  # an address may be good for one such event only
