"""The `course` command: thin verbs over the modules that do the work. Nothing imports this module.

What a verb needs is imported when it runs, so that `course --help` answers at once, and so that the students' bundle,
which has no instructors' modules, keeps the verbs that students use.
"""

from __future__ import annotations

import contextlib
import json as json_format
import sys
import tempfile
from pathlib import Path

import click


class Group(click.Group):
    """A command group that shows the course's own errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context):
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            if type(error).__module__.startswith("course."):
                raise click.ClickException(str(error)) from error
            if isinstance(error, ImportError) and (error.name or "").startswith("course."):
                raise click.ClickException(
                    "this is a command for instructors; it is not in the students' bundle"
                ) from error
            raise


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--root", type=click.Path(path_type=Path, file_okay=False), help="The course's folder; found by default.")
@click.version_option(package_name="course", prog_name="course")
@click.pass_context
def main(context: click.Context, root: Path | None) -> None:
    """Take, run and check the course on machine-learning engineering."""
    context.obj = root.resolve() if root else None


def _root(context: click.Context) -> Path:
    """The folder with labs/ in or above the current folder; else the one that the package was installed from."""
    if context.obj is not None:
        return context.obj
    here = Path.cwd()
    package = Path(__file__).resolve().parent.parent
    for folder in (here, *here.parents, package):
        if (folder / "nbgrader_config.py").is_file() or (folder / "labs").is_dir():
            return folder
    raise click.ClickException("this is not the course's folder; go there, or name it: course --root FOLDER …")


def _labs_there(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Labs for tab completion."""
    context.obj = context.find_root().params.get("root")
    with contextlib.suppress(Exception):
        names = {path.name for top in ("labs", "solutions") for path in (_root(context) / top).glob("[0-9][0-9]_*")}
        return sorted(name for name in names if name.startswith(incomplete))
    return []


