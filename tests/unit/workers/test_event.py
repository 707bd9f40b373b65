from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import RFC_4122, UUID, uuid5

import pytest
from pydantic import ValidationError

from tests.builders import an_event
from workers.contract import Contract
from workers.event import NAMESPACE, Event, derived_id, digest, new_id, now, timestamp


class Noted(Contract):
    """A contract without a wire type of its own, so that no table of contracts finds it."""

    text: str
    more: str | None = None


class Kept(Noted, type="note.kept", external=True):
    pass


def test_the_envelope_is_a_cloud_event_that_comes_back_unchanged() -> None:
    event = an_event(data={"name": "Ada"}, subject="ada", correlation="c-1")
    envelope = event.to_dict()
    assert envelope["specversion"] == "1.0"
    assert envelope["datacontenttype"] == "application/json"
    assert Event.from_dict(envelope) == event


def test_extension_attributes_are_lower_case_letters_and_digits() -> None:
    assert [name for name in an_event(subject="s").to_dict() if not (name.isalnum() and name.islower())] == []


def test_an_absent_subject_is_absent_on_the_wire() -> None:
    assert "subject" not in an_event().to_dict()


@pytest.mark.parametrize("name", ["id", "source", "type", "data", "lunacaller", "time", "correlationid"])
def test_an_envelope_without_a_required_attribute_is_refused(name: str) -> None:
    envelope = an_event().to_dict()
    del envelope[name]
    with pytest.raises(KeyError, match=name):
        Event.from_dict(envelope)


def test_an_event_that_follows_from_nothing_is_its_own_correlation() -> None:
    assert an_event(id="e-1").correlation == "e-1"


@pytest.mark.parametrize("other", [{"id": "e-2"}, {"source": "/till"}, {"caller": "till"}])
def test_caller_source_and_id_make_an_event_another_one(other: dict[str, str]) -> None:
    assert an_event(id="e-1").identity != an_event(**{"id": "e-1", **other}).identity


def test_data_type_and_time_do_not_make_an_event_another_one() -> None:
    one = an_event("user.created", {"a": 1}, id="e-1", time="2026-01-01T00:00:00.000Z")
    other = an_event("user.updated", {"a": 2}, id="e-1", time="2026-01-02T00:00:00.000Z")
    assert one.identity == other.identity


@pytest.mark.parametrize(
    ("one", "other"), [(["a", "b"], ["ab"]), (["a,b"], ["a", "b"]), (["a", ""], ["a"]), (['a","b'], ["a", "b"])]
)
def test_different_lists_of_parts_have_different_digests(one: list[str], other: list[str]) -> None:
    assert digest(*one) != digest(*other)


def test_a_digest_takes_text_that_is_not_valid_unicode() -> None:
    assert len(digest("\ud800")) == 32


def test_a_follow_up_has_the_same_id_whenever_it_is_made() -> None:
    parent = an_event(id="e-1")
    first, again = (parent.follow_up(Kept(text="x"), actor="notes.keep", number=0) for _ in range(2))
    assert first.id == again.id


@pytest.mark.parametrize(
    "change", [{"actor": "notes.copy"}, {"number": 1}, {"parent": an_event(id="e-1", caller="till")}]
)
def test_another_parent_actor_or_number_gives_a_follow_up_another_id(change: dict[str, Any]) -> None:
    def made(parent: Event, actor: str, number: int) -> str:
        return parent.follow_up(Kept(text="x"), actor=actor, number=number).id

    usual = {"parent": an_event(id="e-1"), "actor": "notes.keep", "number": 0}
    assert made(**usual) != made(**{**usual, **change})


def test_a_follow_up_belongs_to_the_caller_and_the_correlation_of_its_parent() -> None:
    parent = an_event(correlation="c-1", caller="till")
    child = parent.follow_up(Kept(text="x"), actor="notes.keep", number=0)
    assert (child.caller, child.correlation) == ("till", "c-1")
    assert (child.type, child.data, child.source) == ("note.kept", {"text": "x"}, "/luna/actors/notes.keep")


def test_a_time_is_utc_with_milliseconds() -> None:
    summer = datetime(2026, 7, 1, 14, 0, 0, 123456, timezone(timedelta(hours=2)))
    assert timestamp(summer) == "2026-07-01T12:00:00.123Z"


def test_a_contract_says_what_it_is_called_and_who_may_post_it() -> None:
    assert (Kept.type, Kept.external, Kept.terminal) == ("note.kept", True, False)
    assert not Noted.external


def test_a_contract_refuses_fields_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="role"):
        Kept.model_validate({"text": "x", "role": "admin"})


def test_extension_attributes_travel_with_the_event_and_with_what_follows_from_it() -> None:
    event = an_event(extensions={"traceparent": "00-ab-cd-01", "retries": 3, "sampled": True})
    assert Event.from_dict(event.to_dict()) == event
    assert event.follow_up(Kept(text="x"), actor="notes.keep", number=0).extensions == event.extensions


def test_a_new_id_is_a_random_uuid() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {(UUID(each).version, UUID(each).variant) for each in ids} == {(4, RFC_4122)}
    assert all(each == str(UUID(each)) for each in ids)


@pytest.mark.parametrize("name", ["", "a", "/shop\n1", "ü" * 300])
def test_a_derived_id_is_the_uuid_5_of_its_name(name: str) -> None:
    assert derived_id(name) == str(uuid5(NAMESPACE, name))


def test_a_child_process_makes_other_ids_than_its_parent() -> None:
    new_id()  # some are kept for the next ones
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 36).decode() != new_id()


def test_now_is_written_as_any_moment_is() -> None:
    before, written, after = timestamp(datetime.now(UTC)), now(), timestamp(datetime.now(UTC))
    assert before <= written <= after
