"""Measures `course grade`, sandbox on, against stock `nbgrader autograde`: the same submissions, the same machine.

    python benchmarks/grading.py --submissions 40 --rounds 3

Each round runs both commands, whole: start, every submission, gradebook. The notebook is a dozen scikit-learn cells
whose own work takes a tenth of a second. nbgrader runs it with its own Execute and the ordinary kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import nbformat
from gauge import Gauge
from nbformat import NotebookNode

from course.grading.intake import submissions
from course.labs import notebooks, release, source

LAB = "09_bench"
QUESTION = "09-1-numbers"
CELLS = (
    "%load_ext course.shipping\nimport pandas as pd\nfrom course.shipping import answers",
    """from sklearn.datasets import make_classification

X, y = make_classification(600, 8, random_state=0)
table = pd.DataFrame(X, columns=list("abcdefgh")).assign(late=y)""",
    "train, test = table.iloc[:400], table.iloc[400:]\ntrain.describe().round(2)",
    """from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

columns = list("abcdefgh")
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train[columns], train.late)""",
    "probability = model.predict_proba(test[columns])[:, 1]\nprobability[:5].round(3)",
    """from sklearn.metrics import roc_auc_score

auc = float(roc_auc_score(test.late, probability))
auc""",
    """from sklearn.ensemble import RandomForestClassifier

forest = RandomForestClassifier(12, random_state=0).fit(train[columns], train.late)
forest.score(test[columns], test.late)""",
    """from sklearn.model_selection import cross_val_score

scores = cross_val_score(model, X, y, cv=4)
scores.round(2)""",
)
ANSWERS = """### BEGIN SOLUTION
answers["auc"] = auc
answers["rate"] = float(train.late.mean())
answers["scores"] = scores
### END SOLUTION"""
CHECKS = """from course.checks import Question, answer, expect

question = Question("Numbers", points=100)


@question.check(50)
def auc():
    \"\"\"the model ranks well\"\"\"
    expect(answer("auc"), "auc").is_between(0.8, 1)


### BEGIN HIDDEN TESTS
@question.check(50, hidden=True)
def rate():
    \"\"\"the share of late flights is right\"\"\"
    expect(answer("rate"), "rate").is_between(0.3, 0.7)


### END HIDDEN TESTS
"""
STOCK_CELL = f"""{CHECKS}
from course.checks.core.rendering import Displayed

Displayed(question.result())"""
STOCK = """
from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, Execute, IgnorePattern, LimitOutput
from nbgrader.preprocessors import ClearOutput, DeduplicateIds, OverwriteCells, OverwriteKernelspec, SaveAutoGrades
from nbconvert.preprocessors import ClearMetadataPreprocessor

c.Autograde.sanitize_preprocessors = [  # nbgrader's own defaults
    ClearOutput, DeduplicateIds, OverwriteKernelspec, OverwriteCells, CheckCellMetadata,
]
c.Autograde.autograde_preprocessors = [
    Execute, IgnorePattern, ClearMetadataPreprocessor, LimitOutput, SaveAutoGrades, AssignLatePenalties,
    CheckCellMetadata,
]
c.Application.log_level = "ERROR"
"""


def notebook(*, stock: bool = False) -> NotebookNode:
    """The source notebook; for stock nbgrader, which runs checks in the student's kernel, with them in its cell."""
    marks = {"grade_id": QUESTION, "grade": True, "locked": True, "points": 100, "schema_version": 3}
    answer = {"grade_id": "09-1-numbers-answer", "solution": True, "schema_version": 3}
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS]
    cells.append(nbformat.v4.new_code_cell(ANSWERS, metadata={"nbgrader": answer}))
    cells.append(nbformat.v4.new_code_cell("table.late.value_counts()"))
    cells.append(
        nbformat.v4.new_code_cell(STOCK_CELL if stock else source.grade_cell(QUESTION), metadata={"nbgrader": marks})
    )
    return notebooks.normalise(nbformat.v4.new_notebook(cells=cells))