def _students_there(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Students who have handed something in, for tab completion."""
    context.obj = context.find_root().params.get("root")
    with contextlib.suppress(Exception):
        submitted = _root(context) / "classroom" / "submitted"
        return sorted(path.name for path in submitted.glob("[!.]*") if path.name.startswith(incomplete))
    return []


# -- for everyone ------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--json", is_flag=True, help="Machine-readable.")
def doctor(json: bool) -> None:
    """Check that this machine is ready for the course.

    \b
    Example:
      course doctor
    """
    from course.student import doctor as module

    sys.exit(module.main(json=json))


@main.command()
@click.argument("lab", required=False, shell_complete=_labs_there)
@click.option("--notebook", "-n", "names", multiple=True, help="A notebook by name or number; all by default.")
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def check(context: click.Context, lab: str | None, names: tuple[str, ...], json: bool) -> None:
    """Run the checks of LAB against what is shipped there.

    LAB is a lab's folder, name or number; by default the current folder. Exits with 0 when every check passes.

    \b
    Example:
      course check 01
      course check 01 -n 3 --json
    """
    from course.labs import running

    folder = _lab_folder(context, lab)
    graded = running.check(folder, names)
    if json:
        click.echo(json_format.dumps(_check_record(folder, graded), indent=1, ensure_ascii=False))
    else:
        for cell in graded:
            click.echo(f"{cell.judgement.text or cell.grade_id}\n")
        click.echo(_sum_line(folder, graded))
    complete = all(_visible_earned(cell) for cell in graded)
    sys.exit(0 if complete else 1)


@main.command()
@click.argument("lab", required=False, shell_complete=_labs_there)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="The folder for the zip; by default handed_in/."
)
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def submit(context: click.Context, lab: str | None, to: Path | None, json: bool) -> None:
    """Hand in LAB: make a zip for your instructor, and a receipt for you.

    LAB is a lab's folder, name or number; by default the current folder. Save your notebooks first. The receipt's code
    proves later what you handed in.

    \b
    Example:
      course submit 01
    """
    from course.student import handing_in

    done = handing_in.hand_in(_lab_folder(context, lab), to)
    click.echo(json_format.dumps(done.to_dict(), indent=1, ensure_ascii=False) if json else done)


@main.command()
@click.argument("lab", required=False, shell_complete=_labs_there)
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def status(context: click.Context, lab: str | None, json: bool) -> None:
    """Show where you stand: points by the visible checks, what is missing, what you handed in.

    It reads your saved notebooks and runs nothing; `course check LAB` runs the checks anew. With LAB, each question
    that is not done is named.

    \b
    Example:
      course status
      course status 01
    """
    from course.student import status

    chosen = [_lab_folder(context, lab)] if lab else sorted((_root(context) / "labs").glob("[0-9][0-9]_*"))
    found = [status.of(folder) for folder in chosen]
    if json:
        click.echo(json_format.dumps({"version": 1, "labs": [one.to_dict() for one in found]}, indent=1))
        return
    for one in found:
        begun = lab is not None or one.started
        click.echo(status.text(one, details=lab is not None) if begun else f"{one.name}: not begun yet")


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes the tab key complete verbs, labs and students in SHELL.

    \b
    Example (bash; put the line into ~/.bashrc to keep it):
      eval "$(course completion bash)"
    """
    from click.shell_completion import get_completion_class

    click.echo(get_completion_class(shell)(main, {}, "course", "_COURSE_COMPLETE").source())


def _lab_folder(context: click.Context, lab: str | None) -> Path:
    if lab is None:
        return Path.cwd()
    if Path(lab).is_dir():
        return Path(lab).resolve()
    found = sorted((_root(context) / "labs").glob(f"{lab.zfill(2)}_*" if lab.isdigit() else lab))
    if not found:
        known = ", ".join(path.name for path in sorted((_root(context) / "labs").glob("[0-9]*_*"))) or "none"
        raise click.ClickException(f"there is no lab {lab!r}; there are: {known}")
    return found[0]


def _hidden_points(cell) -> float:
    return cell.judgement.result.hidden_points if cell.judgement.result is not None else 0


def _visible_earned(cell) -> bool:
    return cell.judgement.score is not None and cell.judgement.score + _hidden_points(cell) >= cell.judgement.points


def _sum_line(folder: Path, graded: list) -> str:
    earned = sum(cell.judgement.score or 0 for cell in graded)
    hidden = sum(_hidden_points(cell) for cell in graded)
    here = sum(cell.judgement.points for cell in graded) - hidden
    more = f", {hidden:g} more {'is' if hidden == 1 else 'are'} decided by hidden checks" if hidden else ""
    people = sum(cell.judgement.score is None for cell in graded)
    look = f"; {people} to be looked at by a person" if people else ""
    return f"{folder.name}: {earned:g} of {here:g} points{more}{look}"


def _check_record(folder: Path, graded: list) -> dict:
    cells = [
        {
            "notebook": cell.notebook,
            "grade_id": cell.grade_id,
            "score": cell.judgement.score,
            "points": cell.judgement.points,
            "result": cell.judgement.result and cell.judgement.result.to_dict(),
        }
        for cell in graded
    ]
    score = sum(cell.judgement.score or 0 for cell in graded)
    return {"version": 1, "lab": folder.name, "score": score, "questions": cells}


# -- for authors -------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail when a notebook is not in normal form.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def normalise(files: tuple[Path, ...], only_check: bool) -> None:
    """Bring notebooks into the form that git keeps: stable ids, no volatile metadata.

    \b
    Example:
      course normalise solutions/01_python_model/*.ipynb
    """
    from course.labs import notebooks, source

    differ = 0
    for path in files:
        wanted = source.with_points(notebooks.read(path), path.resolve().parent)
        lines = notebooks.difference(path, wanted)
        if not lines:
            continue
        differ += 1
        if only_check:
            click.echo(f"{path} is not in normal form; run: course normalise {path}\n" + "\n".join(lines))
        else:
            notebooks.write(wanted, path)
            click.echo(f"normalised {path}")
    sys.exit(1 if only_check and differ else 0)


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def execute(paths: tuple[Path, ...]) -> None:
    """Run source notebooks (or all of a lab's folder) in a clean folder and store their outputs.

    \b
    Example:
      course execute solutions/01_python_model/03_test_it.ipynb
    """
    from course.labs import running, source

    by_lab: dict[Path, list[Path]] = {}
    for path in paths:
        path = path.resolve()
        chosen = source.sources(path) if path.is_dir() else [path]
        if not chosen or any(one.suffix != ".ipynb" for one in chosen):
            raise click.ClickException(f"{path} is neither a notebook nor a folder with notebooks")
        by_lab.setdefault(chosen[0].parent, []).extend(chosen)
    for chosen in by_lab.values():
        with tempfile.TemporaryDirectory(prefix="course-execute-") as workplace:
            running.store_outputs(chosen, Path(workplace))
        for path in chosen:
            click.echo(f"ran {path.parent.name}/{path.name}")


@main.command()
@click.argument("labs", nargs=-1, shell_complete=_labs_there)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail when labs/ differs from its source.")
@click.pass_context
def release(context: click.Context, labs: tuple[str, ...], only_check: bool) -> None:
    """Write labs/ from solutions/ (all labs, or those named). The gradebook is not touched.

    \b
    Example:
      course release 01
    """
    from course.labs import release as module

    changes = module.release(_root(context), list(labs), check=only_check)
    for change in changes:
        click.echo(
            str(change) if only_check else f"wrote labs/{change.path}" if "no source" not in change.kind else change
        )
    if only_check and changes:
        raise click.ClickException("labs/ is not what its source gives; run: make release")
    if not changes:
        click.echo("labs/ is what its source gives")


@main.command()
@click.argument("labs", nargs=-1, shell_complete=_labs_there)
@click.pass_context
def reference(context: click.Context, labs: tuple[str, ...]) -> None:
    """Make what LABS start from when students have nothing of their own: run the solutions of the lab before each.

    All labs by default. It is written to solutions/LAB/given/reference/.

    \b
    Example:
      course reference 02
    """
    from course.labs import references

    for path in references.make(_root(context), list(labs)):
        click.echo(f"made {path.relative_to(_root(context))}")


@main.command()
@click.argument("labs", nargs=-1, shell_complete=_labs_there)
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="By default build/course; emptied first.")
@click.pass_context
def walk(context: click.Context, labs: tuple[str, ...], to: Path | None) -> None:
    """Run all solutions in order, each lab from what the one before shipped, and write a page about it.

    Exits with 0 when all points are earned, 3 when something could not be judged here, 1 when something failed.

    \b
    Example:
      course walk
      course walk 01_python_model --to build/course
    """
    from course.checks.core.processes import remove
    from course.grading import end_to_end as way

    root = _root(context)
    place = (to or root / "build" / "course").resolve()
    if place.exists() and any(place.iterdir()) and not (place / way.PAGE).is_file():
        raise click.UsageError(f"{place} holds something else; name another folder, or empty it yourself")
    remove(place)
    stages = []
    for stage in way.walk(root, place, list(labs) or None):
        stages.append(stage)
        shipped = ", ".join(artifact.name for artifact in stage.artifacts)
        earned = f"{stage.score:g} of {stage.worth:g} points"
        click.echo(f"{stage.lab}: {stage.title} · {earned} · {stage.seconds:.0f} s · ships {shipped or 'nothing'}")
        way.write(stages, place)
    for problem in (problems := way.broken(stages)):
        click.echo(problem, err=True)
    click.echo(f"{place / way.PAGE}")
    sys.exit(1 if problems else 3 if any(stage.unjudged for stage in stages) else 0)


