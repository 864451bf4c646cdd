"""Cells that need an engine show what the author's engine answered, where none answers; how their images are built."""

from __future__ import annotations

import importlib.util
import json
import os
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from course.checks.docker.dockerfiles import Dockerfile
from course.labs import recordings

LAB = Path(__file__).parents[2] / "solutions" / "04_docker"


@pytest.fixture
def engine(monkeypatch) -> Any:
    """The lab's module given/engine.py, on a machine without an engine."""
    monkeypatch.setenv("COURSE_LIVE", "off")
    spec = importlib.util.spec_from_file_location("given_engine", LAB / "given" / "engine.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "given_engine", module)
    spec.loader.exec_module(module)
    return module


def transformed(engine: Any, source: str, names: dict[str, Any] | None = None) -> str:
    shell = SimpleNamespace(user_ns=names or {}, input_transformers_cleanup=[])
    engine.load_ipython_extension(shell)
    (step,) = shell.input_transformers_cleanup
    return "".join(step(source.splitlines(keepends=True)))


def test_the_recordings_of_the_lab_are_what_its_notebooks_hold():
    recorded = json.loads((LAB / recordings.FILE).read_text(encoding="utf-8"))
    assert recorded == recordings.of_lab(LAB), "run: course execute solutions/04_docker"
    assert all(recorded.values()), "a cell of the engine that shows nothing"


def test_every_cell_of_an_engine_shows_something_where_there_is_none(engine, capsys):
    from course.labs import notebooks, source

    for path in source.sources(LAB):
        for cell in notebooks.read(path).cells:
            if cell.source.startswith("%%engine"):
                exec(transformed(engine, cell.source).replace("given.engine", "given_engine"))
                shown = capsys.readouterr().out
                assert shown.startswith(engine.RECORDED), cell.source
                assert len(shown.splitlines()) > 2


def test_a_cell_that_was_changed_is_read_only(engine, capsys):
    exec(transformed(engine, "%%engine\nprint('mine')\n").replace("given.engine", "given_engine"))
    assert capsys.readouterr().out == f"{engine.MISSING}\n"


def test_without_an_image_a_cell_says_that_it_is_not_built_yet(engine, monkeypatch):
    known = {"late:1"}

    def get(name: str) -> None:
        if name not in known:
            raise engine.NotFound(name)

    monkeypatch.setattr(engine, "_client", lambda: SimpleNamespace(images=SimpleNamespace(get=get)))
    assert "your image is not built yet" in transformed(engine, "%%engine {WEB}:1\nprint(1)\n")
    assert "your image is not built yet" in transformed(engine, "%%engine {WEB}:2\nprint(1)\n", {"WEB": "late"})
    assert "your image is not built yet" in transformed(engine, "%%engine built\nprint(1)\n")
    assert transformed(engine, "%%engine {WEB}:1 built\nprint(1)\n", {"WEB": "late", "built": 1}) == "print(1)\n"


@pytest.mark.parametrize("text", [None, "", "# YOUR WORK HERE\n"])
def test_a_context_without_a_dockerfile_is_not_built_and_no_error(engine, tmp_path, capsys, text):
    if text is not None:
        (tmp_path / "Dockerfile").write_text(text)
    assert engine.build(None, tmp_path, "x:1", "x") == []
    assert "your image is not built yet" in capsys.readouterr().out


def test_a_dockerfile_that_cannot_be_read_is_an_error_of_one_line(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM a:1\nPIP install\n")
    with pytest.raises(engine.BuildFailed, match="line 2") as caught:
        engine.build(None, tmp_path, "x:1", "x")
    assert len(caught.value._render_traceback_()) == 1


def test_what_buildkit_kept_is_read_from_its_output(engine):
    dockerfile = Dockerfile(
        "ARG T=1\nFROM a:$T AS one\nENV A=1\nWORKDIR /x\nCOPY a.py .\nRUN true\n"
        "FROM a:1\nCOPY --from=one /x /y\nUSER 7\n"
    )
    output = """
        #5 [one 1/4] FROM docker.io/library/a:1
        #5 DONE 0.0s

        #6 [one 2/4] WORKDIR /x
        #6 CACHED

        #7 [one 3/4] COPY a.py .
        #7 DONE 0.1s
        #8 [one 4/4] RUN true
        #8 DONE 0.2s
        #9 [stage-1 2/2] COPY --from=one /x /y
        #9 CACHED
    """
    assert engine._kept_by_buildkit(textwrap.dedent(output), dockerfile) == {1, 2, 3, 4, 7, 8, 9}


@pytest.mark.engine
@pytest.mark.timeout(240)
@pytest.mark.parametrize("builder", [pytest.param("buildkit", marks=pytest.mark.buildkit), "classic"])
def test_both_builders_build_the_same_steps(engine, buildx, monkeypatch, tmp_path, builder):
    monkeypatch.delenv("COURSE_LIVE")
    monkeypatch.setenv("DOCKER_BUILDKIT", "1" if builder == "buildkit" else "0")
    engine.has_buildkit.cache_clear()
    (tmp_path / "a.py").write_text(os.urandom(8).hex())
    text = "FROM python:3.11-slim\nWORKDIR /x\nCOPY a.py ./\nRUN --mount=type=cache,target=/c true\nUSER 7\n"
    (tmp_path / "Dockerfile").write_text(text)
    client, name = engine.connect("both", quiet=True), f"{engine.named('both')}:1"
    try:
        first = engine.build(client, tmp_path, name, "both")
        again = engine.build(client, tmp_path, name, "both")
        (tmp_path / "a.py").write_text(os.urandom(8).hex())
        changed = engine.build(client, tmp_path, name, "both")
        (tmp_path / "Dockerfile").write_text("FROM python:3.11-slim\nRUN false\n")
        with pytest.raises(engine.BuildFailed, match="false"):
            engine.build(client, tmp_path, name, "both")
    finally:
        engine.tidy(client, "both")
        client.close()
    assert [step.instruction.split()[0] for step in first] == ["FROM", "WORKDIR", "COPY", "RUN", "USER"]
    assert [step.kept for step in first][2:] == [False, False, False]
    assert all(step.kept for step in again)
    assert [step.kept for step in changed] == [True, True, False, False, False]
