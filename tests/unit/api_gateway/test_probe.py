from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from api_gateway import probe as module
from api_gateway.probe import FRESH_S, LONGEST_S, Finding, Probe, Seen

WELL, LATE = Finding("ok", "well"), Finding("down", "late")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Outside:
    """Something to look at, which answers when it is let go."""

    def __init__(self) -> None:
        self.looked = 0
        self.lets_go = threading.Event()
        self.clock = Clock()
        self.probe = Probe("outside", self.check, LATE, self.clock)

    def check(self) -> Finding:
        self.looked += 1
        self.lets_go.wait(10)
        return WELL


@pytest.fixture
def outside() -> Outside:
    return Outside()


def test_all_who_ask_at_once_share_one_look(outside: Outside) -> None:
    async def asking() -> list[Seen]:
        asked = [asyncio.ensure_future(outside.probe.look()) for _ in range(50)]
        await asyncio.sleep(0)
        outside.lets_go.set()
        return await asyncio.gather(*asked)

    assert {seen.finding for seen in asyncio.run(asking())} == {WELL}
    assert outside.looked == 1


def test_a_finding_is_good_for_a_second_and_no_longer(outside: Outside) -> None:
    async def asking() -> None:
        for expected, later in ((1, FRESH_S - 0.01), (1, 0.01), (2, FRESH_S), (3, 0)):
            await outside.probe.look()
            assert outside.looked == expected
            outside.clock.now += later

    outside.lets_go.set()
    asyncio.run(asking())


def test_a_look_that_hangs_is_late_for_who_waits_and_at_once_for_who_asks_after(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []
    wait: Callable[..., object] = asyncio.wait

    async def waiting(*awaited: object, **options: float) -> None:
        waits.append(options["timeout"])
        await wait(*awaited, timeout=0)  # type: ignore[misc]  # asyncio's own

    async def asking() -> None:
        monkeypatch.setattr(module.asyncio, "wait", waiting)
        assert (await outside.probe.look()).finding == LATE
        outside.clock.now += 5
        assert await outside.probe.look() == Seen(LATE, 5)
        assert (waits, outside.looked) == ([LONGEST_S, 0.0], 1)
        monkeypatch.undo()
        outside.clock.now -= 5
        outside.lets_go.set()
        assert (await outside.probe.look()).finding == WELL

    asyncio.run(asking())


def test_a_check_that_fails_is_a_finding_and_the_reason_is_logged(outside: Outside) -> None:
    def failing() -> Finding:
        raise ValueError("a secret")

    with capture_logs() as lines:
        seen = asyncio.run(Probe("outside", failing, LATE).look())
    assert seen.finding == Finding("down", "it cannot be checked; the reason is logged")
    assert [(line["event"], line["check"]) for line in lines] == [("check.failed", "outside")]
    assert outside.looked == 0


def test_who_gives_up_waiting_does_not_end_the_look_of_others(outside: Outside) -> None:
    async def asking() -> Seen:
        impatient, patient = (asyncio.ensure_future(outside.probe.look()) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        outside.lets_go.set()
        return await patient

    assert asyncio.run(asking()).finding == WELL
