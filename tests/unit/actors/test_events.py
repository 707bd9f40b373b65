from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from email_validator import validate_email
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.events import CONTRACTS, PLAIN_ADDRESS, RESERVED, UserProfileChanged, UserSignedUp, is_plain_address

ROOT = Path(__file__).parents[3]
USER = "0b5a4c1e-8a52-4f0e-9d0a-6f7f3c6f1a11"
GOOD: dict[str, dict[str, Any]] = {
    "user.signed_up": {"user_id": USER, "email": "ada@example.org", "name": "Ada", "preferences": {"news": True}},
    "user.profile_changed": {"user_id": USER, "name": "Ada", "email": "ada@example.org", "preferences": {}},
    "user.created": {"user_id": USER, "email": "ada@example.org", "name": "Ada"},
    "user.updated": {"user_id": USER, "changed": ["name"]},
    "user.closed": {"user_id": USER, "reason": "moved away"},
    "user.deleted": {"user_id": USER},
    "payment.received": {
        "event_name": "subscription_updated",
        "object_type": "subscriptions",
        "object_id": "390201",
        "user_id": USER,
        "subscription": {
            "customer_id": "7",
            "variant_id": "21",
            "status": "cancelled",
            "pause": None,
            "ends_at": "2026-02-01T09:00:00.000000Z",
            "updated_at": "2026-01-01T09:00:00.000000Z",
        },
    },
    "subscription.changed": {"user_id": USER, "subscription_id": "390201", "status": "active", "plan": "pro"},
    "email.requested": {"to": "ada@example.org", "template": "notice", "params": {"title": "Hi"}, "user_id": USER},
    "cache.invalidation_requested": {"tags": ["user:1", "plans"], "user_id": USER},
    "job.due": {"job": "purge", "fire_time": "2026-07-01T03:17:00Z", "tasks": ["purge_receipts"]},
    "job.task_due": {"job": "purge", "fire_time": "2026-07-01T03:17:00+00:00", "task": "purge_receipts"},
    "operation.slice_due": {"operation_id": USER},
}
BAD_IDS = ["", "7", 7, "not-an-id", None]
BAD_ADDRESSES = [
    *("", "ada", "ada@", "@example.org", "ada@example", "a@b@example.org", "ada@example..org", "a da@example.org"),
    *("ada@example.org, eve@example.org", "ada@example.org\nBcc: eve@example.org", f"{'a' * 64}@{'b' * 190}.org", 7),
    *("Ada <ada@example.org>", "<ada@example.org>", " ada@example.org", "ada@example.org\u2028"),
]
BAD_NAMES = ["", "   ", "x" * 201, "A\nB", "A\x00", "A\tB", "A\u202eB", "A\u2028B", 7, None]
BAD_PREFERENCES = [
    *([], "x", {"": 1}, {"k" * 65: 1}, {"a\n": 1}, {"a": []}, {"a": {"b": 1}}, {"a": "x" * 1001}),
    {str(number): 1 for number in range(51)},
]
BAD_SLUGS = ["", "Notice", "1st", "../x", "a b", "notice\n", "a" * 65, 7, None]
BAD_TAGS = [["User:1"], ["user:"], ["user:1\n"], [":1"], ["a" * 129], [""], [1], "user:1", ["ok"] * 101, None]
BAD_TIMES = ["2026-07-01T03:17:00", "2026-07-01T03:17:00+02:00", "soon", None]
BAD: list[tuple[str, str, list[Any]]] = [
    ("user.signed_up", "user_id", BAD_IDS[:-1]),
    ("user.signed_up", "email", [*BAD_ADDRESSES, None]),
    ("user.signed_up", "name", BAD_NAMES),
    ("user.signed_up", "preferences", [*BAD_PREFERENCES, None]),
    ("user.profile_changed", "user_id", BAD_IDS),
    ("user.profile_changed", "email", BAD_ADDRESSES),
    ("user.profile_changed", "name", BAD_NAMES[:-1]),
    ("user.profile_changed", "preferences", BAD_PREFERENCES),
    ("user.created", "email", BAD_ADDRESSES),
    ("user.created", "name", BAD_NAMES),
    ("user.updated", "changed", ["name", [1], None]),
    ("user.closed", "user_id", BAD_IDS),
    ("user.closed", "reason", ["x" * 201, "A\nB", 7]),
    ("payment.received", "event_name", BAD_SLUGS),
    ("payment.received", "object_id", ["", "a b", "7\n", "x" * 65, None, True, 1.5, {}]),
    ("payment.received", "user_id", BAD_IDS[:-1]),
    ("payment.received", "subscription", [{}, [], "x"]),
    ("email.requested", "to", [*BAD_ADDRESSES, None]),
    ("email.requested", "template", BAD_SLUGS),
    ("email.requested", "params", BAD_PREFERENCES),
    ("email.requested", "user_id", BAD_IDS[:-1]),
    ("cache.invalidation_requested", "tags", BAD_TAGS),
    ("cache.invalidation_requested", "user_id", BAD_IDS[:-1]),
    ("job.due", "job", BAD_SLUGS),
    ("job.due", "fire_time", BAD_TIMES),
    ("job.due", "tasks", [["Bad Task"], "x", None]),
    ("job.task_due", "task", BAD_SLUGS),
    ("job.task_due", "fire_time", BAD_TIMES),
]
CASES = [(type_, field, value) for type_, field, values in BAD for value in values]


