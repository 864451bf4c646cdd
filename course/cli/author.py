"""Verbs for authors of labs: normalise, execute, release, describe, reference, end-to-end, bundle, new."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from course.cli.group import labs_there, main, root_folder


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
@click.argument("labs", nargs=-1, shell_complete=labs_there)
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail when labs/ differs from its source.")
@click.pass_context
def release(context: click.Context, labs: tuple[str, ...], only_check: bool) -> None:
    """Write labs/ from solutions/ (all labs, or those named). The gradebook is not touched.

    \b
    Example:
      course release 01
    """
    from course.labs import release as module

    changes = module.release(root_folder(context), list(labs), check=only_check)
    for change in changes:
        click.echo(
            str(change) if only_check else f"wrote labs/{change.path}" if "no source" not in change.kind else change
        )
    if only_check and changes:
        raise click.ClickException("labs/ is not what its source gives; run: make release")
    if not changes:
        click.echo("labs/ is what its source gives")


@main.command()
@click.option("--check", "only_check", is_flag=True, help="Change nothing; fail when a page differs.")
@click.pass_context
def describe(context: click.Context, only_check: bool) -> None:
    """Write what README.md, the map and the index show of the labs, from each solutions/*/lab.yaml.

    \b
    Example:
      course describe
    """
    from course.labs import guides

    changed = guides.describe(root_folder(context), check=only_check)
    for name in changed:
        click.echo(f"{name} is not what the labs say of themselves" if only_check else f"wrote {name}")
    if only_check and changed:
        raise click.ClickException("run: make release")
    if not changed:
        click.echo("the guides are what the labs say of themselves")


@main.command()
@click.argument("labs", nargs=-1, shell_complete=labs_there)
@click.pass_context
def reference(context: click.Context, labs: tuple[str, ...]) -> None:
    """Make what LABS start from when students have nothing of their own: run the solutions of the lab before each.

    All labs by default. It is written to solutions/LAB/given/reference/.

    \b
    Example:
      course reference 02
    """
    from course.labs import references

    for path in references.make(root_folder(context), list(labs)):
        click.echo(f"made {path.relative_to(root_folder(context))}")


@main.command("end-to-end")
@click.argument("labs", nargs=-1, shell_complete=labs_there)
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="By default build/course; emptied first.")
@click.pass_context
def run_end_to_end(context: click.Context, labs: tuple[str, ...], to: Path | None) -> None:
    """Run all solutions in order, each lab from what the one before shipped, and write a page about it.

    Exits with 0 when all points are earned, 3 when something could not be judged here, 1 when something failed.

    \b
    Example:
      course end-to-end
      course end-to-end 01_python_model --to build/course
    """
    from course.base.removal import remove
    from course.grading import end_to_end

    root = root_folder(context)
    folder = (to or root / "build" / "course").resolve()
    if folder.exists() and any(folder.iterdir()) and not (folder / end_to_end.PAGE).is_file():
        raise click.UsageError(f"{folder} holds something else; name another folder, or empty it yourself")
    remove(folder)
    runs = []
    for run in end_to_end.run(root, folder, list(labs) or None):
        runs.append(run)
        shipped = ", ".join(artifact.name for artifact in run.artifacts)
        earned = f"{run.score:g} of {run.worth:g} points"
        click.echo(f"{run.lab}: {run.title} · {earned} · {run.seconds:.0f} s · ships {shipped or 'nothing'}")
        end_to_end.write(runs, folder)
    for problem in (problems := end_to_end.broken(runs)):
        click.echo(problem, err=True)
    click.echo(f"{folder / end_to_end.PAGE}")
    sys.exit(1 if problems else 3 if any(run.unjudged for run in runs) else 0)


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

    path = module.bundle(root_folder(context), to)
    click.echo(f"{path} (SHA-256 {module.fingerprint(path)})")


@main.group()
def new() -> None:
    """Make the files of a new lab or a new question; they pass their tests as they are.

    \b
    Example:
      course new lab 06_monitoring "A model that is watched"
    """


@new.command("lab")
@click.argument("name")
@click.argument("title")
@click.option("--notebook", default="01_first_steps", show_default=True, help="Its first notebook, such as 01_metrics.")
@click.pass_context
def new_lab(context: click.Context, name: str, title: str, notebook: str) -> None:
    """Make the lab NAME, such as 06_monitoring, with TITLE: a draft with a notebook and a first question.

    \b
    Example:
      course new lab 06_monitoring "A model that is watched"
    """
    from course.labs import scaffold

    root = root_folder(context)
    made = scaffold.new_lab(root, name, title, notebook)
    made += scaffold.new_question(root, f"{name[:2]}-1-first")[1:]
    _run_new(root, made)
    click.echo("It is a draft: its tests run, and students do not get it. docs/authoring.md says how it goes on.")


@new.command("question")
@click.argument("grade_id")
@click.option("--title", help="Its name for people; by default the words of its id.")
@click.pass_context
def new_question(context: click.Context, grade_id: str, title: str | None) -> None:
    """Make the question GRADE_ID, such as 06-1-metrics: lab, notebook, words. The gradebook knows it by that for ever.

    It stands above the summary of its notebook, with a text, a blank, a solution, two checks, and a wrong and a right
    answer, of a sum that you replace by your own.

    \b
    Example:
      course new question 06-1-metrics --title "What to measure"
    """
    from course.labs import scaffold

    root = root_folder(context)
    _run_new(root, scaffold.new_question(root, grade_id, title))


def _run_new(root: Path, made: list[Path]) -> None:
    """Name new files, and store the outputs of the notebooks among them."""
    from course.labs import scaffold

    for path in made:
        click.echo(f"wrote {path.relative_to(root)}")
    scaffold.run(made)
