from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.client import NewEvent, Refused, SpoolError
from workers.client.batches import MAX_BATCH_BYTES
from workers.client.event import Outgoing
from workers.client.spool import FORMAT, Spool
from workers.client.store import KEPT_REFUSED, Memory, Store

MEGABYTE = 1024 * 1024
NO = Refused(422, {"status": 422, "detail": "no"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "luna-spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    spool = Spool(path, MEGABYTE)
    yield spool
    spool.close()


@pytest.fixture(params=["memory", "spool"])
def store(request: pytest.FixtureRequest) -> Store:
    """Every test that asks for it runs on both kinds."""
    kind: Store = Memory(MEGABYTE) if request.param == "memory" else request.getfixturevalue("spool")
    return kind


def events(*ids: str, size: int = 10) -> list[Outgoing]:
    return [NewEvent("a.b", {"text": "x" * size}, id=id_).outgoing for id_ in ids]


def ids(store: Store, most: int = 1000) -> list[str]:
    return [queued.event.id for queued in store.oldest(most)]


def test_events_are_taken_in_the_order_in_which_they_came(store: Store) -> None:
    store.put(events("1", "2"))
    store.put(events("3"))
    assert ids(store) == ["1", "2", "3"]
    assert ids(store, 2) == ["1", "2"]
    assert store.waiting() == 3


def test_taking_does_not_remove(store: Store) -> None:
    (event,) = events("1")
    store.put([event])
    assert [queued.event for queued in store.oldest(1000) + store.oldest(1000)] == [event, event]


def test_what_is_settled_is_gone_wherever_it_stood_and_the_rest_keeps_its_order(store: Store) -> None:
    store.put(events("1", "2", "3", "4", "5"))
    queued = store.oldest(1000)
    store.settle([queued[1].number], [(queued[3], NO)])
    assert ids(store) == ["1", "3", "5"]
    assert [(row.event.id, row.status) for row in store.refused()] == [("4", 422)]


def test_what_waits_up_to_a_number_is_known(store: Store) -> None:
    assert store.last() == 0
    assert not store.holds(0)
    store.put(events("1", "2"))
    first, second = store.oldest(1000)
    store.put(events("3"))
    assert store.last() > second.number
    store.settle([first.number], [])
    assert not store.holds(first.number)
    assert store.holds(second.number)


def test_numbers_grow_though_all_before_are_gone(store: Store) -> None:
    store.put(events("1"))
    (one,) = store.oldest(1000)
    store.settle([one.number], [])
    store.put(events("2"))
    (other,) = store.oldest(1000)
    assert other.number > one.number


def test_all_that_comes_together_has_room_or_none_of_it(store: Store) -> None:
    assert store.put(events("1", "2", size=200_000))
    assert not store.put(events("3", "4", "5", "6", size=200_000))
    assert ids(store) == ["1", "2"]
    assert store.put(events("7"))


def test_a_full_store_drains_and_has_room_again(store: Store) -> None:
    rounds = 0
    for _ in range(3):
        while store.put(events(str(rounds), size=100_000)):
            rounds += 1
        queued = store.oldest(1000)
        store.settle([each.number for each in queued[::2]], [(each, NO) for each in queued[1::2]])
        assert store.waiting() == 0
    assert rounds > 20


def test_the_file_grows_no_larger_than_it_may(path: Path, spool: Spool) -> None:
    while spool.put(events("1", size=10_000)):
        pass
    assert 80 < spool.waiting() < 105
    spool.close()  # which moves what the log holds into the file
    assert path.stat().st_size <= MEGABYTE


def test_a_batch_is_within_the_gateways_limits(tmp_path: Path) -> None:
    for store in (Memory(64 * MEGABYTE), Spool(tmp_path / "spool.db", 64 * MEGABYTE)):
        store.put(events(*map(str, range(40)), size=200_000))
        taken = store.oldest(1000)
        assert MAX_BATCH_BYTES - 250_000 < sum(len(each.event.body) + 1 for each in taken) < MAX_BATCH_BYTES
        store.close()


def test_of_what_was_refused_the_last_thousand_are_kept(store: Store) -> None:
    for begin in range(0, KEPT_REFUSED + 500, 500):
        store.put(events(*map(str, range(begin, begin + 500))))
        store.settle([], [(queued, NO) for queued in store.oldest(1000)])
    kept = store.refused()
    assert (len(kept), kept[0].event.id, kept[-1].event.id) == (KEPT_REFUSED, "500", "1499")


def test_what_was_refused_leaves_most_of_the_file_to_what_waits(spool: Spool) -> None:
    for number in range(20):
        spool.put(events(str(number), size=100_000))
        spool.settle([], [(queued, NO) for queued in spool.oldest(1000)])
    assert [row.event.id for row in spool.refused()] == ["18", "19"]


def test_the_file_outlives_its_process(path: Path, spool: Spool) -> None:
    spool.put(events("1"))
    spool.settle([], [(queued, NO) for queued in spool.oldest(1)])
    spool.put(events("2", "3"))
    spool.close()
    again = Spool(path, MEGABYTE)
    assert ids(again) == ["2", "3"]
    assert [(row.event.id, row.problem) for row in again.refused()] == [("1", NO.problem)]
    again.close()


def test_only_its_owner_reads_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(tmp_path / "s.db", MEGABYTE)
        assert spool.put(events("1"))
        assert spool.may_send()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        spool.close()
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["s.db", "s.db-wal", "s.db-shm", "s.db.lock"], 0o600)


def test_every_commit_is_on_disk_before_it_returns(spool: Spool) -> None:
    for connection in (spool._in, spool._out):  # noqa: SLF001 what a crash of the machine would show
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_one_of_several_sends_and_another_when_it_is_gone(path: Path, spool: Spool) -> None:
    other = Spool(path, MEGABYTE)
    assert [spool.may_send(), other.may_send(), spool.may_send()] == [True, False, True]
    spool.put(events("1"))
    other.put(events("2"))
    assert ids(spool) == ["1", "2"]
    spool.close()
    assert other.may_send()
    other.close()


def test_a_file_of_a_newer_format_is_refused(path: Path) -> None:
    Spool(path, MEGABYTE).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    with pytest.raises(SpoolError, match=f"format {FORMAT + 1}"):
        Spool(path, MEGABYTE)


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SpoolError, match="no spool"):
        Spool(path, MEGABYTE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"\0" * 8192])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SpoolError, match=str(path)):
        Spool(path, MEGABYTE)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="No such file"):
        Spool(tmp_path / "missing" / "spool.db", MEGABYTE)


def test_nothing_but_the_spool_is_left_in_its_folder(path: Path, spool: Spool) -> None:
    spool.put(events("1"))
    assert {file.name for file in path.parent.iterdir()} == {path.name, f"{path.name}-wal", f"{path.name}-shm"}


def test_an_event_that_the_spool_holds_is_sent_as_it_was_made(spool: Spool) -> None:
    event = NewEvent("user.signed_up", {"name": "Ada Ünïcode"}, id="e-1")
    spool.put([event.outgoing])
    (queued,) = spool.oldest(1)
    assert json.loads(queued.event.body)["data"] == {"name": "Ada Ünïcode"}
    assert queued.event == event.outgoing
