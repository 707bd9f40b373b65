from __future__ import annotations

import pytest

from workers.errors import SettingsError
from workers.queue.server import Facts, confirm, refuse_eviction, verdict

ALWAYS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
}
SUSPENDED = {**ALWAYS, "no-appendfsync-on-rewrite": "yes"}
EVICTS = {**ALWAYS, "maxmemory-policy": "allkeys-lru"}
EVERYSEC = {**ALWAYS, "appendfsync": "everysec"}
NO_LOG = {**ALWAYS, "appendonly": "no"}
NEVER = {**ALWAYS, "appendfsync": "no"}
OLD, NEW = (7, 0, 15), (7, 2, 0)


def facts(config: dict[str, str] | None, version: tuple[int, ...] = NEW, used: int = 1, limit: int = 0) -> Facts:
    return Facts("redis", version, config, used, limit, replicas=2)


@pytest.mark.parametrize(
    ("config", "version", "durability", "kept", "confirmation"),
    [
        (ALWAYS, OLD, "fsync", True, None),
        (EVERYSEC, NEW, "fsync", True, ("WAITAOF", "1", "0", "2000")),
        (EVERYSEC, OLD, "fsync", False, None),
        (NEVER, NEW, "fsync", False, None),
        (SUSPENDED, NEW, "fsync", True, ("WAITAOF", "1", "0", "2000")),
        (SUSPENDED, OLD, "fsync", False, None),
        (EVICTS, NEW, "fsync", False, None),
        (EVICTS, NEW, "memory", False, None),
        (NO_LOG, NEW, "fsync", False, None),
        (None, NEW, "fsync", True, ("WAITAOF", "1", "0", "2000")),
        (None, OLD, "fsync", None, None),
        (NO_LOG, OLD, "memory", True, None),
        (ALWAYS, NEW, "replica:2", True, ("WAITAOF", "1", "2", "2000")),
        (ALWAYS, OLD, "replica:2", True, ("WAIT", "2", "2000")),
        (EVERYSEC, OLD, "replica:1", False, ("WAIT", "1", "2000")),
    ],
)
def test_each_level_is_kept_confirmed_or_known_not_to_be(
    config: dict[str, str] | None,
    version: tuple[int, ...],
    durability: str,
    kept: bool | None,
    confirmation: tuple[str, ...] | None,
) -> None:
    seen = facts(config, version)
    assert (verdict(seen, durability)[0], confirm(seen, durability)) == (kept, confirmation)


def test_every_valkey_can_wait_whatever_redis_it_calls_itself() -> None:
    assert Facts("valkey", OLD, EVERYSEC, 1, 0).can_wait


def test_replicas_that_are_not_there_are_missed() -> None:
    alone = facts(ALWAYS)._replace(replicas=1)
    sentence = "2 replica(s) must confirm and 1 are connected: no event is accepted"
    assert verdict(alone, "replica:2") == (False, sentence)
    assert verdict(alone, "replica:1")[0]


def test_weakness_is_said_in_words() -> None:
    assert verdict(facts(NO_LOG, OLD), "fsync")[1] == (
        "appendonly no, appendfsync always, no-appendfsync-on-rewrite no: "
        "a crash of the server can lose accepted events"
    )
    assert verdict(facts(EVICTS), "fsync")[1].startswith("maxmemory-policy allkeys-lru: ")
    assert verdict(facts(None, OLD), "fsync")[1].startswith("unverified")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_server_that_evicts_is_refused_by_name(policy: str) -> None:
    with pytest.raises(SettingsError, match=f"maxmemory-policy is {policy}"):
        refuse_eviction(facts({**ALWAYS, "maxmemory-policy": policy}))


@pytest.mark.parametrize("config", [ALWAYS, None])
def test_a_server_that_does_not_evict_or_does_not_say_is_taken(config: dict[str, str] | None) -> None:
    refuse_eviction(facts(config))


@pytest.mark.parametrize(
    ("used", "limit", "full"), [(80, 100, False), (81, 100, True), (81, 0, False), (150, 100, True)]
)
def test_beyond_four_fifths_of_its_memory_a_server_is_full(used: int, limit: int, full: bool) -> None:
    assert facts(ALWAYS, used=used, limit=limit).full is full
