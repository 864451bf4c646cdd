"""An image that was built: its settings, its size, its history, and the files, secrets and packages in its layers.

Layers are read from what the engine exports, within limits; nothing in them is run.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import IO, Any

from packaging.utils import canonicalize_name

from course.checks.core.expectations import CheckFailed, not_graded_here
from course.checks.core.sessions import SESSION_LABEL
from course.checks.docker import engines
from course.checks.docker.contexts import Context
from course.checks.docker.engines import EngineSession
from course.checks.files.secret_detection import is_secret_name, secret_in

_VOLATILE = re.compile(
    r"(?:^|/)(?:var/log/.*|var/cache/ldconfig/aux-cache|var/lib/apt/lists/.*|var/cache/debconf/.*|root/\.cache/.*"
    r"|etc/(?:shadow|passwd|group|gshadow|subuid|subgid)-|var/lib/dpkg/.*-old)$"
)

_NAMED = "a file for secrets or history"


@dataclass(frozen=True)
class ImageEntry:
    """What an image holds under a path.

    Attributes:
        kind: "file", "folder", "link", "hard link" or "device".
        mode: its permissions.
        owner: the numbers of its user and group, "0:0".
        size: of a file, in bytes.
        content: a hash of a file's contents, or where a link leads.
    """

    kind: str
    mode: int
    owner: str
    size: int = 0
    content: str = ""


class Image:
    """A built image.

    Attributes:
        id: the engine's name for it, "sha256:…".
        context: what it was built from.
        seconds: how long the build took.
        made_lines: the lines of the Dockerfile whose steps ran; the engine took the others from an earlier build.
        output: the end of what the build printed.
    """

    MAX_BYTES = 4 << 30
    MAX_PATHS = 200_000

    def __init__(
        self,
        engine: EngineSession,
        image: str,
        context: Context | None,
        base: dict[str, Any] | None,
        seconds: float,
        output: str,
    ) -> None:
        self.engine, self.id, self.context, self.seconds, self.output = engine, image, context, seconds, output
        self._base = base
        self.bound: tuple[str, ...] = ()
        self.made_lines: frozenset[int] = frozenset()
        self._removals = 0
        self._added = 0
        self._libraries: set[str] = set()  # folders into which packages were installed

    @cached_property
    def details(self) -> dict[str, Any]:
        """What `docker inspect` reports."""
        with engines.not_graded_on_trouble():
            details: dict[str, Any] = self.engine.api.inspect_image(self.id)
            return details

    @property
    def base_details(self) -> dict[str, Any] | None:
        """What `docker inspect` reports of its base; None for scratch."""
        return self._base

    @property
    def config(self) -> dict[str, Any]:
        """The image's settings: Cmd, Entrypoint, Env, User, Labels, Healthcheck, ExposedPorts, …"""
        return self.details.get("Config") or {}

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, without the grader's own and without those of its base."""
        return {name: value for name, value in (self.config.get("Labels") or {}).items() if name != SESSION_LABEL}

    @property
    def added(self) -> int:
        """What its layers hold above its base image: the sizes of all their files together, in bytes.

        What a later layer hides counts, too. Engines report sizes in different ways, some of what is compressed.

        Raises:
            NotGradedHere: as for :meth:`files`.
        """
        _ = self._contents
        return self._added

    @property
    def size(self) -> int:
        """Its size as the engine reports it, with its base image, in bytes."""
        return int(self.details["Size"])

    @property
    def reported(self) -> int:
        """What its steps added to its base, as the engine reports it step by step, in bytes."""
        return max(0, sum(int(one.get("Size") or 0) for one in self.own_history) - self._only_bound)

    @cached_property
    def own_history(self) -> list[dict[str, Any]]:
        """What made each layer above its base, the newest first."""
        below = 0
        if self._base is not None:
            with engines.not_graded_on_trouble():
                below = len(self.engine.api.history(self._base["Id"]))
        return self.history[: max(0, len(self.history) - below)]

    @property
    def _only_bound(self) -> int:
        """The size of what stays in it only because the classic builder has no mounts; see `classic_builder`."""
        size = 0
        for one in self.history if self.bound else ():
            step, _, place = str(one.get("CreatedBy")).strip().rpartition(" in ")
            if "COPY " in step and posixpath.normpath(place) in self.bound:
                size += int(one.get("Size") or 0)
        return size

    @property
    def layers(self) -> list[str]:
        """The layers above those of the base image, by their content's hash."""
        below = self._base["RootFS"].get("Layers", []) if self._base else []
        mine: list[str] = self.details["RootFS"].get("Layers", [])
        return mine[len(below) :] if mine[: len(below)] == below else mine

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """What made each layer, the newest first: CreatedBy, Size, …"""
        with engines.not_graded_on_trouble():
            history: list[dict[str, Any]] = self.engine.api.history(self.id)
            return history

    def expect_no_secrets(self) -> None:
        """Fail the check when the settings, the history or a file of a layer hold a secret."""
        hint = (
            "whoever has the image can read it; a later step that removes it does not take it out of the layer before"
        )
        settings = json.dumps(
            {key: self.config.get(key) for key in ("Env", "Cmd", "Entrypoint", "Labels", "Healthcheck")}
        )
        for pair in self.config.get("Env") or []:
            name, _, value = pair.partition("=")
            if is_secret_name(name) and value and not value.startswith("/run/secrets/"):
                raise CheckFailed(f"the image sets {name} for whoever has it", hint=hint)
        for text in (settings, *(str(one.get("CreatedBy", "")) for one in self.history)):
            if kind := secret_in(text):
                raise CheckFailed(f"the image's history holds {kind}", hint=hint)
            for name in re.findall(r"(?<![\w-])([A-Za-z][\w-]*)=(?!\$)[^\s$]", text):
                if is_secret_name(name) and "/run/secrets" not in text and "PROXY" not in name.upper():
                    raise CheckFailed(f"the image's history holds a value of {name}", hint=hint)
        for path, kind in self._contents[1]:
            raise CheckFailed(f"a layer of the image holds {path}: {kind}", hint=hint)

    # what the layers hold

    def files(self) -> dict[str, ImageEntry]:
        """All that the layers above the base hold, by path; what a later layer removes is gone.

        Raises:
            NotGradedHere: it is too much to read, or in a form that is not known here.
        """
        places = tuple(place.strip("/") for place in self.bound)
        below = tuple(f"{place}/" for place in places)
        return {
            path: kept for path, kept in self._contents[0].items() if path not in places and not path.startswith(below)
        }

    @cached_property
    def _contents(self) -> tuple[dict[str, ImageEntry], list[tuple[str, str]]]:
        with tempfile.TemporaryFile() as file, engines.not_graded_on_trouble():
            size = 0
            for chunk in self.engine.api.get_image(self.id, chunk_size=1 << 20):
                size += len(chunk)
                if size > self.MAX_BYTES:
                    not_graded_here(f"the image is larger than {self.MAX_BYTES >> 30} GiB")
                file.write(chunk)
            file.seek(0)
            try:
                return self._read(file)
            except (tarfile.TarError, KeyError, ValueError, EOFError, OSError) as error:
                not_graded_here(f"the engine gave the image in a form that is not known here ({str(error)[:80]})")

    def _read(self, file: Any) -> tuple[dict[str, ImageEntry], list[tuple[str, str]]]:
        found: dict[str, ImageEntry] = {}
        secrets: list[tuple[str, str]] = []
        with tarfile.open(fileobj=file, mode="r:") as outer:
            members = {member.name: member for member in outer}
            manifest = json.loads(_opened(outer, members["manifest.json"]).read(1 << 20))
            names = manifest[0]["Layers"][-len(self.layers) :] if self.layers else []
            seen = 0
            for name in names:
                member = members[name]
                if member.islnk() or member.issym():
                    target = (
                        member.linkname
                        if member.islnk()
                        else os.path.normpath(os.path.join(os.path.dirname(name), member.linkname))
                    )
                    member = members[target]
                with tarfile.open(fileobj=_opened(outer, member), mode="r|*") as layer:
                    for one in layer:
                        seen += 1
                        if seen > self.MAX_PATHS:
                            not_graded_here(f"the image holds more than {self.MAX_PATHS} files")
                        self._note(one, layer, found, secrets)
        return dict(sorted(found.items())), [(path, kind) for path, kind in secrets if not self._is_package(path, kind)]

    def _is_package(self, path: str, kind: str) -> bool:
        """Whether a file is of an installed package, wherever it lies; files that are named as secrets are are not."""
        if kind == _NAMED:
            return False
        return any(path.startswith(f"{top}/") and "/" in path[len(top) + 1 :] for top in self._libraries)

    def _note(
        self, one: tarfile.TarInfo, layer: tarfile.TarFile, found: dict[str, ImageEntry], secrets: list[tuple[str, str]]
    ) -> None:
        path = one.name.removeprefix("./").strip("/")
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            self._removals += 1
            if self._removals > 2000:
                not_graded_here("the layers of the image remove more than 2000 files of each other")
            gone = folder if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".strip("/")
            for other in [key for key in found if key == gone or key.startswith(f"{gone}/")]:
                del found[other]
            return
        if name in ("METADATA", "RECORD") and folder.endswith(".dist-info"):
            self._libraries.add(folder.rpartition("/")[0])
        owner = f"{one.uid}:{one.gid}"
        if one.isfile():
            if not any(f"/{path}".startswith(f"{place}/") or f"/{path}" == place for place in self.bound):
                self._added += one.size
            digest, begin = _digest(_opened(layer, one), path)
            found[path] = ImageEntry("file", one.mode, owner, one.size, digest)
            is_library = path.startswith(("usr/lib/", "usr/share/", "usr/local/lib/python")) or "site-packages" in path
            kind = None if is_library or one.size > 1 << 16 else secret_in(begin.decode("latin-1"))
            if kind:
                secrets.append((path, kind))
            if re.search(r"(?:^|/)(?:\.git/config|\.env|\.netrc|\.pypirc|id_rsa|id_ed25519)$", path):
                secrets.append((path, _NAMED))
        else:
            kinds = {tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link", tarfile.LNKTYPE: "hard link"}
            found[path] = ImageEntry(kinds.get(one.type, "device"), one.mode, owner, 0, one.linkname)

    def packages(self) -> dict[str, str]:
        """The Python packages that the layers above the base hold: canonical name → version.

        Raises:
            NotGradedHere: as for :meth:`files`.
        """
        found = (re.search(r"(?:^|/)([^/]+)-([^/-]+)\.dist-info/METADATA$", path) for path in self.files())
        return {canonicalize_name(one[1]): one[2] for one in found if one}

    def python(self) -> str | None:
        """The Python on which those packages run, such as "3.11", by where they lie or by the base's name."""
        for path in self.files():
            if match := re.search(r"(?:^|/)lib/python(3\.\d+)/(?:site|dist)-packages/", path):
                return match[1]
        stage = self.context.parsed.final if self.context else None
        while stage is not None and stage.parent:
            stage = stage.parent
        match = re.match(r"(?:docker\.io/)?(?:library/)?python:(3\.\d+)", stage.base) if stage else None
        return match[1] if match else None

    def differences(self, other: Image) -> list[str]:
        """In what two images differ: settings, and below each path kind, mode, owner, size and contents.

        Not compared are times (the Created of the image, of files, and those within compiled modules), ids of layers,
        the grader's own label, and what only records when something was done: logs, caches of apt and of the linker,
        backups of the lists of users.
        """
        found = []
        mine, theirs = (_settings(image.config) for image in (self, other))
        found += [f"the setting {key}" for key in sorted({*mine, *theirs}) if mine.get(key) != theirs.get(key)]
        here, there = (
            {path: kept for path, kept in image.files().items() if not _VOLATILE.search(path)}
            for image in (self, other)
        )
        for path in sorted({*here, *there}):
            if path not in there or path not in here:
                found.append(f"{path} is in one of them only")
            elif here[path] != there[path]:
                a, b = here[path], there[path]
                if a.kind == b.kind == "folder" and replace(a, size=0) == replace(b, size=0):
                    continue
                what = next(
                    name
                    for name in ("kind", "mode", "owner", "size", "content")
                    if getattr(a, name) != getattr(b, name)
                )
                found.append(f"{path} has another {what}")
        return found

    def record(self) -> dict[str, Any]:
        """The image in short, as plain data: id, size and added in bytes, layers, user, command, labels."""
        config = self.config
        keys = ("User", "Entrypoint", "Cmd", "WorkingDir", "ExposedPorts", "StopSignal", "Healthcheck")
        settings = {key: config[key] for key in keys if config.get(key)}
        return {
            "id": self.id,
            "size": self.size,
            "added": self.added,
            "layers": self.layers,
            **settings,
            "labels": self.labels,
        }


def _opened(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The contents of a member of an archive.

    Raises:
        ValueError: it is not a file.
    """
    file = archive.extractfile(member)
    if file is None:
        raise ValueError(f"{member.name} is not a file")
    return file


def _digest(file: IO[bytes], path: str) -> tuple[str, bytes]:
    """A hash of a file's contents, and its beginning; of a compiled module without the time of its source."""
    hashed, begin = hashlib.sha256(), b""
    while chunk := file.read(1 << 20):
        if not begin:
            begin = chunk[: 1 << 16]
            if path.endswith(".pyc"):
                chunk = chunk[:8] + chunk[16:]
        hashed.update(chunk)
    return hashed.hexdigest(), begin


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    ignored = ("Hostname", "Image", "Domainname")
    found = {
        key: value for key, value in config.items() if key not in ignored and value not in (None, "", [], {}, False)
    }
    if "Labels" in found:
        found["Labels"] = {key: value for key, value in found["Labels"].items() if key != SESSION_LABEL}
    return found
