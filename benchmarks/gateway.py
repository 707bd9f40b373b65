"""How many events a second one gateway process takes, beside FastAPI with Dramatiq's own `send`, in the same run.

`python -m benchmarks.gateway`. wrk posts sign-ups over 64 kept connections. Both check the token (HS256) and the body,
e-mail address included, and store each event in the same Redis, which writes it to disk before it confirms. Luna also
publishes once, limits rates and logs each request. wrk and Redis share the cores with the gateway.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks import environments, processes
from benchmarks.server import Server, free_port
from workers import keys
from workers.database import Database
from workers.database.migrate import upgrade
from workers.security.tokens import Tokens

SYSTEMS = Path(__file__).parent / "systems"
CONNECTIONS = 64
WARM_UP_S = 1
SETTLE_S = 0.5  # what was under way when wrk stopped is stored by then
START_S = 15
SECRET = secrets.token_hex(32)
UNLIMITED = ("ip", "user", "key", "endpoint:POST /v1/events")
EVENT = b'{"type": "user.signed_up", "data": {"email": "ada@example.com", "name": "Ada Lovelace"}}'

Figures = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """One of the two: where its programs are, its command, and how many events it has stored."""

    name: str
    programs: Callable[[], Path]
    command: tuple[str, ...]
    stored: Callable[[Server], int]
    kinds: Mapping[str, int]
    """what is posted to it, as posts.lua names it, and the events in each request"""


LUNA = Gateway(
    name="luna",
    programs=environments.own,
    command=("-m", "api_gateway"),
    stored=lambda server: int(server.jobs.xlen(keys.stream("users"))),
    kinds={"made": 1, "own": 1, "batch": 100},
)
PEER = Gateway(
    name="fastapi + dramatiq",
    programs=environments.virtual("fastapi"),
    command=("-m", "uvicorn", "on_fastapi:app", "--no-access-log", "--log-level", "warning"),
    stored=lambda server: int(server.jobs.llen("dramatiq:users")),
    kinds={"made": 1},
)
GATEWAYS = {"luna": LUNA, "peer": PEER}
POSTED = {"made": "one event", "own": "one event with an id", "batch": "100 events"}


def main() -> None:
    """The command."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--systems", nargs="+", choices=GATEWAYS, default=list(GATEWAYS), metavar="NAME", help="luna, peer"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="how long each figure is measured")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        print("the gateway is not measured: wrk is not installed: apt-get install wrk", file=sys.stderr)
        return
    found: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    with Server(fsync=True) as server:
        for _ in range(options.rounds):
            for name in options.systems:
                measure(GATEWAYS[name], server, options.seconds, found)
    print(table(found))


def measure(gateway: Gateway, server: Server, seconds: int, found: Mapping[tuple[str, str], list[Figures]]) -> None:
    """One round of one gateway. A kind of post that it does not take is told, and counts for nothing."""
    with serving(gateway, server) as (pid, port):
        for kind, size in gateway.kinds.items():
            post(port, kind, WARM_UP_S)
            server.empty()
            before = processes.cpu_s([pid])
            try:
                figures = checked(post(port, kind, seconds), gateway.stored(server), size)
            except RuntimeError as error:
                print(f"{gateway.name}, {kind}: {error}", file=sys.stderr)
                continue
            figures["cpu_us"] = (processes.cpu_s([pid]) - before) / (figures["events_s"] * figures["seconds"]) * 1e6
            found[gateway.name, kind].append(figures)


@contextmanager
def serving(gateway: Gateway, server: Server) -> Iterator[tuple[int, int]]:
    """The process, answering; its id and its port. What it logs is thrown away."""
    port = free_port()
    with TemporaryDirectory(prefix="luna-benchmark-") as folder:
        process = subprocess.Popen(
            [gateway.programs() / "python", *gateway.command],
            cwd=folder,
            env=_environment(Path(folder), server, port),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_takes_events(process, port)
            yield process.pid, port
        finally:
            processes.end(process)


def post(port: int, kind: str, seconds: int) -> Figures:
    """What wrk says of so many seconds of posting."""
    arguments = [f"http://127.0.0.1:{port}", "--", _token(), kind]
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--timeout", "10", "-s", str(SYSTEMS / "posts.lua")]
    done = subprocess.run(
        ["wrk", *options, *arguments], capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    time.sleep(SETTLE_S)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def checked(figures: Figures, stored: int, size: int) -> Figures:
    """The figures, with events a second. Raises RuntimeError unless each answer was a success and its event is stored.

    What was under way when wrk stopped may be stored as well: at most one request on each connection.
    """
    answers = int(figures["answers"])
    if figures["refused"] or figures["lost"] or not answers:
        raise RuntimeError(f"of {answers} requests {figures['refused']} were refused and {figures['lost']} lost")
    if not answers <= stored / size <= answers + CONNECTIONS:
        raise RuntimeError(f"{answers * size} events were accepted, but {stored} are stored")
    return {**figures, "events_s": answers * size / figures["seconds"]}


def table(found: Mapping[tuple[str, str], list[Figures]]) -> str:
    """Medians of the rounds, the least and the most of the rate, and its ratio to the peer's."""
    peer = [round_["events_s"] for round_ in found.get((PEER.name, "made"), ())]
    lines = [
        "| gateway, one process | posted | events/s | × | p50, ms | p99, ms | CPU, µs an event |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, kind), rounds in found.items():
        figures = {key: median(each[key] for each in rounds) for key in rounds[0]}
        rates = [each["events_s"] for each in rounds]
        lines.append(
            f"| {name} | {POSTED[kind]} | **{figures['events_s']:,.0f}** ({min(rates):,.0f}–{max(rates):,.0f}) "
            f"| {_ratio(figures['events_s'], peer)} | {figures['p50_ms']:.1f} | {figures['p99_ms']:.1f} "
            f"| {figures['cpu_us']:.0f} |"
        )
    return "\n".join(lines)


def _ratio(rate: float, peer: Sequence[float]) -> str:
    return f"{rate / median(peer):.2f}" if peer else "–"


def _environment(folder: Path, server: Server, port: int) -> dict[str, str]:
    """What both are given. Luna runs as in production, on limits that nobody reaches."""
    database = f"sqlite:///{folder / 'luna.db'}"
    upgrade(Database(database))
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SYSTEMS),
        "BENCH_PORT": str(server.port),
        "UVICORN_PORT": str(port),
        "JWT_SECRET": SECRET,
        "LUNA_ENV": "production",
        "LUNA_DURABILITY": "fsync",
        "LUNA_RATE_LIMITS": ",".join(f"{layer}=10000000/1s" for layer in UNLIMITED),
        "LUNA_PORT": str(port),
        "REDIS_URL": f"redis://127.0.0.1:{server.port}/0",
        "DATABASE_URL": database,
    }


def _wait_until_it_takes_events(process: subprocess.Popen[bytes], port: int) -> None:
    """Raises RuntimeError when one event is not answered with 202 in time."""
    headers = {"Authorization": f"Bearer {_token()}", "Content-Type": "application/json"}
    request = Request(f"http://127.0.0.1:{port}/v1/events", EVENT, headers)
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(request, timeout=5) as answer:  # noqa: S310
                if answer.status == 202:  # noqa: PLR2004
                    return
        except URLError:
            time.sleep(0.05)
    raise RuntimeError(f"process {process.pid} takes no events")


def _token() -> str:
    return Tokens((SECRET,), issuer="luna", audience="luna").issue("bench", frozenset({"events:write"}), 3600)


if __name__ == "__main__":
    main()
