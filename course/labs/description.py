"""What a lab says of itself: reads and validates `lab.yaml`, which lies beside its notebooks.

A fact about a lab stands in its `lab.yaml` and nowhere else. The tables in README.md and solutions/index.md, the map,
the doctor's ports, the marks of its tests, what it starts from and what the zygote imports are read from there. The
schema is the classes below; docs/authoring.md shows a whole file.

What a lab hands on has no key of its own: it is what later labs take, and each of those names it under `starts_from`.
So the folder of a lab holds all that is needed to run it.

Uses `course.base` alone: students' kernels import it, so it must stay light.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from course.base.errors import UserError
from course.base.names import LAB

FILE = "lab.yaml"
REFERENCE = Path("given") / "reference"

Text = Annotated[str, Field(min_length=1)]
Lab = Annotated[str, Field(pattern=rf"^{LAB.pattern}$")]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
_EXPECTED = {
    "string_type": "expected text",
    "string_too_short": "expected text that is not empty",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "too_short": "expected at least one entry",
}


class DescriptionError(UserError):
    """A `lab.yaml` is missing or not as it should be; the message names the file and the key, and what was expected."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Notebook(_Part):
    """One notebook.

    Attributes:
        title: its first heading, word for word.
        minutes: how long a student works on it.
        ships: what it ships, in one line of Markdown.
    """

    title: Text
    minutes: Annotated[int, Field(strict=True, ge=5, le=90)]
    ships: Text


