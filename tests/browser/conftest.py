"""A real Chromium for the tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import cast

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")  # its event loop runs in this thread, where other tests start their own
def _browser() -> Iterator[Browser]:
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    if binary is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Chromium is not installed here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, what it said on its console, and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.asked.append(request.url))


@pytest.fixture
def watched(_browser: Browser) -> Iterator[Watched]:
    """A page in a browser that has nothing stored."""
    context = _browser.new_context()
    yield Watched(cast("Page", context.new_page()))
    context.close()
