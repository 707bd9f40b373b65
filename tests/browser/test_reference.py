"""`/docs` in a real browser: it shows what is served, and asks no other host for anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.gateway import WebProcess
from tests.servers import Valkey
from workers.database import Database


@pytest.fixture
def web(valkey: Valkey, database: Database, tmp_path: Path) -> Iterator[WebProcess]:
    url = database.url.render_as_string(hide_password=False)
    with WebProcess(tmp_path, REDIS_URL=valkey.url, DATABASE_URL=url) as web:
        yield web


def test_the_reference_shows_every_operation_without_an_error_or_another_host(web: WebProcess, watched: Any) -> None:
    origin = f"http://127.0.0.1:{web.port}"
    paths = web.http.get("/openapi.json").json()["paths"]
    watched.page.goto(f"{origin}/docs")
    expect(watched.page.locator(".opblock")).to_have_count(sum(len(methods) for methods in paths.values()))
    shown = set(watched.page.locator(".opblock-summary-path").evaluate_all("all => all.map(e => e.dataset.path)"))
    assert shown == set(paths)
    watched.page.locator("#operations-events-post_events .opblock-summary").click()
    expect(watched.page.locator("#operations-events-post_events .responses-table").first).to_be_visible()
    watched.page.locator("#operations-health-live .opblock-summary").click()
    watched.page.locator("#operations-health-live").get_by_role("button", name="Try it out").click()
    watched.page.locator("#operations-health-live").get_by_role("button", name="Execute").click()
    expect(watched.page.locator("#operations-health-live .live-responses-table")).to_contain_text('"ok"')
    assert watched.said == []
    assert {url for url in watched.asked if not url.startswith((origin, "data:"))} == set()