@main.command()
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="By default dist/course-student.zip.")
@click.pass_context
def bundle(context: click.Context, to: Path | None) -> None:
    """Make the students' zip: labs, package and environment; no solutions, hidden checks or grades.

    \b
    Example:
      course bundle --to dist/course-student.zip
    """
    from course.labs import bundle as module

    path = module.bundle(_root(context), to)
    click.echo(f"{path} (SHA-256 {module.fingerprint(path)})")


# -- for instructors ---------------------------------------------------------------------------------------------------


@main.command()
@click.argument("lab", shell_complete=_labs_there)
@click.argument("inbox", type=click.Path(path_type=Path))
@click.option("--student", help="INBOX is this student's work: a folder or a zip. By default it holds many.")
@click.option("--json", is_flag=True, help="Machine-readable.")
@click.pass_context
def collect(context: click.Context, lab: str, inbox: Path, student: str | None, json: bool) -> None:
    """Take in what was handed in for LAB. An earlier submission is kept.

    INBOX is a folder, or the zip that Moodle or Canvas exports ("Download all submissions"). In it is one zip or folder
    per student, named by the student's id, or as Moodle and Canvas name them. What was taken in before is passed over.
    Exits with 0 when all was taken in, 1 when some was refused.

    \b
    Example:
      course collect 01 submissions.zip
      course collect 01 inbox
      course collect 01 work.zip --student ada
    """
    from course.grading.intake import submissions

    root = _root(context)
    if student is None:
        taken, refused = submissions.collect(root, inbox, lab=lab)
    else:
        taken, refused = [submissions.submit(root, inbox, lab=lab, student=student)], {}
    if json:
        rows = [
            {
                "student": one.student,
                "lab": one.lab,
                "missing": list(one.missing),
                "receipt": one.receipt,
                "remarks": list(one.remarks),
            }
            for one in taken
        ]
        click.echo(json_format.dumps({"version": 1, "taken": rows, "refused": refused}, indent=1, ensure_ascii=False))
    else:
        for submission in taken:
            _say_taken(submission)
        for name, reason in refused.items():
            click.echo(f"refused {name}: {reason}", err=True)
        known = "" if taken or refused else "; what is here already, or is older than that, is passed over"
        click.echo(f"{len(taken)} taken in, {len(refused)} refused{known}")
    sys.exit(1 if refused else 0)


def _say_taken(submission) -> None:
    receipt = f", receipt {submission.receipt}" if submission.receipt else ""
    click.echo(f"took in {submission.lab} of {submission.student}{receipt}")
    if submission.kept:
        click.echo(f"  the one before is kept: {submission.kept}")
    if submission.missing:
        click.echo(f"  without {', '.join(submission.missing)}, which will earn nothing")
    for remark in submission.remarks:
        click.echo(f"  look at this: {remark}")


