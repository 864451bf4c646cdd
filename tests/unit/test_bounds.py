"""No text of a student keeps trusted code busy: expressions and parsers cost in proportion to what they read.

Regular expressions are found in the source, and each is given texts that are made from its own parts, so that a new one
is tried without anybody thinking of it. Times are of the processor, and compared with a walk along the same text.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import itertools
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]

import pytest

from course.base.budgets import BudgetExceeded, budget
from course.checks.core.bounds import bounded
from course.checks.core.expectations import Unmet

ROOT = Path(__file__).resolve().parents[2]
READERS = ("course/base/**/*.py", "course/checks/**/*.py", "course/grading/**/*.py", "course/student/**/*.py")
QUESTIONS = ("solutions/*/checks/*.py",)
LENGTH = 6_000
TIMES = 150  # the walk along a text, in which an expression must be done with it: what is quadratic takes thousands
# what is cut before it is matched, to so many characters: the name of an expression, or the expression itself
CUT = {
    "course/checks/kubernetes/policies.py:_SLEEP": 2000,  # a hook's command
    "course/checks/kubernetes/policies.py:_LOOP": 2000,
    "course/checks/kubernetes/policies.py:_RANGE": 2000,
    "course/checks/kubernetes/policies.py:_ENDPOINT": 4000,  # a probe's command
    r"\(\S+, line (\d+)\)$": 300,  # the message of an error
    r"\{\{-?\s*/\*.*?\*/\s*-?\}\}": 8192,  # the file of a template
}
METHODS = {"search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split"}


def walked(text: str) -> float:
    """The seconds that a walk along a text takes."""
    started = time.process_time()
    sum(map(ord, text))
    return time.process_time() - started


def seconds(call: Callable[[], object], enough: float = 0.02) -> float:
    """The seconds that a call takes; one that takes more than `enough` is tried again, and the better time counts.

    What takes very long is stopped.
    """
    found = []
    for _ in range(2):
        started = time.process_time()
        try:
            with budget(2.0):
                call()
        except BudgetExceeded:
            pass
        except Exception:  # it refused the text, in its own time
            pass
        found.append(time.process_time() - started)
        if found[-1] <= enough:
            break
    return min(found)


# ------------------------------------------------------------------------------------------------- regular expressions


def expressions() -> Iterator[tuple[str, re.Pattern[str], set[str]]]:
    """Where a regular expression stands, the expression, and how it is called."""
    for files in (*READERS, *QUESTIONS):
        for path in sorted(ROOT.glob(files)):
            source = path.read_text(encoding="utf-8")
            if "re." in source:
                yield from _expressions_in(path, source)


def _expressions_in(path: Path, source: str) -> Iterator[tuple[str, re.Pattern[str], set[str]]]:
    where = path.relative_to(ROOT).as_posix()
    uses: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            value = node.func.value
            name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
            if name == "re" and node.args and isinstance(node.args[0], ast.Constant):
                yield f"{where}:{node.lineno}", _compiled(node), {node.func.attr}
            elif name:
                uses.setdefault(name, set()).add(node.func.attr)
    if where.startswith("course/"):
        module = importlib.import_module(where.removesuffix(".py").replace("/", ".").removesuffix(".__init__"))
        for name, value in vars(module).items():
            values = value.values() if isinstance(value, dict) else [value]
            for one in values:
                if isinstance(one, re.Pattern) and isinstance(one.pattern, str):
                    yield f"{where}:{name}", one, uses.get(name) or {"search"}


def _compiled(call: ast.Call) -> re.Pattern[str]:
    flags = next((word.value for word in call.keywords if word.arg == "flags"), None)
    if flags is None and len(call.args) > 2 and isinstance(call.func, ast.Attribute) and call.func.attr != "sub":
        flags = call.args[2]
    names = [] if flags is None else [node.attr for node in ast.walk(flags) if isinstance(node, ast.Attribute)]
    assert isinstance(call.args[0], ast.Constant)
    found = re.RegexFlag(0)
    for name in names:
        found |= re.RegexFlag[name]
    return re.compile(call.args[0].value, found)


CANDIDATES = " a1A-_.:/='\"\n|;&#*$({[<\\@\x1bé,+!%~`?)]}>0zZ"


def _sample(parts: list, groups: dict[int, str], branch: int = 0) -> str:
    """A text that a parsed expression matches, more or less."""
    text = ""
    for kind, value in parts:
        if kind is sre.LITERAL:
            text += chr(value)
        elif kind is sre.NOT_LITERAL:
            text += next(sign for sign in CANDIDATES[1:] if ord(sign) != value)
        elif kind is sre.ANY:
            text += "a"
        elif kind is sre.IN:
            text += _member(value)
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            text += _sample(list(value[2]), groups, branch) * max(1, min(value[0], 300))
        elif kind is sre.SUBPATTERN:
            inner = _sample(list(value[3]), groups, branch)
            groups[value[0]] = inner
            text += inner
        elif kind is sre.ATOMIC_GROUP:
            text += _sample(list(value), groups, branch)
        elif kind is sre.BRANCH:
            text += _sample(list(value[1][min(branch, len(value[1]) - 1)]), groups, branch)
        elif kind is sre.GROUPREF:
            text += groups.get(value, "")
    return text


def _member(signs: list) -> str:
    (negated, pattern) = ("", signs)
    if signs and signs[0][0] is sre.NEGATE:
        negated, pattern = "^", signs[1:]
    for sign in CANDIDATES:
        inside = any(
            (kind is sre.LITERAL and ord(sign) == value)
            or (kind is sre.RANGE and value[0] <= ord(sign) <= value[1])
            or (kind is sre.CATEGORY and _in_category(sign, value))
            for kind, value in pattern
        )
        if inside != bool(negated):
            return sign
    return "a"


def _in_category(sign: str, category: object) -> bool:
    sets = {"SPACE": r"\s", "NOT_SPACE": r"\S", "DIGIT": r"\d", "NOT_DIGIT": r"\D", "WORD": r"\w", "NOT_WORD": r"\W"}
    return re.match(sets[str(category).removeprefix("CATEGORY_")], sign) is not None


def _pumps(parts: list, before: str, branch: int) -> Iterator[tuple[str, str]]:
    """For each part that may repeat: what stands before it, and what is repeated."""
    groups: dict[int, str] = {}
    for kind, value in parts:
        here = _sample([(kind, value)], groups, branch)
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            inner = _sample(list(value[2]), groups, branch)
            if value[1] > 8 and inner:
                yield before, inner
            yield from _pumps(list(value[2]), before, branch)
        elif kind is sre.SUBPATTERN:
            yield from _pumps(list(value[3]), before, branch)
        elif kind is sre.BRANCH:
            for number, alternative in enumerate(value[1][:6]):
                yield from _pumps(list(alternative), before, number)
        before += here


def hostile_texts(pattern: re.Pattern[str], length: int) -> set[str]:
    """Texts on which the expression may go back and forth, each of about that length."""
    parts = list(parser.parse(pattern.pattern, pattern.flags))
    found = {" " * length, "\n" * length, "a" * length}
    for branch in range(2):
        for before, inner in itertools.islice(_pumps(parts, "", branch), 12):
            start = before[:1000]
            units = [(inner, start), (start + inner, ""), (inner + " ", start), (start + inner + " ", "")]
            units += [(sign + start, start) for sign in "-." if start]
            for unit, head in units:
                text = head + unit * (max(1, length - len(head)) // len(unit))
                found |= {text + "\x00", text}
    return found


@pytest.mark.timed("what such a text costs is time")
def test_no_regular_expression_goes_back_and_forth_in_a_long_text():
    slow = []
    for where, pattern, methods in expressions():
        length = CUT.get(where, CUT.get(pattern.pattern, LENGTH))
        for text in hostile_texts(pattern, length):
            limit = 0.2 if length != LENGTH else 0.03
            for method in methods:
                call = getattr(pattern, method)
                arguments = ("", text) if method in ("sub", "subn") else (text,)
                took = seconds(lambda: list(call(*arguments)) if method == "finditer" else call(*arguments), limit)  # noqa: B023
                if took > limit and took > TIMES * walked(text):
                    slow.append(
                        f"{where} {method} {pattern.pattern[:80]!r}: {took:.2f} s on {text[:30]!r}…{text[-10:]!r}"
                    )
                    break
    assert slow == [], "\n".join(slow)


# -------------------------------------------------------------------------------------------------------------- parsers

# ruff: noqa: E501  (tables that are read line by line)
# fmt: off
UNITS = {
    "YAML": (
        *("[", "{", "{a: ", "- ", "- a\n", "? ", "&a ", "*a ", "!a ", "%", "#", "\n", " ", "\t", ",", "'", '"', "a", "9", "1:"),
        *("a: b\n", "a:\n ", "| \n", "--- \n", "\\x41", "'' ", "a, ", "<<: {a: 1}\n", "? a\n"),
    ),
    "broken YAML": ("a: @b\n", "a:b: c\n", '"', "--- \na: @\n", "\ta: b\n"),
    "JSON": ("[", "{", '{"a":', "1", "[],", '"a",', "\\u00e9", "\\ud800", "9", "-", "1e", " ", "null,"),
    "Dockerfile": (
        *("a", " ", "\\\n", "#\n", "RUN a\n", "RUN <<A\n", "ENV a=b ", 'a="', "a='", "a=\\", "${a:-", "$a", "<<A ", "--a=b "),
        *("curl ", "curl | ", "| sh ", "pip ", "pip install ", "apt -", "apt-get ", "rm ", "\\n", "COPY a b\n", '["a", ', "sh $( "),
        *("# a=b\n", "FROM a\n", "ARG A=$A$A\n", "LABEL a=b\n", "install . ", "exec ", "; ", "&& ", "eyJ-", "a://b:"),
    ),
    "patterns": ("*", "*a", "**/", "?", "[a-z]", "[", "\\", "!a\n", "a\n", "a/", "**", "/", "../", "*a*b\n"),
    "requirements": ("a==1\n", "a", "a==", "1.", "[a,", "; a", "(", " ", "\\\n", "#", " #", "--a\n", "a; os_name == 'a' and "),
    "card": ("#", "# ", " ", "**", "**a", "*", ":", "=", "-\n", "# a", "a\n", "**a:** ", "**a** \n", "#\n"),
    "page": ("<", "<!", "</", "&", "&#", "<p>", "<li>", "<?", "<script>", "a=", "<label for=a>", "<!-- -->", "<a b='c'>"),
    "pickle": ("\x80", "(", "]", "I1\n", "L1L\n", "S'a'\n", "}", "0", "N", "\x8c\x01a", "\x94", "X\x01\0\0\0a", "V", "cos\n"),
    "receipt": ("[", '{"files": ', '"a",', "9", '{"a":'),
    "notebook": ("[", '{"cells": [', '{"cell_type": "raw"},', "9", '"a",'),
    "amount": ("1", "-", ".", ",", " ", "1.", "a", "EUR ", "1,"),
    "path": ("../", "a/", "/", ".", "a@", "a:", "//", "?ref=", "git::"),
}
HEADS = {
    "Dockerfile": ("", "FROM a\nRUN ", "FROM a\nENV a=", "FROM a\nCOPY ", "FROM a\nRUN <<A\n"),
    "card": ("", "# "),
    "pickle": ("", "\x80\x04"),
}
# fmt: on
SIZES = (1_000, 8_000)


def _dockerfile(text: str) -> None:
    from course.checks.docker import dockerfile_policy as policy
    from course.checks.docker.dockerfiles import Dockerfile, expand

    rules = (policy.pinned_bases, policy.non_root, policy.exec_form, policy.no_secrets, policy.safe_downloads)
    expand(text, {"a": "x"})
    with contextlib.suppress(Unmet):
        dockerfile = Dockerfile(text)
        for rule in (*rules, policy.tidy_layers):
            rule(dockerfile)


def _patterns(text: str) -> None:
    from course.checks.docker.dockerignore import ignoring, matching
    from course.checks.files import globs

    name = "a" * 1000 + "/b"
    for call in (lambda: ignoring(text)(name), lambda: matching(text, [name]), lambda: globs.fits(name, text[:200])):
        with contextlib.suppress(Unmet):
            call()


def _page(text: str) -> None:
    from course.checks.http import pages

    page = pages.read(text)
    for one in [*page.all("a"), *page.all("p"), *page.all("label")][:20]:
        page.label_of(one)


def _parsers() -> dict[str, Callable[[str], object]]:
    from course.checks.files import documents, reading, secret_detection
    from course.checks.kubernetes import kustomizations, resource_files
    from course.checks.model import artifacts, pickles
    from course.checks.python import pins
    from course.labs import notebooks
    from course.student import receipts

    return {
        "YAML": lambda text: list(resource_files.read(text, "a")),
        "broken YAML": lambda text: list(resource_files.read_around_faults(text, "a")),
        "JSON": reading.plain_json,
        "Dockerfile": lambda text: (_dockerfile(text), secret_detection.secret_in(text)),
        "patterns": _patterns,
        "requirements": pins.pins,
        "card": artifacts.sections,
        "page": _page,
        "pickle": lambda text: pickles.what_is_wrong(text.encode("latin-1")),
        "receipt": lambda text: receipts.read(text.encode()),
        "notebook": notebooks.without_outputs,
        "amount": lambda text: (documents.amount(text, "a"), resource_files.quantity(text)),
        "path": lambda text: kustomizations._within("a", text, "b"),
    }


@pytest.mark.timed("what hostile text costs is time")
@pytest.mark.parametrize("kind", UNITS)
def test_no_parser_takes_longer_than_in_proportion_to_its_text(kind):
    """Eight times the text may take twenty times as long, for times vary; what is quadratic takes sixty-four times."""
    parse, slow = _parsers()[kind], []
    for head, unit in itertools.product(HEADS.get(kind, ("",)), UNITS[kind]):
        short, long = (head + unit * (size // len(unit)) for size in SIZES)
        took = seconds(lambda: parse(long), 0.1)  # noqa: B023
        if took <= 0.1:
            continue
        before = seconds(lambda: parse(short))  # noqa: B023
        if took > 20 * before:
            slow.append(f"{head!r} and {unit!r} …: {before:.3f} s, then {took:.3f} s")
    assert slow == [], "\n".join(slow)


# ------------------------------------------------------------------------------------------------------- the net below


def test_a_page_of_tags_that_are_never_closed_is_the_students_failure():
    """Python's own parser of HTML reads all the rest again at each of them; the bound ends it."""
    from course.checks.http import pages

    with pytest.raises(Unmet, match="processor time"), bounded("a", "b", seconds=0.2):
        pages.read("<a " * 50_000)


