"""A person asks about a flight: by mouse, by keyboard alone, on a phone, without JavaScript, with mistakes."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIELDS = ["carrier", "origin", "dest", "departure", "minutes"]
PHONE = {"width": 320, "height": 640}
ANSWER = re.compile(r"Of 100 such flights, about (\d+) arrive 15 minutes late or more")


def fill(page) -> None:
    """Enter a flight, as somebody with a mouse does."""
    page.get_by_label("Airline").select_option("UA")
    page.get_by_label("From").select_option("EWR")
    page.get_by_label("To", exact=True).select_option("ORD")
    page.get_by_label("Planned departure").fill("2013-11-28T17:30")
    page.get_by_label("How long").fill("155")


def focused(page) -> str:
    """The id of the element that has the focus."""
    return page.evaluate("document.activeElement.id")


def announced(page) -> str:
    """What a screen reader announces as a status."""
    return " ".join(page.get_by_role("status").inner_text().split())


def test_a_question_by_mouse_gets_an_answer_in_numbers_of_a_hundred(page):
    fill(page)
    page.get_by_role("button", name="Ask").click()

    found = ANSWER.search(announced(page))
    assert found, announced(page)
    assert 0 <= int(found.group(1)) <= 100
    assert "only modestly better than chance" in announced(page)


def test_the_whole_way_can_be_gone_by_keyboard_alone(page):
    page.keyboard.press("Tab")
    assert focused(page) == "carrier"
    page.keyboard.type("United")
    page.keyboard.press("Tab")
    page.keyboard.type("Newark")
    page.keyboard.press("Tab")
    page.keyboard.type("Chicago Ohare")
    page.keyboard.press("Tab")
    assert focused(page) == "departure"
    page.keyboard.type("11282013")
    page.keyboard.press("Tab")  # a year could have more digits
    page.keyboard.type("0530PM")
    assert page.locator("#departure").input_value() == "2013-11-28T17:30"
    while focused(page) == "departure":  # which has several parts
        page.keyboard.press("Tab")
    assert focused(page) == "minutes"
    page.keyboard.type("155")
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert ANSWER.search(announced(page)), page.inner_text("main")
    assert focused(page) == "answer"


def test_after_a_mistake_the_summary_has_the_focus_and_leads_to_the_fields(page):
    fill(page)
    page.get_by_label("How long").fill("")
    page.get_by_label("Airline").select_option("")
    page.get_by_role("button", name="Ask").focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")

    assert page.title().startswith("Error")
    assert focused(page) == "summary"
    links = page.get_by_role("alert").get_by_role("link")
    assert links.evaluate_all("all => all.map(one => one.hash)") == ["#carrier", "#minutes"]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert focused(page) == "minutes"
    assert page.locator("#minutes").get_attribute("aria-invalid") == "true"
    assert page.locator("#dest").input_value() == "ORD"


def test_every_field_has_a_name_and_the_wrong_one_a_description(page):
    page.get_by_role("button", name="Ask").click()

    for name in FIELDS:
        field = page.locator(f"#{name}")
        assert field.evaluate("one => one.labels.length") == 1
        described = page.locator(f"#{field.get_attribute('aria-describedby')}")
        assert described.inner_text().startswith("Error: ")


def test_it_fits_a_narrow_phone(page):
    page.set_viewport_size(PHONE)
    fill(page)
    page.get_by_role("button", name="Ask").click()

    assert ANSWER.search(announced(page))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for name in FIELDS:
        box = page.locator(f"#{name}").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 24


def test_it_works_without_javascript(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    fill(page)
    page.get_by_role("button", name="Ask").click()

    assert ANSWER.search(announced(page))
    context.close()


def test_what_a_person_types_never_becomes_a_part_of_the_page(page):
    page.evaluate("document.querySelector('#minutes').type = 'text'")
    fill(page)
    page.get_by_label("How long").fill('"><img src=x onerror="document.title=1">')
    page.get_by_role("button", name="Ask").click()

    assert page.locator("img").count() == 0
    assert page.title().startswith("Error")


def test_text_stands_out_from_what_is_behind_it(page):
    """Colours are far enough apart for people who see little: at least 4.5 to 1."""
    page.get_by_role("button", name="Ask").click()
    ratio = """one => {
        const light = text => {
            const parts = text.match(/[0-9.]+/g).slice(0, 3).map(Number).map(part => part / 255)
                .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
        }
        let behind = one
        while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement
        const [a, b] = [getComputedStyle(one).color, getComputedStyle(behind).backgroundColor].map(light)
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    }"""
    for element in page.locator("label, .error, button, h1, #summary a").all():
        assert element.evaluate(ratio) >= 4.5, element.inner_text()