class Origin(_Part):
    """What a lab takes from an earlier one.

    Attributes:
        lab: the earlier lab's folder.
        takes: what is taken of its shipped files: names of folders, and patterns of files at the top such as "*.py".
        reference: what of that the reference holds; no more than the model needs, for it shows a solution.
        inherits: which folders of the reference begin as a part of the earlier lab's own reference: the folder's path
            here, and its path there ("." for all of it). Only files that differ are stored once more.
        model: the model's file among them, by which they are tried.
        imports: the folder among them that holds the modules which the model needs.
        needs: files without which the rest is of no use.
        service: the WSGI application among them, as module:name, whose answers must be those of the model; "" for none.
    """

    lab: Lab
    takes: Annotated[list[Text], Field(min_length=1)]
    reference: Annotated[list[Text], Field(min_length=1)]
    inherits: dict[Text, Text] = {}
    model: Text
    imports: Text = "."
    needs: list[Text] = []
    service: Annotated[str, Field(pattern=r"^(|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = ""

    @field_validator("takes", "reference", "needs")
    @classmethod
    def _inside(cls, names: list[str]) -> list[str]:
        for name in names:
            _check_inside(name)
        return names

    @field_validator("inherits")
    @classmethod
    def _both_inside(cls, folders: dict[str, str]) -> dict[str, str]:
        for name in (*folders, *folders.values()):
            _check_inside(name)
        return folders


class Description(_Part):
    """A lab, as its `lab.yaml` describes it.

    Attributes:
        name: its folder, such as 03_flask_api; not a key of the file.
        title: its name, for people.
        short: the title in the four words that the map has room for.
        line: what happens in it, in one sentence.
        ships: what leaves it, in some ten words, for the map.
        notebooks: by file name without its suffix, in order.
        needs: what its notebooks need to run as their author ran them: "engine", "cluster", "prometheus".
        extra: the extra of pyproject.toml that it needs; None for none.
        starts_from: what it takes from an earlier lab; None for nothing.
        ports: those that it uses on the student's machine, and for what.
        warm: modules that take long to import; when grading, they are imported once, before a fork.
        draft: not released to students and not listed yet; needs no 100 points and few kept submissions.
    """

    name: Lab
    title: Text
    short: Annotated[str, Field(min_length=1, max_length=32)]
    line: Text
    ships: Annotated[str, Field(min_length=1, max_length=60)]
    notebooks: Annotated[dict[Annotated[str, Field(pattern=r"^\d\d_[a-z0-9_]+$")], Notebook], Field(min_length=1)]
    needs: list[Literal["engine", "cluster", "prometheus"]] = []
    extra: Text | None = None
    starts_from: Origin | None = None
    ports: dict[Port, Text] = {}
    warm: list[Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]] = []
    draft: Annotated[bool, Field(strict=True)] = False

    @property
    def number(self) -> str:
        """The two digits that its folder begins with."""
        return self.name[:2]

    @model_validator(mode="after")
    def _starts_from_an_earlier_lab(self) -> Description:
        if self.starts_from is not None and self.starts_from.lab[:2] >= self.number:
            raise ValueError(f"starts_from.lab: expected a lab before {self.name}; got {self.starts_from.lab!r}")
        return self


def read(lab: Path) -> Description:
    """A lab's description.

    Args:
        lab: its folder, in solutions/ or labs/.

    Raises:
        DescriptionError: there is none, or it is not as it should be. All that is wrong is named.
    """
    path = lab / FILE
    shown = f"{lab.parent.name}/{lab.name}/{FILE}"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DescriptionError(f"{shown} is not there; a lab's folder has one, which describes the lab") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{shown} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise DescriptionError(f"{shown} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise DescriptionError(f"{shown}: expected names with values; got {type(data).__name__}")
    if "name" in data:
        raise DescriptionError(f"{shown}: name: is not a key of this file; a lab is named by its folder")
    try:
        return Description.model_validate({"name": lab.name, **data})
    except ValidationError as error:
        lines = [f"  {line}" for line in map(_line, error.errors(include_url=False))]
        raise DescriptionError("\n".join([f"{shown} does not describe a lab:", *lines])) from None


def find(lab: Path) -> Description | None:
    """A lab's description; None where it has none.

    Raises:
        DescriptionError: there is one, and it is not as it should be.
    """
    return read(lab) if (lab / FILE).is_file() else None


def is_draft(lab: Path) -> bool:
    """Whether a lab is not for students yet.

    Raises:
        DescriptionError: its description is not as it should be.
    """
    found = find(lab)
    return found is not None and found.draft


def folders(root: Path) -> list[Path]:
    """The labs of a course that describe themselves, in order: those of solutions/, and of labs/ where students are."""
    top = root / "solutions" if (root / "solutions").is_dir() else root / "labs"
    return sorted(path.parent for path in top.glob(f"*/{FILE}") if LAB.fullmatch(path.parent.name))


def of_course(root: Path, *, drafts: bool = False) -> list[Description]:
    """The descriptions of a course's labs, in order.

    Args:
        root: the course's folder.
        drafts: whether labs that are not for students yet are among them.

    Raises:
        DescriptionError: one of them is not as it should be.
    """
    found = [read(lab) for lab in folders(root)]
    return [one for one in found if drafts or not one.draft]


def warm_modules(root: Path) -> list[str]:
    """The modules that the labs of a course ask to have imported before a fork, in order and each once.

    Raises:
        DescriptionError: a description is not as it should be.
    """
    return list(dict.fromkeys(module for lab in of_course(root, drafts=True) for module in lab.warm))


def reference(lab: Path) -> dict[str, Path]:
    """The files of a lab's reference: their path in it, and where each is stored.

    Files that are stored with an earlier lab are found in the folder of that lab, beside this one. Where it is not
    there, only what this lab stores is found.

    Raises:
        DescriptionError: a description is not as it should be.
    """
    top = lab / REFERENCE
    stored = {path.relative_to(top).as_posix(): path for path in sorted(top.rglob("*")) if _is_kept(path)}
    return {**inherited(lab), **stored}


def inherited(lab: Path) -> dict[str, Path]:
    """The files that a lab's reference takes from the reference of an earlier lab: their path in it, and their place.

    Raises:
        DescriptionError: a description is not as it should be.
    """
    found = find(lab)
    start = found.starts_from if found else None
    if start is None or not start.inherits:
        return {}
    earlier = reference(lab.parent / start.lab)
    return dict(_moved(earlier, start.inherits))


def _moved(earlier: dict[str, Path], inherits: dict[str, str]) -> Iterator[tuple[str, Path]]:
    for here, there in inherits.items():
        for name, path in earlier.items():
            if PurePosixPath(name).is_relative_to(there):
                yield (PurePosixPath(here) / PurePosixPath(name).relative_to(there)).as_posix(), path


def _is_kept(path: Path) -> bool:
    return path.is_file() and "__pycache__" not in path.parts


def _check_inside(name: str) -> None:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"expected a path inside of the folder; got {name!r}")


def _line(error: Any) -> str:
    """One of pydantic's errors: the key, what was expected, what came."""
    key = ".".join(str(part) for part in error["loc"] if part != "[key]")
    message, came = str(error["msg"]), repr(error.get("input"))
    came = came if len(came) <= 60 else f"{came[:57]}..."
    if error["type"] == "missing":
        return f"{key}: is missing"
    if error["type"] == "extra_forbidden":
        parts: dict[str, type[_Part]] = {"notebooks": Notebook, "starts_from": Origin}
        part = parts.get(str(error["loc"][0]), Description)
        known = [name for name in part.model_fields if name != "name"]
        return f"{key}: is not a key here; expected one of {', '.join(known)}"
    if error["type"] == "value_error":
        message = message.removeprefix("Value error, ")
        return f"{key}: {message}" if key else message
    message = _EXPECTED.get(error["type"]) or re.sub(r"^(Input|String|List|Dictionary) should ", "should ", message)
    return f"{key}: {message}; got {came}"
