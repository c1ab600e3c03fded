"""Fixtures for tests in a real browser. Without chromium they skip, except in CI, where they fail."""

from __future__ import annotations

import os

import pytest

from tests.browser import harness


def _need_a_browser() -> None:
    reason = harness.missing()
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"Browser tests must run in CI, but {reason}.")
    pytest.skip(f"Browser tests need chromium and chromedriver: {reason}.")


@pytest.fixture(scope="session")
def browser():
    """Headless chromium, one for the whole run."""
    _need_a_browser()
    driver = harness.open_browser()
    yield driver
    harness.close_browser(driver)


@pytest.fixture(scope="session")
def calm_browser():
    """The same for a reader who prefers reduced motion."""
    _need_a_browser()
    driver = harness.open_browser(reduced_motion=True)
    yield driver
    harness.close_browser(driver)


@pytest.fixture
def open_page(browser, tmp_path):
    """``open_page(widget, ..., theme="book-dark", width=360)`` shows widgets; an error fails the test."""
    pages = []

    def show(*widgets, driver=None, **options):
        page = harness.Page(driver or browser, harness.host_page(tmp_path, widgets, **options))
        pages.append(page)
        return page

    yield show
    if pages:
        assert pages[-1].problems() == []
