from __future__ import annotations

import re
from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.rates import Rate
from workers.security.limits import Bucket, Decision, Policy, Standing
from workers.security.limits.gcra import Debt, grown, wait_us

IP, USER = Policy("ip", Rate(6000, 60)), Policy("user", Rate(7, 60))
ENDPOINT = Policy("GET /v1/events/{id}", Rate(5, 1))


def decision(*standings: Standing, policies: tuple[Policy, ...] = (IP, USER, ENDPOINT)) -> Decision:
    return Decision(policies, standings, tuple(one.policy.name for one in standings if one.violated))


def parsed(decision: Decision, field: str) -> dict[str, dict[str, Any]]:
    """The list of Strings with their parameters, by a parser of RFC 9651."""
    found = http_sf.parse(decision.headers[field].encode(), tltype="list")
    assert all(type(name) is str for name, _ in found)
    return dict(found)


def test_the_fields_are_lists_of_strings_with_integer_parameters() -> None:
    said = decision(Standing(IP, 42, 17, violated=False), Standing(USER, 3, 9, violated=False))
    assert parsed(said, "RateLimit-Policy") == {
        "ip": {"q": 6000, "w": 60},
        "user": {"q": 7, "w": 60},
        "GET /v1/events/{id}": {"q": 5, "w": 1},
    }
    assert parsed(said, "RateLimit") == {"ip": {"r": 42, "t": 17}, "user": {"r": 3, "t": 9}}
    assert "Retry-After" not in said.headers
    assert said.allowed
    assert not re.search("(?i)x-ratelimit|ratelimit-(limit|remaining|reset)", " ".join(said.headers))


def test_a_refusal_names_what_was_violated_with_nothing_left_and_says_when_to_come_back() -> None:
    said = decision(
        Standing(IP, 42, 17, violated=False),
        Standing(USER, 0, 9, violated=True),
        Standing(ENDPOINT, 0, 2, violated=True),
    )
    assert not said.allowed
    assert said.violated == ("user", "GET /v1/events/{id}")
    assert said.retry_after_s == 9
    assert said.headers["Retry-After"] == "9"
    assert {name: field["r"] for name, field in parsed(said, "RateLimit").items()}["user"] == 0


def test_what_costs_more_than_a_quota_is_told_that_no_waiting_helps() -> None:
    said = Decision.impossible_for([Bucket(IP, "a"), Bucket(USER, "b")], 8)
    assert (said.allowed, said.impossible, said.violated) == (False, True, ("user",))
    assert said.headers.keys() == {"RateLimit-Policy"}


def test_no_limit_says_nothing() -> None:
    assert Decision().allowed
    assert Decision().headers == {}


def test_the_same_fields_are_there_as_asgi_wants_them() -> None:
    said = decision(Standing(USER, 0, 9, violated=True))
    assert said.raw_headers == [(name.lower().encode(), value.encode()) for name, value in said.headers.items()]
    assert len(said.raw_headers) == 3


@given(
    rate=st.builds(Rate, st.integers(1, 10_000_000), st.integers(1, 30 * 86400)),
    spent=st.integers(0, 1000),
    cost=st.integers(1, 1000),
)
def test_the_figures_of_any_debt_are_within_their_bounds(rate: Rate, spent: int, cost: int) -> None:
    spent, cost = min(spent, rate.quota), min(cost, rate.quota)
    policy, debt = Policy("p", rate), grown(Debt(0), rate, spent)
    violated = wait_us(debt, rate, cost) > 0
    assert violated == (spent + cost > rate.quota)
    standing = Standing.of(policy, debt, violated, cost)
    said = decision(standing, policies=(policy,))
    field = parsed(said, "RateLimit")["p"]
    assert field["r"] == (0 if violated else rate.quota - spent)
    assert 0 <= field["t"] <= rate.window_s
    if violated:
        assert int(said.headers["Retry-After"]) >= field["t"] >= 1
        us = debt.us - said.retry_after_s * 1_000_000
        assert wait_us(Debt(us, debt.part) if us >= 0 else Debt(0), rate, cost) == 0
    else:
        assert "Retry-After" not in said.headers


@pytest.mark.parametrize("policy", [IP, USER, ENDPOINT])
def test_a_policy_reads_the_same_from_answer_to_answer(policy: Policy) -> None:
    fields = {
        decision(standing, policies=(policy,)).headers["RateLimit-Policy"]
        for standing in (Standing(policy, 5, 1, violated=False), Standing(policy, 0, 9, violated=True))
    }
    assert len(fields) == 1
