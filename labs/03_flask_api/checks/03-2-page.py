"""A page for people."""

from urllib.parse import urlencode

from course.checks import Question, expect, fail, text
from course.checks.http import pages
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
api = service("probe:app", files={"probe.py": probe})


def page_of(form=None, status=200):
    """The page, before or after a form was sent."""
    text("templates/ask.html")
    if form is None:
        answer = api.get("/")
    else:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = api.post("/", body=urlencode(form).encode(), headers=kind)
    answer.expect_status(status)
    return pages.read(answer.text)


def field_of(page, name):
    """The one field of that name."""
    found = [one for tag in ("input", "select", "textarea") for one in page.all(tag) if one.get("name") == name]
    if len(found) != 1:
        fail(f"there is no single field with the name {name}", expected=1, actual=len(found))
    return found[0]


@question.check(points=1)
def it_is_a_whole_page():
    """the page has a language, a title, one main heading, and fits a phone"""
    page = page_of()
    if not page.first("html") or not page.first("html").get("lang"):
        fail("the page does not say in which language it is", hint='<html lang="en">')
    if not page.first("title") or not page.first("title").text:
        fail("the page has no title", hint="a screen reader reads it first")
    expect(len(page.all("h1")), "the number of main headings (h1)").equals(1)
    view = [one for one in page.all("meta") if one.get("name") == "viewport" and "width" in one.get("content", "")]
    if len(view) != 1:
        hint = '<meta name="viewport" content="width=device-width, initial-scale=1">'
        fail("the page does not say how wide it is on a phone", hint=hint)


@question.check(points=2)
def every_field_has_a_label():
    """every field of the form has a label"""
    page = page_of()
    for name in FIELDS:
        label = page.label_of(field_of(page, name))
        if not label:
            fail(
                f"the field {name} has no label",
                hint='<label for="…"> with the id of the field; a placeholder is no label',
            )
    for name, codes in {"carrier": {"UA", "DL"}, "origin": {"EWR", "JFK"}, "dest": {"ORD", "LAX"}}.items():
        offered = {one.get("value") for one in field_of(page, name).all("option")} - {"", None}
        expect(sorted(offered), f"the list of choices for {name}").equals(sorted(codes))


@question.check(points=2, needs=every_field_has_a_label)
def it_answers_without_javascript():
    """a plain form asks, and the answer is announced"""
    forms = [
        form
        for form in page_of().all("form")
        if any(one.get("name") == "carrier" for one in form.all("select") + form.all("input"))
    ]
    if len(forms) != 1:
        fail("the fields are not in one form", expected=1, actual=len(forms))
    expect(forms[0].get("method", "get").lower(), "the form's method").equals("post")
    buttons = [one for one in forms[0].all("button") if one.get("type", "submit") == "submit"]
    buttons += [one for one in forms[0].all("input") if one.get("type") == "submit"]
    if not buttons:
        fail(
            "the form has no button that sends it", hint="a <button> within the form does, without a line of JavaScript"
        )
    page = page_of(GOOD)
    said = [one.text for one in page.live() if one.get("role") != "alert"]
    if not any("37" in line for line in said):
        fail(
            'no element that is announced (role="status" or aria-live) holds the answer: about 37 of 100',
            actual=said[:2] or None,
        )
