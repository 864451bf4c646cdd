"""No student's code runs in the formgrader: payloads in a real Chromium, against the cleaning and against the policy.

Each payload is proved to be live first, in a page that is neither cleaned nor under a policy.
"""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.api import Gradebook
from nbgrader.server_extensions.formgrader import handlers
from traitlets.config import Config

from course.grading.pipeline import restore, sanitize
from course.grading.pipeline.assignment import SourceCell, SourceNotebook
from course.grading.pipeline.submission import Cell, Notebook, SubmissionOutcome

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).resolve().parents[2]
SCREENSHOTS = REPOSITORY / "build" / "screenshots"
LAB = "01_tiny"
PIXEL = base64.b64encode(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;").decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


MARKDOWN = (
    "<script>F(0)</script>",
    "<SCRIPT SRC='data:text/javascript,F(1)'></SCRIPT>",
    "<img src=x onerror=F(2)>",
    "<svg onload=F(3)></svg>",
    "<svg><script>F(4)</script></svg>",
    "<svg><animate onbegin=F(5) attributeName=x dur=1s>",
    "<body onload=F(6)>",
    "<iframe srcdoc='<script>parent.F(7)</script>'></iframe>",
    "<iframe src='javascript:parent.F(8)'></iframe>",
    "<details open ontoggle=F(9)><summary>x</summary></details>",
    "<video><source onerror=F(10)></video>",
    "<audio src=x onerror=F(11)></audio>",
    "<input autofocus onfocus=F(12)>",
    "<style>@keyframes x{}</style><b style='animation-name:x' onanimationstart=F(13)>x</b>",
    "<a href='javascript:F(14)'>x</a>",
    "[x](javascript:F(15))",
    "[x](JaVaScRiPt:F(16))",
    "<a href='java&#10;script:F(17)'>x</a>",
    "<object data='javascript:parent.F(18)'></object>",
    "<embed src='javascript:parent.F(19)'>",
    "<math><mtext><table><mglyph><style><img src=x onerror=F(20)></style></mglyph></table></mtext></math>",
    "<noscript><p title='</noscript><img src=x onerror=F(21)>'></noscript>",
    "<svg><style><img src=x onerror=F(22)></style></svg>",
    "<form action='javascript:F(23)'><input type=submit id=go></form>",
    "<div id=tick></div>\n\n<img src='x'\nonerror='F(24)'>",
    "<![CDATA[x]]><img src=x onerror=F(25)>",
    "<!--><img src=x onerror=F(26)>-->",
    "<p/onclick=x><img/src=x/onerror=F(27)>",
    "<template><script>F(28)</script></template><img src=x onerror=F(28)>",
    "<marquee onstart=F(29)>x</marquee>",
    "`code` <img src=x onerror=F(30)> *more*",
    "- list\n  <img src=x onerror=F(31)>",
    "> quote <img src=x onerror=F(32)>",
    "| a |\n|---|\n| <img src=x onerror=F(33)> |",
    "$x$ <img src=x onerror=F(34)> $$\\href{javascript:F(34)}{y}$$",
    "<select><style></select><img src=x onerror=F(35)></style></select>",
    "<link rel=stylesheet href='x' onerror=F(36)>",
    '![x](x "a" onerror=F(37))<img src=x onerror=F(37)>',
)
"""Student's words. F(number) is called where one runs."""
OUTPUTS: tuple[dict[str, Any], ...] = (
    {"text/html": "<script>F(100)</script>"},
    {"text/html": ["<img src=x ", "onerror=F(101)>"]},
    {"application/javascript": "F(102)"},
    {"text/markdown": "<img src=x onerror=F(103)>"},
    {"text/html": "<svg onload=F(104)>"},
    {"text/html": "<iframe srcdoc='<script>parent.F(105)</script>'></iframe>"},
    {"text/html": "<details open ontoggle=F(106)>x</details>"},
    {"text/html": "<a href='javascript:F(107)'>x</a>"},
    {"text/html": "<table><tr><td onclick=x><img src=x onerror=F(108)></td></tr></table>"},
)
SILENT: tuple[dict[str, Any], ...] = (  # which nbconvert itself makes harmless today
    {"image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg' onload='F(200)'><script>F(200)</script></svg>"},
    {"text/latex": "<img src=x onerror=F(201)>"},
    {"text/plain": "<img src=x onerror=F(202)>"},
    {"image/png": 'x" onerror="F(203)'},
    {"application/vnd.jupyter.widget-view+json": {"model_id": "</script><script>F(204)</script>"}},
    {"text/x-unknown": "<script>F(205)</script>"},
)
EXPECTED = {*range(len(MARKDOWN)), *range(100, 100 + len(OUTPUTS))}


def marks(name: str, **roles: Any) -> dict[str, Any]:
    plain = {"grade": False, "solution": False, "task": False, "locked": False, "points": None}
    return {"name": name, "source": "", "checksum": "", "cell_type": "markdown", **plain, **roles}


def hostile() -> nbformat.NotebookNode:
    """A submitted and executed notebook with all payloads, also in its metadata, attachments and outputs."""
    nb = nbformat.v4.new_notebook()
    for number, text in enumerate(MARKDOWN):
        cell = nbformat.v4.new_markdown_cell(text)
        if number == 0:
            cell.metadata["nbgrader"] = {"grade_id": "01-1-why"}
            cell.source = f"A fair *answer*.\n\n{text}"
        nb.cells.append(cell)
    pictures = {"x.png": {"image/svg+xml": encoded("<svg onload=F(300) />"), 'image/png" onerror="F(301)': PIXEL}}
    nb.cells.append(nbformat.v4.new_markdown_cell("![x](attachment:x.png)", attachments=pictures))
    kept = {"y.gif": {"image/gif": PIXEL}}
    nb.cells.append(nbformat.v4.new_markdown_cell("![a kept picture](attachment:y.gif)", attachments=kept))
    nb.cells.append(nbformat.v4.new_raw_cell("<img src=x onerror=F(302)>"))
    for bundle in (*OUTPUTS, *SILENT):
        cell = nbformat.v4.new_code_cell("show()")
        metadata = {"image/png": {"width": '1" onerror="F(303)'}, "filenames": {"image/png": 'x" onerror="F(304)'}}
        cell.outputs = [nbformat.v4.new_output("display_data", data=bundle, metadata=metadata)]
        nb.cells.append(cell)
    cell = nbformat.v4.new_code_cell("</pre><script>F(305)</script>")
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="<script>F(306)</script>\x1b]8;;javascript:F(306)\x07x"),
        nbformat.v4.new_output(
            "error", ename="<script>F(307)</script>", evalue="x", traceback=["<img src=x onerror=F(307)>"]
        ),
    ]
    cell.metadata["tags"] = ['x" onclick="F(308)']
    nb.cells.append(cell)
    return nb


