"""`luna doctor`: looks at everything Luna rests on, and says what to do about what is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NamedTuple

import redis
import typer
from pydantic import SecretStr
from rich.table import Table

from workers import settings
from workers.cli.contracts import queues
from workers.cli.output import console, print_json
from workers.connection import connect, masked, ping
from workers.database import Database
from workers.database.migrate import pending
from workers.errors import LunaError
from workers.operations import Operations
from workers.queue import server
from workers.settings import Settings

CLOCKS_APART_S = 2.0


class Finding(NamedTuple):
    """One check: its verdict (ok, warning or wrong), what was seen, and what to do."""

    check: str
    verdict: str
    seen: str
    advice: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check settings, Redis, database and e-mail. Exit status 1 when something is wrong.

    Example: luna doctor
    """
    loaded = settings.load()
    values, findings = list(_settings(loaded)), [finding for check in CHECKS for finding in check(loaded)]
    if as_json:
        print_json({"settings": values, "checks": [finding._asdict() for finding in findings]})
    else:
        _print(values, findings)
    if any(finding.verdict == "wrong" for finding in findings):
        sys.exit(1)


def _print(values: list[dict[str, str]], findings: list[Finding]) -> None:
    table = Table("setting", "value", "from", box=None)
    for value in values:
        table.add_row(value["name"], value["value"], f"[dim]{value['source']}[/]")
    console.print(table, "", soft_wrap=False)
    colours = {"ok": "green", "warning": "yellow", "wrong": "bold red"}
    for finding in findings:
        advice = f"\n         {finding.advice}" if finding.advice else ""
        console.print(f"[{colours[finding.verdict]}]{finding.verdict:>7}[/]  {finding.check}: {finding.seen}{advice}")


def _settings(loaded: Settings) -> Iterator[dict[str, str]]:
    came_from = settings.sources()
    for name, field in Settings.model_fields.items():
        value, alias = getattr(loaded, name), str(field.alias)
        source = came_from[alias]
        if source == "default" and value != field.get_default():
            source = "LUNA_DATA_DIR"
        yield {"name": alias, "value": _shown(value), "source": source}


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return masked(secret) if "://" in secret else "***"
    return "-" if value is None else str(value)


def _redis(loaded: Settings) -> Iterator[Finding]:
    try:
        client = connect(loaded.redis)
        facts = server.examine(client)
    except (LunaError, redis.RedisError) as error:
        yield Finding("Redis", "wrong", str(error), "Start it, or correct REDIS_URL; `luna up` brings its own.")
        return
    yield Finding("Redis", "ok", facts.name)
    if facts.evicts:
        advice = "A queue must never evict: CONFIG SET maxmemory-policy noeviction"
        yield Finding("Redis eviction", "wrong", facts.evicts, advice)
    else:
        yield Finding("Redis eviction", "ok", "noeviction" if facts.config else "unverified: the server forbids CONFIG")
    kept, seen = server.verdict(facts, loaded.durability)
    if kept:
        yield Finding("Redis persistence", "ok", seen)
    else:
        yield Finding("Redis persistence", "warning", seen, "Set appendonly yes and appendfsync always.")
    apart = abs(server.clock(client) - time.time())
    if apart > CLOCKS_APART_S:
        seen = f"Redis and this machine are {apart:.1f} s apart"
        yield Finding("Clock", "warning", seen, "Let both follow a time server (NTP): tokens and reports rest on it.")
    else:
        yield Finding("Clock", "ok", "Redis and this machine agree")
    if facts.full:
        seen = f"{facts.memory_used} of {facts.memory_limit} bytes used: new events are refused"
        yield Finding("Redis memory", "wrong", seen, "Raise maxmemory, or find out why the queues grow: luna queues")


def _cache(loaded: Settings) -> Iterator[Finding]:
    if loaded.cache_redis_url is None:
        return  # it is the queue's server, which has been checked
    try:
        ping(loaded.cache)
    except LunaError as error:
        yield Finding(
            "Cache", "warning", str(error), "Start it, or correct CACHE_REDIS_URL; until then nothing is cached."
        )
    else:
        yield Finding("Cache", "ok", masked(loaded.cache))


def _database(loaded: Settings) -> Iterator[Finding]:
    database = Database(loaded.database)
    try:
        database.check()
        old = pending(database)
    except LunaError as error:
        yield Finding("Database", "wrong", str(error), "Correct DATABASE_URL.")
        return
    yield Finding("Database", "ok", database.url.render_as_string(hide_password=True))
    if old:
        yield Finding("Schema", "wrong", "older than this version of Luna", "Run `luna migrate`.")
    else:
        yield Finding("Schema", "ok", "up to date")


def _workers(loaded: Settings) -> Iterator[Finding]:
    try:
        idle = sorted(set(queues()) - Operations(connect(loaded.redis), queues()).consumed_queues())
    except LunaError:
        return  # said by the check of Redis
    if idle:
        yield Finding(
            "Workers", "warning", f"nobody consumes {', '.join(idle)}", "Start the process types of the Procfile."
        )
    else:
        yield Finding("Workers", "ok", "every queue is consumed")


def _email(loaded: Settings) -> Iterator[Finding]:
    where = loaded.data_dir / "mail" if loaded.email_transport == "maildir" else _shown(loaded.smtp_url)
    if loaded.production and loaded.email_transport == "maildir":
        yield Finding("E-mail", "warning", f"maildir {where}: nothing leaves this machine", "Set EMAIL_TRANSPORT.")
    else:
        yield Finding("E-mail", "ok", f"{loaded.email_transport} {where}")


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (_redis, _cache, _database, _workers, _email)
