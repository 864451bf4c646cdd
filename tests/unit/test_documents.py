"""What a document says is read as a person would read it, and what it lacks is told by its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from course import flights
from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.files.documents import Audit, Document, amount

COLUMNS = ["flights.dest", "flights.delay", "flights.carrier", "airlines.carrier", "airlines.name"]
LINE = {"useful": True, "available": True, "why": "in the plan"}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ship a document with this text, and return it."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))

    def write(text: str) -> Document:
        (tmp_path / "p.yaml").write_text(text)
        return Document("p.yaml")

    return write


def failure(call, *args, **kwargs) -> CheckFailed:
    with pytest.raises(CheckFailed) as caught:
        call(*args, **kwargs)
    return caught.value


# -------------------------------------------------------------------------------------------------------------- entries


def test_a_document_is_read_only_when_it_is_asked(write, tmp_path):
    document = write("a: 1")
    (tmp_path / "p.yaml").unlink()
    with pytest.raises(Unmet, match=r"there is no p\.yaml"):
        document.entry("a")


@pytest.mark.parametrize(
    ("text", "what"), [("", "empty"), ("hello", "one text"), ("- a", "a list"), ("3", "one value")]
)
def test_a_document_that_is_no_mapping_says_what_it_is(write, text, what):
    error = failure(write(text).entry, "a")
    assert error.reason.startswith(f"p.yaml is {what}")
    assert "name: value" in error.hint


def test_an_entry_is_found_by_its_path(write):
    document = write("a: {b: {c: 3}}\nd: no\ne: 0")
    assert document.entry("a.b.c") == 3
    assert document.entry("d") is False
    assert document.entry("e") == 0


def test_an_entry_that_lacks_is_named_with_its_place_and_its_neighbour(write):
    document = write("costs: {missed: 3}\nquestoin: x")  # codespell:ignore questoin
    assert failure(document.entry, "costs.false").reason == "p.yaml lacks `costs.false`"
    assert failure(document.entry, "question").hint == "is it the line `questoin:`?"  # codespell:ignore questoin
    assert "`costs.missed` in p.yaml holds no names" in failure(document.entry, "costs.missed.now").reason


@pytest.mark.parametrize("value", ["", "''", "{}", "[]", "~", "raise NotImplementedError()", "'# YOUR WORK HERE'"])
def test_an_empty_entry_is_not_taken_for_an_answer(write, value):
    document = write(f"a: {value}")
    assert failure(document.entry, "a").reason == "`a` in p.yaml is still empty"
    assert failure(document.entry, "a.b").reason == "`a` in p.yaml is still empty"


# ---------------------------------------------------------------------------------------------------- words and numbers


def test_words_are_counted(write):
    document = write("a: two words\nb: [one, two]\nc: 3")
    assert document.words("a", least=2) == "two words"
    assert document.words("b", least=2) == "one two"
    assert document.words("c") == "3"
    error = failure(document.words, "a", least=3)
    assert (error.reason, error.expected, error.actual) == (
        "`a` in p.yaml is too short",
        "3 words or more",
        "two words",
    )


@pytest.mark.parametrize("value", ["{b: c}", "'...'", "'-'"])
def test_signs_and_mappings_are_no_words(write, value):
    assert "is" in failure(write(f"a: {value}").words, "a").reason


@pytest.mark.parametrize(
    ("value", "number"),
    [(40, 40), (7.5, 7.5), ("40 EUR", 40), ("€ 7.50", 7.5), ("-3", -3), (0, 0), ("12.5 euros a flight", 12.5)],
)
def test_an_amount_may_carry_its_unit(value, number):
    assert amount(value, "the cost") == number


@pytest.mark.parametrize(
    "value", [True, None, "many", "10 to 20", "1,000", "1.000.000", float("nan"), float("inf"), [3], "", "."]
)
def test_what_is_no_single_number_is_no_amount(value):
    assert failure(amount, value, "the cost").reason == "the cost is no number"


def test_items_may_be_texts_or_mappings(write):
    document = write(
        "a: [two words, {what: weather, from: the air}]\nb: {drift: of the season, trust: lost in us}\nc: one text"
    )
    assert document.items("a", least=2) == ["two words", "what weather from the air"]
    assert len(document.items("b", least=2)) == 2
    assert document.items("c", least=1) == ["one text"]


@pytest.mark.parametrize("value", ["[one, two]", "[{what: , from: }, '']", "[a list]"])
def test_items_without_content_do_not_count(write, value):
    error = failure(write(f"a: {value}").items, "a", least=2)
    assert error.reason == "`a` in p.yaml is too short"


def test_what_is_no_list_has_no_items(write):
    assert failure(write("a: 3").items, "a", least=1).reason == "`a` in p.yaml is no list"


# --------------------------------------------------------------------------------------------------------------- audits


@pytest.mark.parametrize(
    "written",
    [
        dict.fromkeys(COLUMNS, LINE),
        {"flights": {"dest": LINE, "delay": LINE, "carrier": LINE}, "airlines": {"carrier": LINE, "name": LINE}},
        {"dest": LINE, "delay": LINE, "carrier": LINE, "airlines.*": LINE},
        {"flights.*": LINE, "airlines": LINE},
        {"*": LINE},
        {"flights": {"*": LINE}, "airlines": {"*": LINE}},
    ],
    ids=["dotted", "nested", "bare", "a table", "all", "nested stars"],
)
def test_an_audit_may_be_written_in_several_ways(written):
    audit = Audit.read(written, COLUMNS)
    assert audit.missing == ()
    assert audit.invented == ()
    assert all(audit.says(column, "available") for column in COLUMNS)


def test_the_line_of_a_column_goes_before_that_of_its_table():
    other = LINE | {"available": False}
    audit = Audit.read({"flights.*": LINE, "flights.delay": other, "*": other}, COLUMNS)
    assert audit.says("flights.dest", "available") is True
    assert audit.says("flights.delay", "available") is False
    assert audit.says("airlines.name", "available") is False


def test_a_bare_name_of_two_tables_means_the_first():
    audit = Audit.read({"carrier": LINE}, COLUMNS)
    assert set(audit.lines) == {"flights.carrier"}


def test_what_is_missing_and_what_is_invented_is_told():
    audit = Audit.read({"flights.*": LINE, "flights.snow": LINE, "trains.*": LINE, 3: LINE}, COLUMNS)
    assert audit.missing == ("airlines.carrier", "airlines.name")
    assert audit.invented == ("flights.snow", "trains.*", "3")


@pytest.mark.parametrize(
    ("value", "says"), [(True, True), ("Yes", True), ("y", True), (" NO ", False), ("n", False), (False, False)]
)
def test_yes_and_no_may_be_quoted(value, says):
    assert Audit.read({"*": {"available": value}}, COLUMNS).says("flights.dest", "available") is says


@pytest.mark.parametrize("value", [None, "maybe", 1, "", []])
def test_neither_yes_nor_no_is_told_with_the_column(value):
    error = failure(Audit.read({"*": {"available": value}}, COLUMNS).says, "flights.dest", "available")
    assert error.reason == "the line of flights.dest does not say whether it is available"
    assert error.expected == "yes or no"


def test_a_reason_has_words_and_may_hold_a_comma_without_quotes(write):
    document = write(
        "columns: {flights.dest: {useful: yes, available: yes, why: planned, long before}, '*': {why: so}}"
    )
    audit = document.audit(COLUMNS)
    assert audit.reason("flights.dest") == "planned, long before"
    assert "too short" in failure(audit.reason, "flights.delay").reason


@pytest.mark.parametrize("line", [{}, {"why": None}, {"why": " "}])
def test_a_line_without_a_reason_is_told(line):
    assert "gives no reason" in failure(Audit.read({"*": line}, COLUMNS).reason, "flights.dest").reason


@pytest.mark.parametrize("line", [None, "yes", True, ["yes", "no"]])
def test_a_line_that_is_no_mapping_shows_how_to_write_one(line):
    error = failure(Audit.read({"flights.dest": line}, COLUMNS).says, "flights.dest", "useful")
    assert error.reason == "the line of flights.dest is not complete"
    assert "{useful: yes" in error.expected


def test_an_audit_that_is_no_mapping_shows_how_to_write_one(write):
    assert "`columns` in p.yaml is no audit" in failure(write("columns: [a, b]").audit, COLUMNS).reason


def test_an_audit_agrees_with_what_is_true_or_says_which_column_does_not():
    audit = Audit.read({"flights.*": LINE, "airlines.*": LINE}, COLUMNS)
    audit.agrees("available", truth={"flights.dest": True}, because={"flights.dest": "is planned"})
    truth = {"flights.dest": True, "flights.delay": False, "flights.carrier": False}
    error = failure(audit.agrees, "available", truth=truth, because={"flights.delay": "comes later"})
    assert error.reason == "flights.delay comes later; 1 more line of this group should be thought over, too"
    assert (error.expected, error.actual) == ("available: no", "available: yes")


def test_an_audit_that_lacks_a_column_cannot_agree():
    error = failure(Audit.read({}, COLUMNS).agrees, "available", truth={"flights.dest": True}, because={})
    assert error.reason == "the audit lacks the column flights.dest"


def test_every_column_of_the_course_can_be_audited_by_its_name():
    columns = list(flights.SCHEMA)
    audit = Audit.read(dict.fromkeys(columns, LINE), columns)
    assert (list(audit.lines), audit.missing, audit.invented) == (columns, (), ())
