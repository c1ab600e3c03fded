"""The built book in a real browser, opened from the file system: figures and quizzes live, nothing fetched."""

from __future__ import annotations

import json

import pytest

from course_utils.lessons.catalogue import lessons
from tests.browser.harness import steady


@pytest.fixture
def visit(browser, built_book):
    """``visit(name)`` opens a page and returns the driver; requests off the machine fail the test at its end."""

    def opened(name):
        from selenium.webdriver.support.ui import WebDriverWait

        browser.get_log("performance")
        browser.get_log("browser")
        page, mark, query = name.partition("?")
        browser.get((built_book / page).as_uri() + mark + query)
        WebDriverWait(browser, 30).until(
            lambda d: d.execute_script("return document.readyState") == "complete"
        )
        waiting = "return document.querySelectorAll('.course-widget[data-state=waiting]').length === 0"
        WebDriverWait(browser, 30).until(lambda d: d.execute_script(waiting), "a widget never came to life")
        return browser

    yield opened
    outside = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "chrome", "about:")):
                outside.append(url)
    assert outside == []


def page_of(lesson):
    return f"notebooks/{lesson.phase}/{lesson.id}.html"


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.id)
def test_every_widget_of_every_lesson_lives(visit, lesson):
    driver = visit(page_of(lesson))
    states = driver.execute_script(
        "return [...document.querySelectorAll('.course-widget')].map(w => [w.dataset.state, w.innerText.length])"
    )
    live = [state for state, _ in states if state == "live"]
    assert len(live) >= 2, "recall and quiz at least"
    assert {state for state, _ in states} <= {"live", "still"}
    severe = [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]
    assert not severe

    driver.execute_async_script("MathJax.startup.promise.then(() => arguments[0]())")
    faults = "return [...document.querySelectorAll('[data-mjx-error]')].map(e => e.dataset.mjxError)"
    assert driver.execute_script(faults) == []
    if lesson.number:
        assert driver.execute_script("return document.querySelectorAll('mjx-container').length") > 10


@pytest.mark.parametrize("lesson", lessons(), ids=lambda lesson: lesson.id)
def test_every_interactive_figure_reacts_to_keys_in_the_book(visit, lesson):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver = visit(page_of(lesson))
    figures = driver.execute_script("return [...document.querySelectorAll('.cx:not(.cx-quiz)')]")
    if not figures:
        pytest.skip("this lesson has no interactive figure")
    for figure in figures:
        kind = figure.get_attribute("class")
        content = (
            "return arguments[0].innerHTML + [...arguments[0].querySelectorAll('input')].map(i => i.value)"
        )
        before = driver.execute_script(content, figure)
        control = driver.execute_script(
            "const all = (what) => [...arguments[0].querySelectorAll(what)];"
            "const c = [...all('[data-cx-handle]'), ...all('input[type=range]'), ...all('[tabindex=\"0\"]')]"
            ".find(c => c.getClientRects().length && !c.disabled);"
            "c?.scrollIntoView({block: 'center', behavior: 'instant'}); c?.focus(); return c",
            figure,
        )
        assert control is not None, f"{kind}: nothing to hold"
        ActionChains(driver).send_keys(Keys.ARROW_RIGHT * 3 + Keys.ARROW_DOWN).perform()
        driver.execute_async_script("setTimeout(arguments[0], 150)")
        assert driver.execute_script(content, figure) != before, f"{kind} does not react"


def test_the_board_reacts_in_the_book(visit):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    driver = visit("notebooks/1-foundations/01_perceptron.html")
    point = steady(driver, ".cx-perceptron [data-point]:last-of-type")
    x = "return arguments[0].getBoundingClientRect().x"
    before = driver.execute_script(x, point)
    drag = ActionChains(driver, duration=50).move_to_element(point).click_and_hold()
    drag.move_by_offset(30, 10).release().perform()
    dragged = driver.execute_script(x, point)
    assert dragged > before + 10
    driver.execute_script("arguments[0].focus()", point)
    ActionChains(driver).send_keys(Keys.ARROW_LEFT * 5).perform()
    steady(driver, ".cx-perceptron [data-point]:last-of-type", quiet=0.1)
    assert driver.execute_script(x, point) < dragged - 1


def test_a_quiz_answers_in_the_book(visit):
    driver = visit("notebooks/1-foundations/01_perceptron.html")
    quiz = driver.execute_script("return document.querySelector('.cx-quiz fieldset')")
    before = driver.execute_script("return arguments[0].textContent.length", quiz)
    driver.execute_script("arguments[0].querySelectorAll('input[type=radio]')[1].click()", quiz)
    driver.execute_script("arguments[0].querySelector('button').click()", quiz)
    assert driver.execute_script("return arguments[0].textContent.length", quiz) > before


def test_dark_mode_and_the_front_page(visit):
    driver = visit("index.html")
    assert "book/index.html" in driver.current_url
    driver.execute_script("document.documentElement.dataset.theme = 'dark'")
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, background.removeprefix("rgb(").rstrip(")").split(",")[:3])) < 250


def test_search_finds_a_lesson_without_a_server(visit):
    driver = visit("search.html?q=perceptron")
    from selenium.webdriver.support.ui import WebDriverWait

    found = "return [...document.querySelectorAll('#search-results a')].map(a => a.href)"
    WebDriverWait(driver, 30).until(
        lambda d: any("01_perceptron" in href for href in d.execute_script(found))
    )
