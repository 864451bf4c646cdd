"""Workflow files of GitHub Actions, read as data: `workflow("release.yml")`. Nothing of them is run.

It judges what a linter such as actionlint or zizmor would, as far as the course requires it: the form, who may start
it, what it may do, whose code it runs, and where secrets go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from course.checks.core.expectations import as_dict, as_list, as_text, fail
from course.checks.files import reading

_DIGEST = re.compile(r"[\w.-]{1,100}/[\w./-]{1,200}@[0-9a-f]{40}")
_IMAGE = re.compile(r"docker://[\w./:-]{1,200}@sha256:[0-9a-f]{64}")
_MAY_WRITE = ("packages", "id-token", "attestations")
_SECRET = re.compile(r"\bsecrets\s{0,5}[.\[]|\bgithub\.token\b")
_PRINTS = re.compile(
    r"(?:^|[\s;&|(])(?:printenv|env|set\s{1,5}-\w{0,5}x\w{0,5}|bash\s{1,5}-x|export\s{1,5}-p)\s{0,5}(?:$|[\n;&|>)])"
)
_COMMANDS = re.compile(r"[\n;]|&&|\|\|?")


@dataclass(frozen=True)
class Step:
    """One step: its job, how to call it in a message, and its keys."""

    job: str
    name: str
    keys: dict[Any, Any]

    @property
    def run(self) -> str:
        """The script that it runs; nothing for an action."""
        return as_text(self.keys["run"], f"run of {self.name}") if "run" in self.keys else ""


class Workflow:
    """One workflow file.

    Args:
        name: its path below the folder of shipped files.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys = as_dict(reading.document(name), name)

    @property
    def triggers(self) -> dict[Any, Any]:
        """What starts it: the event, and its filters."""
        on = self.keys.get("on", self.keys.get(True))  # YAML 1.1 reads the bare word on as true
        if isinstance(on, str):
            return {on: {}}
        if isinstance(on, list):
            return {as_text(event, "an event under on"): {} for event in on}
        if on is None:
            fail("nothing starts the workflow", expected="on:", actual=sorted(map(str, self.keys)))
        return {event: filters or {} for event, filters in as_dict(on, "on").items()}

    @property
    def jobs(self) -> dict[str, dict[Any, Any]]:
        """Its jobs, by name."""
        jobs = as_dict(self.keys.get("jobs"), "jobs")
        if not jobs:
            fail("the workflow has no job")
        return {str(name): as_dict(job, f"the job {name}") for name, job in jobs.items()}

    def steps(self) -> Iterator[Step]:
        """All steps; each runs a script or uses an action."""
        for job, keys in self.jobs.items():
            if "uses" in keys:
                continue
            if "runs-on" not in keys:
                fail(f"the job {job} has no runs-on", expected="such as runs-on: ubuntu-24.04")
            listed = as_list(keys.get("steps"), f"the steps of the job {job}")
            for number, step in enumerate(listed, 1):
                name = f"step {number} of the job {job}"
                own = as_dict(step, name)
                if ("run" in own) == ("uses" in own):
                    fail(f"{name} has one of run and uses", actual=sorted(map(str, own)))
                yield Step(job, name, own)

    def must_start_with(self, tag: str) -> None:
        """Fail unless a push of such a tag, and no code of strangers, starts it."""
        triggers = self.triggers
        for event in ("pull_request_target", "workflow_run"):
            if event in triggers:
                hint = "it runs with your secrets on what a stranger proposes"
                fail(f"the event {event} starts a release", actual=event, hint=hint)
        others = sorted(map(str, set(triggers) - {"push", "workflow_dispatch"}))
        if others:
            fail("other events start a release", expected="push of a tag, or by hand", actual=", ".join(others))
        push = as_dict(triggers.get("push"), "the event push")
        if "branches" in push or "branches-ignore" in push:
            fail("a push to a branch starts a release", expected="tags only", actual=sorted(map(str, push)))
        tags = push.get("tags")
        patterns = [tags] if isinstance(tags, str) else as_list(tags, "push: tags")
        if not patterns or not all(str(pattern).startswith(tag) for pattern in patterns):
            fail("the tags that start a release", expected=f"such as '{tag}*'", actual=patterns)

    def must_run(self, command: str) -> None:
        """Fail unless a step runs this command, and its failure fails the job."""
        for step in self.steps():
            for line in filter(None, (line.strip() for line in step.run.splitlines())):
                if line.startswith("#") or not re.search(
                    rf"(?:^|[;&|]\s{{0,9}}){re.escape(command)}(?:$|[\s;&|])", line
                ):
                    continue
                if step.keys.get("continue-on-error") not in (None, False) or re.search(r"\|\|\s{0,9}(?:true|:)", line):
                    fail(f"{step.name}: when {command} fails, the job goes on", actual=line)
                return
        fail(f"no step runs {command}", actual=[line for step in self.steps() for line in step.run.splitlines()][:5])

    def must_have_least_permissions(self) -> None:
        """Fail unless each job is given permissions, and no more than reading and publishing packages takes."""
        for job, keys in self.jobs.items():
            given = keys.get("permissions", self.keys.get("permissions"))
            if given is None:
                hint = "without it, the token gets what the settings of the repository say, often everything"
                fail(f"the job {job} has no permissions, and neither has the workflow", hint=hint)
            if isinstance(given, str):
                fail(f"the permissions of the job {job}", expected="such as contents: read", actual=given)
            for scope, access in as_dict(given, "permissions").items():
                if access not in ("read", "none") and not (access == "write" and scope in _MAY_WRITE):
                    expected = f"read, or write for {', '.join(_MAY_WRITE)}"
                    fail(f"the permission {scope} of the job {job}", expected=expected, actual=access)

    def must_pin_actions(self) -> None:
        """Fail unless each action and reusable workflow is named by its full digest."""
        used = [(step.name, step.keys["uses"]) for step in self.steps() if "uses" in step.keys]
        used += [(f"the job {job}", keys["uses"]) for job, keys in self.jobs.items() if "uses" in keys]
        for name, action in used:
            source = as_text(action, f"uses of {name}").strip()
            if not (source.startswith("./") or _DIGEST.fullmatch(source) or _IMAGE.fullmatch(source)):
                hint = (
                    "a tag can be moved to other code; the 40 digits of a commit cannot. Write the version behind a #"
                )
                fail(
                    f"{name} uses an action that is not pinned",
                    expected="owner/name@ and 40 digits",
                    actual=source,
                    hint=hint,
                )

    def must_keep_secrets(self) -> None:
        """Fail where a script holds an expression, or prints what is secret."""
        for step in self.steps():
            if "${{" in step.run:
                hint = "put it under env: and use the variable; an expression becomes part of the script before it runs"
                fail(f"an expression in the script of {step.name}", actual=_line_with(step.run, "${{"), hint=hint)
            names = self._secret_variables(step)
            for command in _COMMANDS.split(step.run):
                words = command.strip()
                shown = [name for name in names if re.search(rf"\$\{{?{re.escape(name)}\b", words)]
                if (
                    words.startswith(("echo ", "cat <<", "printf ")) and shown and not self._is_piped(step.run, command)
                ) or (names and _PRINTS.search(f"\n{words}\n")):
                    hint = "a log is read by everybody; masking misses a secret that was encoded or cut"
                    fail(f"{step.name} prints a secret", actual=words[:150], hint=hint)

    @staticmethod
    def _is_piped(script: str, command: str) -> bool:
        """Whether the output of a command goes to another command's input."""
        rest = script[script.index(command) + len(command) :]
        return rest.startswith("|") and not rest.startswith("||")

    def _secret_variables(self, step: Step) -> list[str]:
        """The variables of a step that hold a secret."""
        layers = [self.keys.get("env"), self.jobs[step.job].get("env"), step.keys.get("env")]
        pairs = [pair for layer in layers if layer is not None for pair in as_dict(layer, "env").items()]
        return [str(name) for name, value in pairs if _SECRET.search(str(value)[:500])]


def workflow(name: str) -> Workflow:
    """A shipped workflow file."""
    return Workflow(name)


def _line_with(script: str, mark: str) -> str:
    return next(line.strip() for line in script.splitlines() if mark in line)[:150]
