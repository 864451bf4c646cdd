"""What the verbs share: the group itself, where the course and its labs are, and what the tab key completes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from course.base import names
from course.base.errors import UserError
from course.base.texts import printable


class Group(click.Group):
    """A command group that shows errors which the user can put right as one message, without a traceback."""

    def invoke(self, ctx: click.Context):
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            shown = click.ClickException("\n".join(map(printable, str(error).split("\n"))))
            shown.exit_code = error.exit_status
            raise shown from error
        except ImportError as error:
            if (error.name or "").startswith("course."):
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


def root_folder(context: click.Context) -> Path:
    """The folder with labs/ in or above the current folder; else the one that the package was installed from."""
    if context.obj is not None:
        return context.obj
    here = Path.cwd()
    package = Path(__file__).resolve().parents[2]
    for folder in (here, *here.parents, package):
        if (folder / "nbgrader_config.py").is_file() or labs(folder):
            return folder
    raise click.ClickException("this is not the course's folder; go there, or name it: course --root FOLDER …")


def lab_folder(context: click.Context, lab: str | None) -> Path:
    """The folder of a lab by its name, number or path; the current folder by default."""
    if lab is None:
        return Path.cwd()
    if Path(lab).is_dir():
        return Path(lab).resolve()
    return names.find(lab, labs(root_folder(context)))


def labs(root: Path) -> list[Path]:
    """The folders of the labs that students work in."""
    return sorted(path for path in (root / "labs").glob("*") if names.LAB.fullmatch(path.name))


def labs_there(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Labs for tab completion."""
    context.obj = context.find_root().params.get("root")
    with contextlib.suppress(Exception):
        root = root_folder(context)
        known = {path.name for top in ("labs", "solutions") for path in (root / top).glob("[0-9][0-9]_*")}
        return sorted(name for name in known if name.startswith(incomplete))
    return []


def students_there(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Students who have handed something in, for tab completion."""
    context.obj = context.find_root().params.get("root")
    with contextlib.suppress(Exception):
        submitted = root_folder(context) / "classroom" / "submitted"
        return sorted(path.name for path in submitted.glob("[!.]*") if path.name.startswith(incomplete))
    return []