def test_what_takes_too_much_processor_time_is_the_students_failure():
    words = "The text takes more than 0.2 seconds of processor time to read"
    limit = bounded("a text can be read", "The text", seconds=0.2)
    with pytest.raises(Unmet, match=words) as caught, limit:
        re.fullmatch("(a|aa)*b", "a" * 60)
    assert caught.value.title == "a text can be read"


def test_a_block_within_another_one_has_the_bound_of_the_outer_one():
    with pytest.raises(BudgetExceeded), budget(0.1), budget(100):
        re.fullmatch("(a|aa)*b", "a" * 60)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux bounds the memory")
def test_what_takes_too_much_memory_is_the_students_failure():
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(Unmet, match="takes more than 100 MiB of memory"), bounded("a", "b", megabytes=100):
        bytearray(2**28)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert len(bytearray(2**28)) == 2**28


def test_what_ends_in_time_is_as_without_a_bound():
    import signal

    with bounded("a", "b", seconds=0.05):
        found = 42
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert (found, signal.getsignal(signal.SIGVTALRM)) == (42, signal.SIG_DFL)
    with pytest.raises(KeyError), budget():
        {}["x"]


def test_in_another_thread_only_the_limits_of_size_hold():
    found: list[int] = []

    def work() -> None:
        with budget(0.01):
            found.append(sum(range(10**6)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [499999500000]
