"""Verbs for instructors: collect, roster, verify, grade, feedback, report, export, solutions."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path

import click

from course.base.texts import printable
from course.cli.group import labs_there, main, root_folder, students_there

only_students = click.option(
    "--student",
    "students",
    multiple=True,
    shell_complete=students_there,
    help="Only this one; may be given more than once.",
)


@main.command()
@click.argument("lab", shell_complete=labs_there)
@click.argument("inbox", type=click.Path(path_type=Path))
@click.option("--student", help="Only this student's work: INBOX is a zip or folder of it, or holds it among others.")
@click.option(
    "--list", "class_list", type=click.Path(path_type=Path), help="Moodle's grading worksheet or Canvas's gradebook."
)
@click.option(
    "--column", help="Of Canvas's gradebook, the header of the lab's column; by default the one named like LAB."
)
@click.option("--group", "groups", multiple=True, help="A group that Moodle wrote before names; may be repeated.")
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def collect(
    context: click.Context,
    lab: str,
    inbox: Path,
    student: str | None,
    class_list: Path | None,
    column: str | None,
    groups: tuple[str, ...],
    json: bool,
) -> None:
    """Take in what was handed in for LAB. An earlier submission is kept.

    INBOX is a folder, or the zip that Moodle or Canvas exports ("Download all submissions"). In it is one zip or folder
    per student, named by the student's id, or as Moodle and Canvas name them; the list says who is who. What was taken
    in before is passed over. Exits with 0 when all was taken in, 1 when some was refused.

    \b
    Example:
      course collect 01 submissions.zip --list grades.csv
      course collect 01 inbox
      course collect 01 submissions.zip --student ada
    """
    from course.grading.intake import collecting

    root = root_folder(context)
    options = {"lab": lab, "class_list": class_list, "column": column, "groups": groups}
    if student is None:
        taken, refused = collecting.collect(root, inbox, **options)
    else:
        _ask_about(root, student)
        taken, refused = [collecting.collect_student(root, inbox, student=student, **options)], {}
    if json:
        rows = [
            {
                "student": submission.student,
                "lab": submission.lab,
                "missing": list(submission.missing),
                "receipt": submission.receipt,
                "remarks": list(submission.remarks),
            }
            for submission in taken
        ]
        click.echo(json_format.dumps({"version": 1, "taken": rows, "refused": refused}, indent=1, ensure_ascii=False))
    else:
        for submission in taken:
            _print_taken(submission)
        for name, reason in refused.items():
            click.echo(printable(f"refused {name}: {reason}"), err=True)
        known = "" if taken or refused else "; what is here already, or is older than that, is passed over"
        click.echo(f"{len(taken)} taken in, {len(refused)} refused{known}")
        if student is None:
            _print_missing(collecting.missing(root, lab))
    sys.exit(1 if refused else 0)


def _ask_about(root: Path, student: str) -> None:
    """Before work is taken in for somebody whom the gradebook does not know: ask, or warn where nobody can answer."""
    from course.grading.intake import collecting

    known, like = collecting.known(root, student)
    if known:
        return
    meant = f"; did you mean {' or '.join(like)}?" if like else ""
    text = printable(f"the gradebook does not know {student!r}{meant}")
    if sys.stdin.isatty():
        click.confirm(f"{text} Take it in as {printable(student)} all the same?", abort=True)
    else:
        click.echo(f"warning: {text}", err=True)


def _print_taken(submission) -> None:
    receipt = f", receipt {submission.receipt}" if submission.receipt else ""
    click.echo(printable(f"took in {submission.lab} of {submission.student}{receipt}"))
    if submission.kept:
        click.echo(printable(f"  the one before is kept: {submission.kept}"))
    if submission.missing:
        click.echo(f"  without {', '.join(submission.missing)}, which will earn nothing")
    for remark in submission.remarks:
        click.echo(printable(f"  look at this: {remark}"))


def _print_missing(missing) -> None:
    if missing:
        shown = ", ".join(f"{who.name} ({who.student})" if who.name else who.student for who in missing[:30])
        more = f", and {len(missing) - 30} more" if len(missing) > 30 else ""
        click.echo(printable(f"{len(missing)} have handed in nothing: {shown}{more}"))


@main.command()
@click.argument("lab", required=False, shell_complete=labs_there)
@click.option(
    "--list", "class_list", type=click.Path(path_type=Path), help="Read a platform's list of the class first."
)
@click.option("--column", help="Of Canvas's gradebook, the header of the lab's column.")
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def roster(context: click.Context, lab: str | None, class_list: Path | None, column: str | None, json: bool) -> None:
    """Show who is in the class, who handed in LAB and when, what was refused, and what waits.

    Without LAB it shows every lab for which something was handed in.

    \b
    Example:
      course roster 01
      course roster 01 --list grades.csv
    """
    from course.grading.intake import class_lists, collecting
    from course.grading.reports import grades_csv

    root = root_folder(context)
    if class_list and lab:
        collecting.use_list(root, collecting.full_name(root, lab), class_list, column)
    rows: dict[str, dict] = {}
    for name in [collecting.full_name(root, lab)] if lab else grades_csv.labs_with_work(root):
        waits = grades_csv.waiting(root, name)
        people = [{**vars(who), "waiting": waits.get(who.student)} for who in collecting.roster(root, name)]
        rows[name] = {"students": people, "refused": class_lists.refused(root, name)}
    if json:
        click.echo(json_format.dumps({"version": 1, "labs": rows}, indent=1, ensure_ascii=False))
        return
    for name, found in rows.items():
        click.echo(name)
        for who in found["students"]:
            _print_person(who)
        for file, reason in found["refused"].items():
            click.echo(printable(f"  refused {file}: {reason}"))
        handed = sum(bool(who["at"]) for who in found["students"])
        click.echo(f"  {handed} of {len(found['students'])} have handed in, {len(found['refused'])} refused")


def _print_person(who: dict) -> None:
    more = ", ".join(text for text in (who["name"], who["email"], who["number"]) if text and text != who["student"])
    said = f"handed in {who['at'][:16]} UTC" if who["at"] else "nothing handed in"
    if who["at"]:
        waits = who["waiting"]
        said += ", not graded yet" if waits is None else f", {waits} wait for a person" if waits else ", graded"
    said += "" if who["listed"] else "; not on the list"
    click.echo(printable(f"  {who['student']}{f' ({more})' if more else ''}: {said}"))


@main.command()
@click.argument("what")
@click.option("--student", shell_complete=students_there, help="Of a lab, only this student's.")
@click.option("--code", help="The code that the student kept; it must be that of the receipt.")
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def verify(context: click.Context, what: str, student: str | None, code: str | None, json: bool) -> None:
    """Compare work with its receipt: is it what the student handed in?

    WHAT is a zip, or a lab, for all that was taken in. Exits with 0 when all of it fits.

    \b
    Example:
      course verify 01
      course verify 01 --student ada --code 77b9-a1a3-5a8f-0021-2351-60ee-15db-ad2d
    """
    from course.grading.intake import verification

    verdicts = verification.verify(root_folder(context), what, student=student)
    rows = []
    for verdict in verdicts:
        problems, receipt = list(verdict.problems), verdict.receipt
        if code and receipt and receipt.code != code.strip().lower():
            problems.append(f"the code is another: {receipt.code}")
        time = f"{receipt.time:%Y-%m-%d %H:%M:%S} UTC" if receipt else None
        own = receipt.code if receipt else None
        rows.append({"name": verdict.name, "fits": not problems, "time": time, "code": own, "problems": problems})
    if json:
        click.echo(json_format.dumps({"version": 1, "work": rows}, indent=1, ensure_ascii=False))
    else:
        for row in rows:
            said = "; ".join(row["problems"]) or "is as its receipt says"
            said += f" ({row['time']}, {row['code']})" if row["code"] else ""
            click.echo(printable(f"{row['name']}: {said}"))
    sys.exit(0 if all(row["fits"] for row in rows) else 1)


@main.command()
@click.argument("lab", required=False, shell_complete=labs_there)
@only_students
@click.option("--again", is_flag=True, help="Also what is graded already and has not changed.")
@click.option("--workers", type=click.IntRange(1), help="How many at once; by default one more than processors.")
@click.option("--cluster", metavar="ADDRESS", help="Grade on a Dask cluster, such as tcp://host:8786.")
@click.option("--unsafe", is_flag=True, help="Without a sandbox: students' code can then do all that you can.")
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def grade(
    context: click.Context,
    lab: str | None,
    students: tuple[str, ...],
    again: bool,
    workers: int | None,
    cluster: str | None,
    unsafe: bool,
    json: bool,
) -> None:
    """Grade what was submitted for LAB, or for every lab. Stopped, the same command goes on.

    Exits with 0 when all is graded, 3 when some of it waits for a person, 1 when grading failed.

    \b
    Example:
      course grade 01
      course grade 01 --student ada --again
      course grade --workers 8 --json
    """
    from course.grading.pipeline import container

    root, done = root_folder(context), []
    if container.wanted(unsafe=unsafe, cluster=bool(cluster)):
        sys.exit(_grade_in_container(root, lab, students, again, workers, json))
    from course.grading.pipeline.worker_pool import WorkerPool
    from course.labs import description

    modules = description.warm_modules(root)
    with WorkerPool(workers, cluster, modules=modules) as pool:  # it gets ready while the rest is imported
        from course.grading.pipeline import classroom
        from course.grading.pipeline.execute import Settings
        from course.grading.reports import grades_csv

        chosen = classroom.Options(students, again, Settings(sandboxed=not unsafe), quiet=json)
        for name in [lab] if lab else grades_csv.labs_with_work(root):
            done.append(classroom.grade(root, name, pool, chosen))
            if not json:
                _print_scores(done[-1], students)
    if json:
        click.echo(json_format.dumps({"version": 2, "labs": [run.to_dict() for run in done]}, indent=1))
    sys.exit(3 if any(run.waiting or run.trouble for run in done) else 0)


def _grade_in_container(
    root: Path, lab: str | None, students: tuple, again: bool, workers: int | None, json: bool
) -> int:
    """The same command in a Linux container, where there is no sandbox here."""
    from course.grading.pipeline import container
    from course.labs import release

    words = [*([lab] if lab else []), *(["--again"] if again else []), *(["--json"] if json else [])]
    words += [word for student in students for word in ("--student", student)]
    words += ["--workers", str(workers)] if workers else []
    return container.grade(root, words, release.configuration(root).CourseDirectory.db_url)


def _print_scores(run, students: tuple[str, ...]) -> None:
    click.echo(run.lab)
    for student, row in run.scores.items():
        if students and student not in students:
            continue
        cells = f"{row['waiting']} cell{'s' * (row['waiting'] != 1)}"
        wait = f"; {cells} to be looked at by a person" if row["waiting"] else ""
        late = f", {round(row['penalty'], 2):g} taken off for being late" if row["penalty"] else ""
        score = f"{round(row['score'], 2):g} of {row['points']:g} points"
        click.echo(printable(f"  {student}: {score}{late}{wait}"))
    for student, reason in run.trouble.items():
        shown = "".join(f"\n    {printable(line)}" for line in reason.split("\n"))
        click.echo(f"  {printable(student)}: trouble{shown}", err=True)
    click.echo(f"  {len(run.graded)} graded now, {len(run.unchanged)} unchanged since they were", err=True)
    if any(row["waiting"] for row in run.scores.values()):
        click.echo("  What waits, and why: course report. To grade it: make lab, Nbgrader > Formgrader.", err=True)


@main.command()
@click.argument("lab", required=False, shell_complete=labs_there)
@only_students
@click.pass_context
def feedback(context: click.Context, lab: str | None, students: tuple[str, ...]) -> None:
    """Write a page for each student of LAB, or of every lab, to classroom/feedback/.

    \b
    Example:
      course feedback 01
    """
    from course.grading.reports import feedback as pages
    from course.grading.reports import grades_csv

    root = root_folder(context)
    for name in [lab] if lab else grades_csv.labs_with_work(root, "autograded"):
        click.echo(name)
        for student, path in pages.write(root, name, students):
            score = f"{round(student.score, 2):g} of {student.points:g} points"
            click.echo(printable(f"  {student.id}: {score}, {path.relative_to(root)}"))
        if archive := pages.for_moodle(root, name):
            click.echo(archive.relative_to(root))


@main.command()
@click.argument("lab", required=False, shell_complete=labs_there)
@click.pass_context
def report(context: click.Context, lab: str | None) -> None:
    """Write what the class did in LAB, or in every lab, to classroom/reports/: a page, CSV, JSON, Canvas, Moodle.

    \b
    Example:
      course report 01
    """
    from course.grading.reports import class_report as reports
    from course.grading.reports import grades_csv

    root = root_folder(context)
    for name in [lab] if lab else grades_csv.labs_with_work(root, "autograded"):
        paths, warned = reports.write_and_warn(root, name)
        for path in paths:
            click.echo(path.relative_to(root))
        _warn(warned)


@main.command()
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="By default classroom/grades.csv.")
@click.pass_context
def export(context: click.Context, to: Path | None) -> None:
    """Write all grades as CSV.

    \b
    Example:
      course export --to grades.csv
    """
    from course.grading.reports import grades_csv

    target = to or root_folder(context) / "classroom" / "grades.csv"
    lines, warned = grades_csv.export(root_folder(context), target)
    click.echo(f"{target}: {lines} lines")
    _warn(warned)


@main.command()
@click.argument("lab", shell_complete=labs_there)
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="By default dist/LAB-solutions.zip.")
@click.option("--here", is_flag=True, help="Write the folder solved/LAB of this course instead: for learning alone.")
@click.pass_context
def solutions(context: click.Context, lab: str, to: Path | None, here: bool) -> None:
    """Write the solutions of LAB for students: solved notebooks, all checks, and what people get wrong.

    \b
    Example, after the deadline:
      course solutions 01
    """
    from course.labs import solved

    if here and to is not None:
        raise click.UsageError("--here writes a folder and --to a zip: choose one")
    written = solved.write(root_folder(context), lab, target=to, here=here)
    click.echo(f"{written} (hidden checks are in it: give it out after the deadline)" if not here else f"{written}")


def _warn(sentences: list[str]) -> None:
    for sentence in sentences:
        click.echo(printable(f"warning: {sentence}"), err=True)
