"""Shipped manifests of Kubernetes, read with care and judged: `manifests("k8s")`, `kustomized("overlays/production")`.

Nothing here talks to a cluster; `clusters` applies what is read here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from course.checks.core.bounds import bounded
from course.checks.core.expectations import CheckFailed, Unmet, fail
from course.checks.core.findings import Finding, expect_none, named
from course.checks.files import reading
from course.checks.kubernetes import resource_files
from course.checks.kubernetes.policies import ENDPOINTS, NEEDS, RULES, Application, least_pods
from course.checks.kubernetes.resource_files import MAX_RESOURCES, Resource

MAX_BYTES = reading.MAX_DOCUMENT_BYTES  # of all files together
_READ = ("the manifests can be read", "what is in them")


def manifests(*names: str, endpoints: Mapping[str, Sequence[str]] | None = None) -> Manifests:
    """Shipped manifests; they are read when they are first needed.

    What stands around a line that is not YAML is read all the same, and the rule "valid" reports that line. So every
    question about shipped manifests needs a check that expects "valid".

    Args:
        names: files, or folders whose files that end in .yaml, .yml or .json are taken; by default the folder k8s.
        endpoints: probe ("readiness", "liveness", "startup") → the paths that fit it.
    """
    names = names or ("k8s",)
    return Manifests(", ".join(names), lambda: _shipped(names), endpoints)


def kustomized(name: str = "overlays/production", *, endpoints: Mapping[str, Sequence[str]] | None = None) -> Manifests:
    """What `kubectl kustomize` makes of a shipped folder; it is built when it is first needed.

    Args:
        name: the folder with a kustomization.yaml. It may use folders beside and above it, within the shipped files.
        endpoints: as for :func:`manifests`.

    Raises (when it is built):
        NotGradedHere: there is no kubectl, or it is too old.
        Unmet: it cannot be built; the message says why.
    """

    def build() -> list[Resource]:
        from course.checks.kubernetes import kustomizations

        return list(resource_files.read(kustomizations.build(name), f"{name} (built)"))

    return Manifests(name, build, endpoints)


def _shipped(names: Sequence[str]) -> list[Resource | Finding]:
    found: list[Resource | Finding] = []
    paths: dict[str, str] = {}
    for name in names:
        paths |= resource_files.find(name)
    total = 0
    for path, short in paths.items():
        source = reading.text(path, max_bytes=MAX_BYTES)
        total += len(source)
        if total > MAX_BYTES:
            fail(f"the manifests are larger than {MAX_BYTES >> 10} KiB together")
        for one in resource_files.read_around_faults(source, short):
            found.append(one)
            if len(found) > 5 * MAX_RESOURCES:
                fail(f"the manifests hold more than {5 * MAX_RESOURCES} objects")
    return found


class Manifests:
    """Objects of Kubernetes as they are shipped; see :func:`manifests`.

    Attributes:
        name: their name in messages.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], Sequence[Resource | Finding]],
        endpoints: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.name = name
        self._read, self._endpoints = read, {**ENDPOINTS, **(endpoints or {})}

    @cached_property
    @bounded(*_READ)
    def _parts(self) -> tuple[Resource | Finding, ...]:
        return tuple(self._read())

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """All objects, in the order in which they are written.

        Raises:
            Unmet: something is missing, or nothing of it can be read.
            CheckFailed: there are links, special files, or too much.
        """
        found = tuple(part for part in self._parts if isinstance(part, Resource))
        if not found and self.unreadable:
            raise Unmet(_READ[0], str(self.unreadable[0]), hint=self.unreadable[0].hint)
        if not found:
            raise CheckFailed(f"{self.name} holds no objects", hint="an object begins with apiVersion: and kind:")
        return found

    @property
    def unreadable(self) -> list[Finding]:
        """What cannot be read; the objects are read without it."""
        return [part for part in self._parts if isinstance(part, Finding)]

    @cached_property
    def application(self) -> Application:
        """What the rules judge."""
        return Application(self.resources, self._endpoints)

    def of(self, kind: str) -> list[Resource]:
        """All objects of a kind."""
        return [one for one in self.resources if one.kind == kind]

    def one(self, kind: str, name: str | None = None) -> Resource:
        """The only object of a kind, or the one with a name.

        Raises:
            CheckFailed: there is none, or several.
        """
        found = [one for one in self.of(kind) if name in (None, one.name)]
        wanted = f"{kind} {name}" if name else kind
        if not found:
            known = ", ".join(one.shown for one in self.resources)
            fail(f"there is no {wanted}", actual=known or "no objects")
        if len(found) > 1:
            fail(f"there is more than one {wanted}", actual=", ".join(one.shown for one in found))
        return found[0]

    def main(self, kind: str, name: str) -> Resource:
        """The object of a kind with a name, or the only one of its kind, whatever its name.

        For checks of something else than the name, which one check of its own asks for.

        Raises:
            CheckFailed: there is none, or several of other names.
        """
        return self.one(kind, name) if any(one.name == name for one in self.of(kind)) else self.one(kind)

    # judging

    @bounded(*_READ)
    def findings(self, *rules: str) -> list[Finding]:
        """What rules find, by default all, in the order of files and lines.

        Unless it is asked for, "autoscaler" speaks only where there is one.
        """
        chosen = [
            name for name in rules or RULES if rules or name != "autoscaler" or self.of("HorizontalPodAutoscaler")
        ]
        found = [one for name in chosen for one in self._found(name)]
        return sorted(found, key=lambda one: (one.file, one.line or sys.maxsize))

    @bounded(*_READ)
    def expect(self, rule: str) -> None:
        """Fail the check unless a rule finds nothing.

        Args:
            rule: a name among RULES.

        Raises:
            CheckFailed: with the file, the line, the reason and the hint of the first that it found.
            ValueError: there is no such rule.
        """
        expect_none(self._found(rule))

    def _found(self, rule: str) -> list[Finding]:
        if rule not in RULES:
            raise ValueError(f"a rule is one of {', '.join(RULES)}; got {rule!r}")
        found = [*(self.unreadable if rule == "valid" else ()), *RULES[rule](self.application)]
        if not found and (kind := NEEDS.get(rule)) and not self.of(kind):
            found = [Finding(None, f"{self.name} holds no {kind}")]
        return named(rule, found)

    def expect_kinds(self, *kinds: str) -> None:
        """Fail the check unless there is at least one object of each kind."""
        missing = [kind for kind in kinds if not self.of(kind)]
        if missing:
            known = ", ".join(dict.fromkeys(one.kind or "an object without a kind" for one in self.resources))
            fail(f"{self.name} holds no {', no '.join(missing)}", expected=", ".join(kinds), actual=known)

    def expect_replicas(self, least: int) -> None:
        """Fail the check unless every Deployment keeps at least so many pods."""
        if not self.of("Deployment"):
            fail(f"{self.name} holds no Deployment")
        for one in self.of("Deployment"):
            if (count := least_pods(self.application, one)) < least:
                finding = one.finding("spec.replicas", f"{one.shown} keeps {count} pod{'s' * (count != 1)}")
                raise CheckFailed(
                    str(finding), expected=f"{least} or more", hint="when one is gone, another must answer"
                )
