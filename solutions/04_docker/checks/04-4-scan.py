"""Does the scanner find the known vulnerabilities of what is installed, and no others?"""

from typing import Any

from course.checks import Module, Question, expect, fail, fixture, module

question = Question("Known vulnerabilities", points=4)
WITHOUT_FIXED = ("package", "version", "id")  # two checks look at the remedy, too
ALL = (*WITHOUT_FIXED, "fixed")


@fixture
def shipped() -> Module:
    """The shipped module, called in a process of its own."""
    return module("scan.py")


def advisory(
    number: int, package: str, *spans: tuple[str, ...], ecosystem: str = "PyPI", together: bool = False, **more: Any
) -> dict[str, Any]:
    """An advisory; a span is (introduced,) or (introduced, fixed)."""
    ranges: list[dict[str, Any]] = [{"type": "ECOSYSTEM", "events": []} for _ in (spans[:1] if together else spans)]
    for place, span in enumerate(spans):
        pairs = zip(("introduced", "fixed"), span, strict=False)
        ranges[0 if together else place]["events"] += [{what: version} for what, version in pairs]
    return {
        "id": f"TEST-{number}",
        "summary": "a vulnerability",
        "affected": [{"package": {"ecosystem": ecosystem, "name": package}, "ranges": ranges}],
        **more,
    }


def vulnerabilities_of(
    shipped: Module, installed: dict[str, str], *advisories: dict[str, Any], keys: tuple[str, ...] = WITHOUT_FIXED
) -> list[tuple[Any, ...]]:
    """What scan() returns, of each vulnerability the values of some keys."""
    said = shipped.scan([{"name": name, "version": version} for name, version in installed.items()], list(advisories))
    if not isinstance(said, list) or not all(isinstance(entry, dict) for entry in said):
        fail("scan() must return a list of dictionaries", actual=said)
    return [tuple(entry.get(key) for key in keys) for entry in said]


@question.check(points=1)
def a_hole_is_found_from_introduced_to_fixed(shipped: Module) -> None:
    """a vulnerability is found from the version that introduced it to the one that fixed it"""
    advisories = advisory(1, "timetable", ("1.2.0", "1.4.0"))
    for version, has in {"1.1.9": False, "1.2.0": True, "1.3.7": True, "1.4.0": False, "2.0": False}.items():
        wanted = [("timetable", version, "TEST-1", "1.4.0")] if has else []
        expect(
            vulnerabilities_of(shipped, {"timetable": version}, advisories, keys=ALL),
            f"the list of vulnerabilities of timetable {version}",
        ).equals(wanted)


@question.check(points=1)
def versions_and_names_are_compared_as_pip_does(shipped: Module) -> None:
    """versions and names are compared as pip does, and the list is sorted"""
    advisories = [
        advisory(9, "Time_Table.Core", ("0", "2.10.0")),
        advisory(3, "time-table-core", ("0", "2.9.1")),
        advisory(5, "b", ("0",)),
        advisory(8, "other", ("0", "2")),
    ]
    expect(
        vulnerabilities_of(shipped, {"time.table_core": "2.9.0", "other": "1"}, *advisories),
        "the list of vulnerabilities",
    ).equals(
        [
            ("other", "1", "TEST-8"),
            ("time-table-core", "2.9.0", "TEST-3"),
            ("time-table-core", "2.9.0", "TEST-9"),
        ]
    )
    expect(
        vulnerabilities_of(shipped, {"Time-Table_Core": "2.10.0"}, *advisories), "the list of vulnerabilities of 2.10.0"
    ).equals([])


### BEGIN HIDDEN TESTS


@question.check(
    points=1,
    hidden=True,
    hint="there can be several ranges, several pairs of events in one range, and no remedy at all",
)
def several_ranges_and_none_that_ends(shipped: Module) -> None:
    """several ranges each have their own remedy, and some have none"""
    for together in (False, True):
        advisories = advisory(1, "a", ("0", "2.3.8"), ("3.0.0", "3.0.1"), ("4.0",), together=together)
        wanted = {"2.3.7": "2.3.8", "2.3.8": 0, "2.9": 0, "3.0.0": "3.0.1", "3.0.1": 0, "4.0": None, "5.1": None}
        for version, fixed in wanted.items():
            expect(
                vulnerabilities_of(shipped, {"a": version}, advisories, keys=ALL),
                f"the list of vulnerabilities of a {version}",
            ).equals([] if fixed == 0 else [("a", version, "TEST-1", fixed)])
    expect(
        vulnerabilities_of(shipped, {"a": "1.0rc1"}, advisory(2, "a", ("0", "1.0")), keys=ALL),
        "the list of vulnerabilities of a 1.0rc1",
    ).equals([("a", "1.0rc1", "TEST-2", "1.0")])


@question.check(
    points=1,
    hidden=True,
    hint="not every advisory still holds, and not every package of that name is one of Python",
)
def what_does_not_count(shipped: Module) -> None:
    """what was withdrawn, or is about another ecosystem, does not count"""
    advisories = [
        advisory(1, "a", ("0", "9"), withdrawn="2024-05-01T00:00:00Z"),
        advisory(2, "a", ("0", "9"), ecosystem="npm"),
        advisory(3, "b", ("0", "9")),
        advisory(4, "a", ("0", "9")),
    ]
    expect(vulnerabilities_of(shipped, {"a": "1"}, *advisories), "the list of vulnerabilities").equals(
        [("a", "1", "TEST-4")]
    )
    expect(vulnerabilities_of(shipped, {}, *advisories), "the list of vulnerabilities of nothing").equals([])


### END HIDDEN TESTS
