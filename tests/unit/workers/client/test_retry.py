from __future__ import annotations

import httpx
import pytest

from workers.client.results import Reply
from workers.client.retry import Attempts, backoff, retry_after


def longest(_low: float, high: float) -> float:
    return high


def shortest(low: float, _high: float) -> float:
    return low


def attempts(deadline_s: float = 1000.0, jitter: object = longest) -> Attempts:
    return Attempts(deadline_s, now=lambda: 0.0, uniform=jitter)  # type: ignore[arg-type]  # two plain functions


def asked(value: str, **headers: str) -> httpx.Response:
    return httpx.Response(503, headers={"Retry-After": value, **headers})


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (asked("7"), 7.0),
        (asked(" 7 "), 7.0),
        (asked("0"), 0.0),
        (asked("Wed, 21 Oct 2026 07:28:30 GMT", Date="Wed, 21 Oct 2026 07:28:00 GMT"), 30.0),
        (asked("Wed, 21 Oct 2015 07:28:00 GMT"), 0.0),
        (asked("Wed, 21 Oct 2099 07:28:00 GMT"), 3600.0),
        (asked("9" * 5000), 3600.0),
        (asked("-1"), None),
        (asked("1.5"), None),
        (asked("soon"), None),
        (asked(""), None),
        (httpx.Response(503, headers=[(b"Retry-After", "²".encode())]), None),
        (httpx.Response(503), None),
        (httpx.ConnectError("refused"), None),
    ],
    ids=str,
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_ignored(reply: Reply, seconds: float | None) -> None:
    assert retry_after(reply) == seconds


def test_the_wait_is_never_shorter_than_asked_and_little_longer() -> None:
    assert attempts(jitter=shortest).pause(asked("8")) == 8.0
    assert attempts(jitter=longest).pause(asked("8")) == 10.0


def test_without_being_asked_the_wait_grows_up_to_a_limit() -> None:
    tries = attempts()
    assert [tries.pause(httpx.Response(503)) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_the_wait_may_be_anything_down_to_nothing() -> None:
    assert backoff(5, shortest) == 0.0
    assert backoff(10_000, longest) == 5.0


def test_a_retry_after_of_nothing_is_no_licence_to_hammer() -> None:
    tries = attempts()
    assert [tries.pause(asked("0")) for _ in range(3)] == [0.1, 0.2, 0.4]


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError])
def test_a_connection_that_broke_is_tried_again_at_once_the_first_time(error: type[httpx.RequestError]) -> None:
    tries = attempts()
    assert [tries.pause(error("reset")) for _ in range(3)] == [0.0, 0.2, 0.4]


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_a_gateway_that_is_away_or_hangs_is_not_tried_again_at_once(error: type[httpx.RequestError]) -> None:
    assert attempts().pause(error("away")) == 0.1


def test_there_is_no_wait_past_the_deadline() -> None:
    assert attempts(5.0, shortest).pause(asked("6")) is None
    assert attempts(5.0, shortest).pause(asked("4")) == 4.0
