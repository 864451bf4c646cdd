"""The course's site, opened from disk in a real Chromium: read, searched, by keyboard, on a phone, judged by axe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from course.labs import description

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]  # the site is built first

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
VIEWS = {
    "start": "index.html",
    "labs": "labs/index.html",
    "notebook": "env_setup/hello.html",
    "lab": "labs/01_python_model/03_test_it.html",
    "reading": "readings/01_python_model.html",
    "set-up": "env_setup/index.html",
    "guide": "docs/results.html",
    "slides": "slides.html",
    "search": "search.html?q=calibration",
    "deck": "slides/03_flask_api.html#/6",
}
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 320, "height": 640}
NOT_FROM_DISK = {"preload": False}  # axe would read styles by a request, which a browser refuses for files


@pytest.fixture
def visit(browser, built_site: Path) -> Iterator:
    """Opens a view of the site in a window of its own; nothing may come from elsewhere."""
    contexts, elsewhere = [], []

    def visit(view: str, size: dict[str, int] = WIDE, scheme: str = "light"):
        context = browser.new_context(viewport=size, color_scheme=scheme, locale="en-US")
        contexts.append(context)
        page = context.new_page()
        here = (f"{built_site.as_uri()}/", "data:", "blob:")
        page.on("request", lambda asked: None if asked.url.startswith(here) else elsewhere.append(asked.url))
        page.goto(f"{built_site.as_uri()}/{VIEWS.get(view, view)}")
        if view == "search":
            page.locator("#search-results li").first.wait_for()
        if view == "deck":
            page.locator(".reveal.ready").wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert elsewhere == []


@pytest.mark.parametrize(
    ("kind", "view"),
    [
        *(("wide", view) for view in VIEWS),
        *(("phone", view) for view in VIEWS if view != "lab"),  # of many parts: axe takes its time
        *(("dark", view) for view in ("reading", "notebook", "search")),
    ],
)
def test_axe_finds_nothing_serious_and_the_view_fits(visit, kind, view):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(view, PHONE if kind == "phone" else WIDE, "dark" if kind == "dark" else "light")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"site-{view}-{kind}.png")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    found = Axe().run(page, options=NOT_FROM_DISK).response

    assert len(found["passes"]) > 5
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert [(one["id"], one["nodes"][0]["html"]) for one in serious] == []


def test_a_notebook_of_a_lab_fits_a_phone(visit):
    page = visit("lab", PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_search_finds_a_reading_by_a_word_of_its_text(visit):
    page = visit("search.html")
    page.locator("main input[type=search]").fill("isotonic")
    page.keyboard.press("Enter")
    page.locator("#search-results li a").first.click()

    page.wait_for_url(re.compile("readings/01_python_model.html"))
    assert page.locator("h1").inner_text().startswith("From an idea to a model worth shipping")


def test_the_first_key_leads_past_the_navigation(visit):
    page = visit("reading")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").strip() == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#main-content').contains(document.activeElement)")


def test_the_figures_of_a_reading_are_drawn(visit):
    page = visit("reading")
    for image in page.locator("article img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("one => one.complete && one.naturalWidth > 100", arg=image.element_handle())


@pytest.mark.parametrize("lab", [lab.name for lab in description.of_course(REPOSITORY)])
def test_a_deck_is_walked_by_keyboard_and_each_slide_fits(visit, lab):
    page = visit(f"slides/{lab}.html")
    page.locator(".reveal.ready").wait_for()
    count = page.evaluate("Reveal.getTotalSlides()")
    seen = []
    for _ in range(count):
        seen.append(page.evaluate("Reveal.getCurrentSlide().querySelector('h1, h2').textContent"))
        page.evaluate("Promise.all([...Reveal.getCurrentSlide().querySelectorAll('img')].map(one => one.decode()))")
        tall = page.evaluate("Reveal.getCurrentSlide().scrollHeight")
        assert tall <= page.evaluate("Reveal.getConfig().height"), seen[-1]
        page.keyboard.press("ArrowRight")

    assert count >= 8
    assert len(set(seen)) == count
    assert page.evaluate("document.querySelectorAll('aside.notes').length") >= 6