@main.command()
@click.argument("what")
@click.option("--student", shell_complete=_students_there, help="Of a lab, only this student's.")
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
    from course.grading.intake import submissions

    verdicts = submissions.verify(_root(context), what, student=student)
    rows = []
    for one in verdicts:
        problems = list(one.problems)
        if code and one.receipt and one.receipt.code != code.strip().lower():
            problems.append(f"the code is another: {one.receipt.code}")
        time = f"{one.receipt.time:%Y-%m-%d %H:%M:%S} UTC" if one.receipt else None
        own = one.receipt.code if one.receipt else None
        rows.append({"name": one.name, "fits": not problems, "time": time, "code": own, "problems": problems})
    if json:
        click.echo(json_format.dumps({"version": 1, "work": rows}, indent=1, ensure_ascii=False))
    else:
        for row in rows:
            said = "; ".join(row["problems"]) or "is as its receipt says"
            click.echo(f"{row['name']}: {said}" + (f" ({row['time']}, {row['code']})" if row["code"] else ""))
    sys.exit(0 if all(row["fits"] for row in rows) else 1)


_only_students = click.option(
    "--student",
    "students",
    multiple=True,
    shell_complete=_students_there,
    help="Only this one; may be given more than once.",
)


@main.command()
@click.argument("lab", required=False, shell_complete=_labs_there)
@_only_students
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

    root, done = _root(context), []
    if container.wanted(unsafe=unsafe, cluster=bool(cluster)):
        sys.exit(_grade_in_container(root, lab, students, again, workers, json))
    from course.grading.pipeline.worker_pool import Crew

    with Crew(workers, cluster) as crew:  # it gets ready while the rest is imported
        from course.grading.pipeline import classroom
        from course.grading.pipeline.execute import Settings
        from course.grading.reports import grades_csv

        chosen = classroom.Options(students, again, Settings(sandboxed=not unsafe), quiet=json)
        for name in [lab] if lab else grades_csv.labs_with_work(root):
            done.append(classroom.grade(root, name, crew, chosen))
            if not json:
                _say_standing(done[-1], students)
    if json:
        click.echo(json_format.dumps({"version": 1, "labs": [run.to_dict() for run in done]}, indent=1))
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


def _say_standing(run, students: tuple[str, ...]) -> None:
    click.echo(run.lab)
    for student, row in run.standing.items():
        if students and student not in students:
            continue
        cells = f"{row['waiting']} cell{'s' * (row['waiting'] != 1)}"
        wait = f"; {cells} to be looked at by a person" if row["waiting"] else ""
        late = f", {row['penalty']:g} taken off for being late" if row["penalty"] else ""
        click.echo(f"  {student}: {row['score']:g} of {row['points']:g} points{late}{wait}")
    for student, reason in run.trouble.items():
        click.echo(f"  {student}: trouble\n    " + reason.replace("\n", "\n    "), err=True)
    click.echo(f"  {len(run.graded)} graded now, {len(run.unchanged)} unchanged since they were", err=True)
    if any(row["waiting"] for row in run.standing.values()):
        click.echo("  What waits, and why: course report. To grade it: make lab, Nbgrader > Formgrader.", err=True)


@main.command()
@click.argument("lab", required=False, shell_complete=_labs_there)
@_only_students
@click.pass_context
def feedback(context: click.Context, lab: str | None, students: tuple[str, ...]) -> None:
    """Write a page for each student of LAB, or of every lab, to classroom/feedback/.

    \b
    Example:
      course feedback 01
    """
    from course.grading.reports import feedback as pages
    from course.grading.reports import grades_csv

    root = _root(context)
    for name in [lab] if lab else grades_csv.labs_with_work(root, "autograded"):
        click.echo(name)
        for student, path in pages.write(root, name, students):
            click.echo(f"  {student.id}: {student.score:g} of {student.points:g} points, {path.relative_to(root)}")


@main.command()
@click.argument("lab", required=False, shell_complete=_labs_there)
@click.pass_context
def report(context: click.Context, lab: str | None) -> None:
    """Write what the class did in LAB, or in every lab, to classroom/reports/: a page, CSV, JSON, Canvas, Moodle.

    \b
    Example:
      course report 01
    """
    from course.grading.reports import class_report as reports
    from course.grading.reports import grades_csv

    root = _root(context)
    for name in [lab] if lab else grades_csv.labs_with_work(root, "autograded"):
        for path in reports.write(root, name):
            click.echo(path.relative_to(root))


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

    target = to or _root(context) / "classroom" / "grades.csv"
    lines = grades_csv.export(_root(context), target)
    click.echo(f"{target}: {lines} lines")


if __name__ == "__main__":
    main()
