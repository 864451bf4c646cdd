"""Can everybody use the page: with a screen reader, a phone, and without JavaScript?"""

import re
from collections.abc import Iterator
from urllib.parse import urlencode

from course.checks import CheckFailed, Question, Service, expect, fail, fixture, text
from course.checks.http import pages
from course.checks.http.pages import Element, Page
from course.checks.http.services import service

probe = """
from flask import Flask
from page import create_page

app = Flask("probe")

@app.get("/health")
def health():
    return {"status": "ok"}

def ask(flight):
    if flight["carrier"] == "DL":
        return 503, {}
    return 200, {"probability": 0.37, "warn": True}

choices = {
    "carriers": {"UA": "United Air Lines", "DL": "Delta Air Lines"},
    "origins": {"EWR": "Newark", "JFK": "New York JFK"},
    "dests": {"ORD": "Chicago Ohare", "LAX": "Los Angeles"},
    "miles": {"EWR-ORD": 719, "JFK-LAX": 2475},
}
app.register_blueprint(create_page(ask, choices, {"validation": {"roc_auc": 0.643}}))
"""
FIELDS = ("carrier", "origin", "dest", "departure", "minutes")
GOOD = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "departure": "2013-11-28T17:30", "minutes": "155"}
question = Question("A page for people", points=9)


@fixture
def api() -> Iterator[Service]:
    """An application with the shipped page."""
    running = service("probe:app", files={"probe.py": probe})
    yield running
    running.close()


@fixture
def shown(api: Service) -> Page:
    """The page before a form was sent; where that fails, which a check minds, the page with an answer."""
    try:
        return page_of(api)
    except CheckFailed as failure:
        try:
            return page_of(api, GOOD)
        except CheckFailed:
            raise failure from None


def page_of(api: Service, form: dict[str, str] | None = None, status: int = 200) -> Page:
    """The page, before or after a form was sent."""
    text("templates/ask.html")
    if form is None:
        answer = api.get("/")
    else:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = api.post("/", body=urlencode(form).encode(), headers=kind)
    answer.expect_status(status)
    return pages.read(answer.text)


def field_of(page: Page, name: str) -> Element:
    """The one field of that name."""
    fields = [field for tag in ("input", "select", "textarea") for field in page.all(tag) if field.get("name") == name]
    if len(fields) != 1:
        fail(f"there is no single field with the name {name}", expected=1, actual=len(fields))
    return fields[0]


@question.check(hint="before anybody has asked, `result` is None, and so is perhaps `auc`")
def it_is_shown_at_first(api: Service) -> None:
    """the page is shown before anything was asked"""
    page_of(api)


@question.check(points=1)
def it_is_a_whole_page(shown: Page) -> None:
    """the page has a language, a title, one main heading, and fits a phone"""
    page = shown
    html, title = page.first("html"), page.first("title")
    if not html or not html.get("lang"):
        fail("the page does not say in which language it is", hint='<html lang="en">')
    if not title or not title.text:
        fail("the page has no title", hint="a screen reader reads it first")
    expect(len(page.all("h1")), "the number of main headings (h1)").equals(1)
    view = [
        meta for meta in page.all("meta") if meta.get("name") == "viewport" and "width" in str(meta.get("content", ""))
    ]
    if len(view) != 1:
        hint = '<meta name="viewport" content="width=device-width, initial-scale=1">'
        fail("the page does not say how wide it is on a phone", hint=hint)


@question.check(points=2)
def every_field_has_a_label(shown: Page) -> None:
    """every field of the form has a label of its own, and the choices are there"""
    page = shown
    names: dict[str, str] = {}
    for name in FIELDS:
        label = page.label_of(field_of(page, name))
        if not any(letter.isalpha() for letter in label):
            fail(
                f"the field {name} has no label",
                actual=repr(label) if label else None,
                hint='<label for="…"> with the id of the field, or a label around it; by a rule of this course a '
                "placeholder is no label, since it is gone as soon as somebody types",
            )
        if label in names:
            fail(f"the fields {names[label]} and {name} have the same label", actual=repr(label))
        names[label] = name
    for name, codes in {"carrier": {"UA", "DL"}, "origin": {"EWR", "JFK"}, "dest": {"ORD", "LAX"}}.items():
        offered = {option.get("value") for option in field_of(page, name).all("option")} - {"", None}
        expect(sorted(offered), f"the list of choices for {name}").equals(sorted(codes))


@question.check(points=2)
def it_answers_without_javascript(api: Service, shown: Page) -> None:
    """a plain form asks, and the answer is announced"""
    forms = [
        form
        for form in shown.all("form")
        if any(element.get("name") == "carrier" for element in form.all("select") + form.all("input"))
    ]
    if len(forms) != 1:
        fail("the fields are not in one form", expected=1, actual=len(forms))
    expect(str(forms[0].get("method", "get")).lower(), "the form's method").equals("post")
    buttons = [element for element in forms[0].all("button") if element.get("type", "submit") == "submit"]
    buttons += [element for element in forms[0].all("input") if element.get("type") == "submit"]
    if not buttons:
        fail(
            "the form has no button that sends it", hint="a <button> within the form does, without a line of JavaScript"
        )
    page = page_of(api, GOOD)
    said = [element.text for element in page.live() if element.get("role") != "alert"]
    if not any("37" in line for line in said):
        fail(
            'no element that is announced (role="status" or aria-live) holds the answer: about 37 of 100',
            actual=said[:2] or None,
        )
