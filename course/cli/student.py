"""Verbs for students, and for everyone: doctor, check, submit, status, completion."""

from __future__ import annotations

import json as json_format
import sys
from pathlib import Path

import click

from course.cli.group import lab_folder, labs, labs_there, main, root_folder


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
@click.argument("lab", required=False, shell_complete=labs_there)
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

    folder = lab_folder(context, lab)
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
@click.argument("lab", required=False, shell_complete=labs_there)
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

    done = handing_in.hand_in(lab_folder(context, lab), to)
    click.echo(json_format.dumps(done.to_dict(), indent=1, ensure_ascii=False) if json else done)


@main.command()
@click.argument("lab", required=False, shell_complete=labs_there)
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

    chosen = [lab_folder(context, lab)] if lab else labs(root_folder(context))
    reports = [status.of(folder) for folder in chosen]
    if json:
        click.echo(json_format.dumps({"version": 1, "labs": [report.to_dict() for report in reports]}, indent=1))
        return
    for report in reports:
        begun = lab is not None or report.started
        click.echo(status.text(report, details=lab is not None) if begun else f"{report.name}: not begun yet")


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