def test_there_is_a_good_example_of_every_event() -> None:
    assert set(GOOD) == set(CONTRACTS)


@pytest.mark.parametrize("type_", GOOD)
def test_good_data_is_accepted_and_survives_the_wire(type_: str) -> None:
    data = CONTRACTS[type_].model_validate(GOOD[type_])
    assert CONTRACTS[type_].model_validate(data.model_dump(mode="json")) == data


@pytest.mark.parametrize(("type_", "field", "value"), CASES, ids=[f"{t}-{f}-{n}" for n, (t, f, _) in enumerate(CASES)])
def test_a_bad_field_is_refused_by_its_name(type_: str, field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        CONTRACTS[type_].model_validate({**GOOD[type_], field: value})
    assert {problem["loc"][0] for problem in refusal.value.errors()} == {field}


@pytest.mark.parametrize(
    "type_", sorted(GOOD.keys() - {"subscription.changed"})
)  # of the billing slice, which tells a plan
@pytest.mark.parametrize("field", ["role", "plan", "id", "profile_changes"])
def test_a_field_nobody_may_set_is_refused(type_: str, field: str) -> None:
    with pytest.raises(ValidationError, match=f"{field}\n.*Extra inputs are not permitted"):
        CONTRACTS[type_].model_validate({**GOOD[type_], field: "x"})


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("user.profile_changed", {"user_id": USER}),
        ("user.profile_changed", {"user_id": USER, "name": None}),
        ("cache.invalidation_requested", {}),
        ("cache.invalidation_requested", {"tags": []}),
    ],
)
def test_an_event_that_asks_for_nothing_is_refused(type_: str, data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="must be given"):
        CONTRACTS[type_].model_validate(data)


@pytest.mark.parametrize(
    "name",
    ["山田\u3000太郎", "Jean\u00a0Paul", "علی\u200cرضا", "O'Brien-Smith, Jr.", "Zoë", "🌙"],  # noqa: RUF001 alef is no l
)
def test_names_of_every_script_are_names(name: str) -> None:
    assert UserSignedUp(email="ada@example.org", name=name).name == name


def test_space_around_a_name_is_dropped() -> None:
    assert UserSignedUp(email="ada@example.org", name="  Ada ").name == "Ada"


def test_the_same_domain_is_written_the_same_way() -> None:
    addresses = ["ada@EXÄMPLE.org", "ada@xn--exmple-cua.org"]
    assert {UserSignedUp(email=address, name="Ada").email for address in addresses} == {"ada@exämple.org"}


def test_only_the_fields_that_are_given_are_changes() -> None:
    change = UserProfileChanged.model_validate({"user_id": USER, "preferences": {"news": None, "size": 1}})
    assert change.changes() == {"preferences": {"news": None, "size": 1}}


@pytest.mark.parametrize("value", [True, 1, 1.5, "1", None])
def test_a_preference_keeps_its_kind(value: object) -> None:
    change = UserProfileChanged.model_validate({"user_id": USER, "preferences": {"a": value}})
    kept = change.model_dump(mode="json")["preferences"]["a"]
    assert (kept, type(kept)) == (value, type(value))


def test_the_table_holds_the_events_of_this_page_whatever_was_imported_before() -> None:
    program = (
        "from workers.contract import Contract\n"
        "class Foreign(Contract, type='foreign.made'): ...\n"
        "from actors.events import CONTRACTS\n"
        "print('foreign.made' in CONTRACTS, 'user.created' in CONTRACTS)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


PLAIN = st.from_regex(PLAIN_ADDRESS, fullmatch=True)
NEARLY = st.text("abz019._+-@", max_size=40) | st.tuples(PLAIN, st.sampled_from([*RESERVED, "xn--a", ".", "-"])).map(
    "".join
)


@given(PLAIN | NEARLY)
@example("ada@localhost")
@example("ada@a.test")
@example("ada@xn--80ak6aa92e.com")
@example("ada@ab--cd.com")
@example("a" * 32 + "." + "a" * 15 + "." + "a" * 15 + "@example.com")
def test_an_address_taken_for_plain_is_one_that_the_whole_validation_leaves_as_it_is(address: str) -> None:
    if is_plain_address(address):
        assert validate_email(address, check_deliverability=False).normalized == address


def test_a_common_address_is_plain() -> None:
    assert is_plain_address("ada.lovelace+news@mail.example.co.uk")