def as_graded(clean: bool) -> nbformat.NotebookNode:
    """What stands in autograded/: the notebook restored, with its outputs; cleaned as the engine does, or not."""
    given = hostile()
    source = SourceNotebook("01_answer", {}, (SourceCell(**marks("01-1-why", grade=True, solution=True, points=10)),))
    nb, _ = restore.restore(given, source)
    for cell, before in zip(nb.cells, given.cells, strict=True):
        if before.cell_type == "code":
            cell.outputs = before.outputs
            if not clean:
                cell.metadata["tags"] = before.metadata.get("tags", [])
    evil = 'python"><script>F(309)</script>'
    nb.metadata["language_info"] = {"name": evil, "pygments_lexer": evil, "file_extension": evil}
    nb.metadata["title"] = "<script>F(310)</script>"
    nb.metadata["widgets"] = {
        "application/vnd.jupyter.widget-state+json": {"state": {"a": "</script><script>F(311)</script>"}}
    }
    if clean:
        sanitize.notebook(nb)
    return nb


def page_of(nb: nbformat.NotebookNode) -> str:
    """The formgrader's page of a notebook, without a server and its policy."""
    config = Config()
    config.HTMLExporter.template_name = "formgrade"
    config.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    names = ("submission_id", "notebook_id", "assignment_id", "student", "last_name", "first_name", "notebook_path")
    resources = {"base_url": "http://localhost:9", "index": 0, "total": 1, **dict.fromkeys(names, "x")}
    return HTMLExporter(config=config).from_notebook_node(nb, resources=resources)[0]


WATCH = "window.fired = []; window.F = number => { window.fired.push(number); }; window.alert = F;"
CLICK = """() => {
    const links = [...document.querySelectorAll('a')].filter(link => /^\\s*j/i.test(link.getAttribute('href') || ''));
    links.forEach(link => link.click());
    const go = document.getElementById('go');
    if (go) go.click();
}"""


def fired(page) -> set[int]:
    """What ran in a page, after every link in it was followed that does not lead away."""
    page.wait_for_load_state("load")
    page.evaluate(CLICK)
    page.wait_for_timeout(500)
    return set(page.evaluate("window.fired"))