def make_course(root: Path, count: int, *, stock: bool = False) -> None:
    """A course with one lab, which `count` students have handed in, and a gradebook that knows the lab."""
    repository = Path(__file__).resolve().parents[1]
    (root / "solutions" / LAB).mkdir(parents=True)
    notebooks.write(notebook(stock=stock), root / "solutions" / LAB / "01_numbers.ipynb")
    (root / "solutions" / LAB / "checks").mkdir()
    (root / "solutions" / LAB / "checks" / f"{QUESTION}.py").write_text(CHECKS, encoding="utf-8")
    settings = (repository / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(settings + (STOCK if stock else ""), encoding="utf-8")
    work = root / "work"
    work.mkdir()
    for number in range(count):
        mine = notebook(stock=stock)
        mine.cells[0].source += f"\n# student {number}"
        notebooks.write(mine, work / "01_numbers.ipynb")
        submissions.submit(root, work, lab=LAB, student=f"student-{number:04}")
    release.register(root, [LAB])
    if not stock:  # the two start from the same state: the gradebook knows the lab
        from course.grading.gradebook import database
        from course.grading.pipeline import assignment

        config = release.configuration(root).CourseDirectory
        with database.Gradebook(config.db_url, config.course_id) as book:
            book.set_source(LAB, assignment.of_sources(root / "solutions" / LAB))
    shutil.copytree(root / "classroom", root / "fresh")


def run(root: Path, command: list[str]) -> tuple[float, float]:
    """Run a command on a fresh classroom; return its time in seconds and its highest memory in GiB."""
    shutil.rmtree(root / "classroom")
    shutil.copytree(root / "fresh", root / "classroom")
    scripts = sysconfig.get_path("scripts")
    env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [f"{scripts}/{command[0]}", *command[1:]],
        cwd=root,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    gauge = Gauge(process.pid, every_s=3.0)
    gauge.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - started
    gauge.stop()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{output[-2000:]}\n{errors[-4000:]}")
    return seconds, gauge.highest_gib


def scores(root: Path) -> list[float]:
    """What every student has in the gradebook."""
    import sqlalchemy as sa

    engine = sa.create_engine(f"sqlite:///{root / 'classroom' / 'gradebook.db'}")
    with engine.connect() as connection:
        return [row[0] for row in connection.execute(sa.text("select auto_score from grade"))]


def phases(root: Path) -> dict[str, float]:
    """Where the time of one submission goes, in seconds: the median over all of the last run."""
    found: dict[str, list[float]] = {}
    for path in (root / "classroom" / "outcomes" / LAB).glob("*.json"):
        for name, seconds in json.loads(path.read_text())["outcome"]["phases"].items():
            found.setdefault(name, []).append(seconds)
    return {name: statistics.median(values) for name, values in found.items()}


def halves(root: Path) -> tuple[float, float]:
    """How many submissions a minute were done in the first and in the second half of the last run."""
    done = sorted(path.stat().st_mtime for path in (root / "classroom" / "outcomes" / LAB).glob("*.json"))
    half = len(done) // 2
    return 60 * half / (done[half] - done[0]), 60 * (len(done) - 1 - half) / (done[-1] - done[half])


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-stock", action="store_true", help="only course grade")
    parser.add_argument("--workers", type=int)
    chosen = parser.parse_args()
    count, ratios = chosen.submissions, []
    workers = ["--workers", str(chosen.workers)] if chosen.workers else []
    with tempfile.TemporaryDirectory(prefix="course-bench-") as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "stock")
        make_course(ours, count)
        if not chosen.no_stock:
            make_course(theirs, count, stock=True)
        print(f"{count} submissions, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; submissions a minute")
        print("round   nbgrader   course   ratio")
        for number in range(1, chosen.rounds + 1):
            mine, memory = run(ours, ["course", "grade", LAB, "--json", *workers])
            assert scores(ours) == [100.0] * count, scores(ours)
            if chosen.no_stock:
                print(f"{number:5}   {'':8}   {60 * count / mine:6.1f}   {mine:.1f} s", flush=True)
                continue
            stock, _ = run(theirs, ["nbgrader", "autograde", LAB])
            assert scores(theirs) == [100.0] * count, scores(theirs)
            ratios.append(stock / mine)
            print(f"{number:5}   {60 * count / stock:8.1f}   {60 * count / mine:6.1f}   {ratios[-1]:5.1f}", flush=True)
        if ratios:
            spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
            print(f"ratio: {statistics.median(ratios):.1f} (median), {spread}; the target is 14")
        pace = "; its first half {:.1f} a minute, its second {:.1f}".format(*halves(ours)) if count > 2 else ""
        print(f"course grade: {memory:.2f} GiB at most{pace}")
        print("one submission, seconds: " + ", ".join(f"{name} {value:.3f}" for name, value in phases(ours).items()))


if __name__ == "__main__":
    main()