@pytest.mark.filterwarnings("ignore:No lexer found:UserWarning")  # for a language that is a payload
@pytest.mark.filterwarnings("ignore:Your element with mimetype:UserWarning")  # which nbconvert does not show
def test_payloads_run_in_a_plain_page_and_none_in_a_cleaned_one(new_page, tmp_path):
    assert len(EXPECTED) >= 30
    page = new_page()
    page.add_init_script(WATCH)
    page.route(lambda url: url.startswith("http"), lambda route: route.abort())
    (tmp_path / "plain.html").write_text(page_of(as_graded(clean=False)))
    page.goto((tmp_path / "plain.html").as_uri())
    live = fired(page)
    assert len(live & EXPECTED) >= 30, sorted(EXPECTED - live)
    (tmp_path / "clean.html").write_text(page_of(as_graded(clean=True)))
    page.goto((tmp_path / "clean.html").as_uri())
    assert fired(page) == set()
    assert page.get_by_alt_text("a kept picture").count() == 1
    assert "A fair answer." in page.inner_text("body")


@pytest.fixture
def graded(tmp_path: Path):
    """The course of a class in which two have handed in the hostile notebook; the one of bob is not cleaned."""
    from course.grading.gradebook import database
    from course.grading.pipeline import assignment
    from course.labs import release

    root = tmp_path / "course"
    shutil.copytree(REPOSITORY / "tests" / "fixtures" / "course" / "solutions", root / "solutions")
    shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
    release.register(root, [LAB])
    shutil.copytree(REPOSITORY / "env_setup" / "jupyterlab", root / "env_setup" / "jupyterlab")
    (root / "labs").mkdir()
    config = release.configuration(root)
    with database.Gradebook(config.CourseDirectory.db_url, "late-flights") as book:
        with book.transaction() as connection:
            cells = assignment.load(connection, root / "solutions" / LAB)
        for student in ("ada", "bob"):
            first = Notebook("01_answer", cells=[Cell("01-1-why", 10, None, "", None, "w", by_hand=True)])
            book.record([(SubmissionOutcome(student, LAB, "s", cells.fingerprint, [first]), None)], cells, config)
            folder = root / "classroom" / "autograded" / student / LAB
            (folder / "shipped").mkdir(parents=True)
            nbformat.write(as_graded(clean=student == "ada"), folder / "01_answer.ipynb")
            (folder / "shipped" / "page.html").write_text("<script>F(400); top.F(400)</script>")
    with Gradebook(f"sqlite:///{root}/classroom/gradebook.db", "late-flights") as book:
        book.update_or_create_student("bob", first_name="<img src=x onerror=F(401)>", last_name="O'B")
        found = {one: book.find_submission_notebook("01_answer", LAB, one).id for one in ("ada", "bob")}
    return root, found


def test_the_formgrader_runs_nothing_of_a_student_and_still_grades(graded, new_page, start_jupyter):
    from playwright.sync_api import expect

    root, submissions = graded
    command = ["jupyter", "lab", "--config=env_setup/jupyterlab/config.py", "--no-browser"]
    address, _, token = start_jupyter(command, root).partition("?")
    page = new_page()
    page.add_init_script(WATCH)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{address}formgrader?{token}")  # which logs in for all paths below it
    page.goto(f"{address}formgrader/gradebook/{LAB}/01_answer")
    expect(page.locator("table tbody").get_by_role("link", name="Submission #")).to_have_count(2)
    page.get_by_role("button", name="Show All Names").click()
    expect(page.get_by_text("<img src=x onerror=F(401)>")).to_be_visible()
    assert fired(page) == set()

    for student in ("bob", "ada"):  # of bob's notebook nothing was cleaned: the policy alone holds
        answer = page.goto(f"{address}formgrader/submissions/{submissions[student]}/")
        assert "script-src 'nonce-" in answer.headers["content-security-policy"]
        score = page.locator('input.score[id="01-1-why"]')
        expect(score).to_be_visible()
        assert fired(page) == set()
    expect(score).to_have_class(re.compile("needs_manual_grade"))  # its points have come
    with page.expect_response(lambda answer: "/api/grade/" in answer.url and answer.request.method == "PUT"):
        score.fill("7")
        score.press("Tab")
    page.locator("span.glyphicon-eye-open.name-hidden").first.click()
    expect(page.locator("a.name-shown")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "formgrader-hostile.png")

    answer = page.goto(f"{address}formgrader/submissions/{submissions['ada']}/shipped/page.html")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert fired(page) == set()
    assert errors == []
