"""Dockerfiles and build contexts are judged as written: right ones written differently pass, wrong ones hear why."""

from __future__ import annotations

import os
import tarfile
import textwrap
from pathlib import Path

import pytest

from course.checks.core.expectations import CheckFailed, Unmet
from course.checks.docker import contexts
from course.checks.docker.contexts import Context, context, ignoring
from course.checks.docker.dockerfiles import Dockerfile, expand
from course.checks.docker.images import takes_wheels
from course.checks.docker.simple_commands import commands, pipelines

GOOD = """
    FROM python:3.11-slim
    WORKDIR /srv/app
    COPY requirements.txt .
    RUN pip install --no-cache-dir -r requirements.txt
    COPY *.py ./
    COPY artifact/ artifact/
    USER 10001
    EXPOSE 8000
    HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
    CMD ["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]
"""
IGNORE = "# not for the image\n.git\n.venv\n**/__pycache__\n*.ipynb\n.env\n"


@pytest.fixture
def ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Ship a build context, and give what the checks see of it."""
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path / "shipped"))
    folder = tmp_path / "shipped" / "image"

    def ship(dockerfile: str = GOOD, files: dict[str, str | bytes] | None = None) -> Context:
        more = {"Dockerfile": textwrap.dedent(dockerfile).lstrip("\n"), ".dockerignore": IGNORE, "wsgi.py": "app = 1\n"}
        more |= {"requirements.txt": "flask==3.1.2\n", "artifact/model.onnx": b"\0" * 1000, **(files or {})}
        for name, data in more.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data.encode() if isinstance(data, str) else data)
        return context("image")

    return ship


def said(context: Context, rule: str) -> str:
    """What a rule says first, with its hint; empty when it finds nothing."""
    try:
        context.expect(rule)
    except CheckFailed as failure:
        return f"{failure.reason} | {failure.hint}"
    return ""


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


# reading


def test_instructions_have_their_lines():
    source = "# one\nARG A=1\n\nFROM a:1\nRUN echo \\\n  # inside\n\n  two\nRUN <<EOF\nUSER root\nEOF\nUSER 5\n"
    found = [(one.name, one.line, one.end) for one in Dockerfile(source).instructions]
    assert found == [("ARG", 2, 2), ("FROM", 4, 4), ("RUN", 5, 8), ("RUN", 9, 11), ("USER", 12, 12)]


def test_another_sign_of_continuation_is_known():
    found = Dockerfile("# escape=`\nFROM a:1\nRUN echo `\n  C:\\\nUSER 5\n").instructions
    assert [one.name for one in found] == ["FROM", "RUN", "USER"]


def test_stages_take_over_what_they_are_made_from():
    source = "ARG V=3.11\nFROM python:${V}-slim AS Base\nUSER 7\nFROM base AS other\nENV A=$V\nCMD ['x']\n"
    dockerfile = Dockerfile(source)
    assert [stage.base for stage in dockerfile.stages] == ["python:3.11-slim", "base"]
    assert dockerfile.final.last("USER").value == "7"


def test_here_documents_are_not_instructions():
    dockerfile = Dockerfile("FROM a:1\nCOPY <<A <<-'B' /x/\nUSER root\nA\n\tCMD x\n\tB\nRUN echo $((1<<2))\n")
    one = dockerfile.instructions[1]
    assert [(h.name, h.body, h.quoted) for h in one.heredocs] == [("A", "USER root\n", False), ("B", "CMD x\n", True)]
    assert dockerfile.instructions[2].heredocs == ()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", "has no instructions"),
        ("# only a comment\n", "has no instructions"),
        ("RUN true\nFROM a:1\n", "the first instruction must be FROM"),
        ("FROM a:1\nINSTALL x\n", "line 2 (INSTALL x): Docker knows no instruction INSTALL"),
        ("FROM a:1\nONBUILD RUN x\n", "ONBUILD acts in another image"),
        ("FROM a:1\nRUN <<EOF\ntrue\n", "line 2: the here-document <<EOF has no end"),
        ("# syntax=strangers/frontend\nFROM a:1\n", "somebody else's program"),
        ("FROM a:1 AS\n", "FROM names one image"),
        ("FROM a:1\nCOPY one\n", "COPY needs a source and a destination"),
        ("FROM a:1\n" + "RUN true\n" * 300, "more than 200 instructions"),
    ],
)
def test_what_cannot_be_read_is_said(source, words):
    with pytest.raises(Unmet) as caught:
        Dockerfile(source)
    assert words in caught.value.reason


# policy


def test_a_good_context_passes_every_rule(ship):
    one = ship()
    assert one.findings() == []
    assert one.lint() == []
    one.expect_kept_out()
    one.expect_small(1)
    assert one.expect_pinned_requirements() == {"flask": "3.1.2"}


RIGHT = {
    "entry point": changed("CMD [", "ENTRYPOINT ["),
    "entry point and arguments": changed('CMD ["gunicorn",', 'ENTRYPOINT ["gunicorn"]\n    CMD ['),
    "lower case": GOOD.replace("FROM", "from")
    .replace("COPY", "copy")
    .replace("USER", "User")
    .replace("CMD [", "cmd ["),
    "ARG before FROM": changed("FROM python:3.11-slim", "ARG TAG=3.11-slim\n    FROM python:${TAG}"),
    "a digest": changed("python:3.11-slim", f"python@sha256:{'0' * 64}"),
    "a registry with a port": changed("python:3.11-slim", "localhost:5000/python:3.11-slim"),
    "a user by name and group": changed("USER 10001", "RUN useradd app\n    USER app:app"),
    "a user from a variable": changed("USER 10001", "ARG UID=10001\n    USER ${UID}"),
    "directives": "# syntax=docker/dockerfile:1\n# escape=\\\n" + textwrap.dedent(GOOD).lstrip("\n"),
    "here-document": changed(
        "RUN pip install --no-cache-dir -r requirements.txt",
        "RUN <<EOF\n    set -e\n    pip install --no-cache-dir -r requirements.txt\n    EOF",
    ).replace("\n    EOF", "\nEOF"),
    "a mount": changed("COPY requirements.txt .\n", "").replace(
        "RUN pip", "RUN --mount=type=bind,source=requirements.txt,target=requirements.txt pip"
    ),
    "two stages": """
        FROM python:3.11-slim AS build
        COPY requirements.txt .
        RUN pip wheel --no-cache-dir --wheel-dir /wheels -r requirements.txt
        FROM python:3.11-slim
        COPY --from=build /wheels /wheels
        RUN pip install --no-cache-dir --no-index /wheels/*.whl && rm -r /wheels
        COPY . /srv/app
        WORKDIR /srv/app
        USER nobody
        HEALTHCHECK --interval=10s CMD python -c "import wsgi"
        CMD ["gunicorn", "wsgi:app"]
    """,
    "wheels": changed("COPY requirements.txt .", "COPY wheels/ /wheels/\n    COPY requirements.txt .").replace(
        "-r requirements.txt", "--no-index --find-links /wheels -r requirements.txt"
    ),
    "a virtual environment": """
        FROM python:3.11-slim AS build
        COPY requirements.txt ./
        RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir -r requirements.txt
        FROM python:3.11-slim AS final
        COPY --from=build /venv /venv
        COPY wsgi.py ./
        USER 1000:1000
        HEALTHCHECK CMD ["/venv/bin/python", "-c", "1"]
        ENTRYPOINT ["/venv/bin/gunicorn", "wsgi:app"]
    """,
    "a shell that steps aside": changed(
        'CMD ["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', 'CMD ["sh", "-c", "exec gunicorn -b :$PORT wsgi:app"]'
    ),
    "secrets by name of file": changed(
        "USER 10001", "ENV DB_PASSWORD_FILE=/run/secrets/db TOKENIZERS_PARALLELISM=no\n    USER 10001"
    ),
    "packages of the system": changed(
        "WORKDIR /srv/app",
        "RUN apt-get update && apt-get install -y --no-install-recommends libgomp1=12.2.0-14 \\\n"
        "     && rm -rf /var/lib/apt/lists/*\n    WORKDIR /srv/app",
    ),
    "the project itself, after the code": changed(
        "USER 10001", "COPY . .\n    RUN pip install --no-cache-dir --no-deps .\n    USER 10001"
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_ones_written_differently_pass(ship, name):
    files = {"wheels/flask-3.1.2-py3-none-any.whl": b"x"} if name == "wheels" else {}
    found = ship(RIGHT[name], files).findings()
    assert [str(one) for one in found if one.rule not in ("numeric user", "reachable")] == []


WRONG = [
    ("pinned base", changed(":3.11-slim", ""), "line 1 (FROM python): python has no tag, which means latest"),
    ("pinned base", changed("3.11-slim", "latest"), "python:latest is whatever was pushed last"),
    (
        "pinned base",
        changed("FROM python:3.11-slim", "ARG TAG\n    FROM python:$TAG"),
        "known only when somebody says so",
    ),
    ("pinned base", changed("USER 1", "COPY --from=busybox /bin/sh /sh\n    USER 1"), "busybox has no tag"),
    ("non-root", changed("    USER 10001\n", ""), "there is no USER in the final stage"),
    (
        "non-root",
        changed("USER 10001", "USER app\n    USER root"),
        "line 8 (USER root): the last USER of the final stage",
    ),
    ("non-root", changed("USER 10001", "USER 0:0"), "is root"),
    (
        "exec form",
        changed('["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', "gunicorn wsgi:app"),
        "line 10 (CMD gunicorn wsgi:app): a shell starts it",
    ),
    (
        "exec form",
        changed('["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', "['gunicorn', 'wsgi:app']"),
        "single quotes make it text",
    ),
    (
        "exec form",
        changed('["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', '["sh", "-c", "gunicorn wsgi:app"]'),
        "a shell starts it",
    ),
    ("exec form", changed('CMD ["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', ""), "what should run?"),
    ("health check", changed("HEALTHCHECK CMD", "LABEL a="), "there is no HEALTHCHECK"),
    ("health check", GOOD + "    HEALTHCHECK NONE\n", "line 11 (HEALTHCHECK NONE)"),
    ("health check", GOOD + "    HEALTHCHECK CMD curl localhost || true\n", "so it cannot fail"),
    (
        "no secrets",
        changed("USER 1", "ENV DB_PASSWORD=hunter2\n    USER 1"),
        "line 7 (ENV DB_PASSWORD=…): ENV gives DB_PASSWORD",
    ),
    (
        "no secrets",
        changed("USER 1", "ARG INDEX_TOKEN\n    USER 1"),
        "the build argument INDEX_TOKEN stays in the image's history",
    ),
    ("no secrets", changed("USER 1", "LABEL api-key=abcdef\n    USER 1"), "LABEL gives api-key a value"),
    ("no secrets", changed("RUN pip", "RUN API_TOKEN=abc pip"), "RUN gives API_TOKEN a value"),
    (
        "no secrets",
        changed("RUN pip install", "RUN pip install -i https://me:hunter2@index.example/simple"),
        "a name with a password",
    ),
    (
        "cached dependencies",
        changed("COPY requirements.txt .", "COPY . ."),
        "line 4 (RUN pip install --no-cache-dir -r requirements.txt): line 3 copied the code",
    ),
    (
        "cached dependencies",
        changed("RUN pip install --no-cache-dir -r requirements.txt", ""),
        "no RUN installs what the service needs",
    ),
    ("pinned installs", changed("-r requirements.txt", "flask gunicorn==23.0.0"), "the version of flask is left open"),
    ("safe downloads", changed("USER 1", "ADD https://a.example/b /b\n    USER 1"), "ADD of an address"),
    ("safe downloads", changed("USER 1", "RUN curl -sSL https://a.example/b | sh\n    USER 1"), "run unseen"),
    ("tidy layers", changed("USER 1", "RUN apt-get update\n    USER 1"), "apt-get update in a step of its own"),
    (
        "tidy layers",
        changed("USER 1", "RUN apt-get update && apt-get install -y git\n    USER 1"),
        "the lists of packages stay",
    ),
    ("copies", changed("COPY *.py", "COPY ../../app.py"), "../../app.py lies outside the build context"),
    ("copies", changed("COPY *.py", "COPY wheels/ /w/\n    COPY *.py"), "the context has no wheels/"),
    ("copies", changed("COPY *.py", "COPY api.py"), "line 5 (COPY api.py ./): the context has no api.py"),
]


@pytest.mark.parametrize(("rule", "dockerfile", "words"), WRONG)
def test_wrong_ones_hear_the_line_the_reason_and_a_hint(ship, rule, dockerfile, words):
    message = said(ship(dockerfile), rule)
    assert words in message
    assert not message.endswith("| None")


@pytest.mark.parametrize(
    "words",
    ["--retries 1 -r", "--root-user-action ignore -r", "--trusted-host pypi.org -r", "--only-binary :all: -r"],
)
def test_what_an_option_of_pip_takes_is_no_package(ship, words):
    assert said(ship(changed("--no-cache-dir -r", f"--no-cache-dir {words}")), "pinned installs") == ""


PIP = [
    "pip3.11 install -r requirements.txt",
    "/usr/local/bin/pip3 install --target=/packages -r requirements.txt",
    "python -m pip --python /opt/venv install --prefix /install -rrequirements.txt",
    "python3.11 -I -m pip install --user -i https://pypi.org/simple --requirement=requirements.txt",
    "set -eux; PIP_NO_CACHE_DIR=1 pip install flask==3.1.2 && rm -rf /tmp/x",
    "uv pip install --system --requirements requirements.txt",
    "pip install flask -c requirements.txt",
    "uv sync --frozen",
    "bash -ec 'pip install flask==3.1.2'",
]


@pytest.mark.parametrize("command", PIP)
def test_pip_is_known_by_every_name(ship, command):
    one = ship(changed("pip install --no-cache-dir -r requirements.txt", command))
    assert said(one, "cached dependencies") == said(one, "pinned installs") == ""
    late = GOOD.replace("COPY requirements.txt .", "COPY . .")
    late = ship(late.replace("pip install --no-cache-dir -r requirements.txt", command))
    assert "copied the code before" in said(late, "cached dependencies")


@pytest.mark.parametrize("command", ["pip3.11 install flask", "python -m pip install --target /x flask gunicorn==1"])
def test_a_name_without_a_version_is_found_however_pip_is_called(ship, command):
    message = said(ship(changed("pip install --no-cache-dir -r requirements.txt", command)), "pinned installs")
    assert "the version of flask is left open" in message


def test_requirements_may_hold_options_of_pip(ship):
    files = {
        "requirements.txt": "-i https://pypi.org/simple\n--no-binary=x\n-c limits.txt\n-r more.txt\nflask\n",
        "limits.txt": "flask==3.1.2\nunused==1\n",
        "more.txt": "gunicorn==23.0.0\n-r requirements.txt\n",
    }
    assert ship(files=files).expect_pinned_requirements() == {"flask": "3.1.2", "gunicorn": "23.0.0"}
    with pytest.raises(CheckFailed, match="leaves the version of flask open"):
        ship(files={"requirements.txt": "-r gone.txt\nflask\n"}).expect_pinned_requirements()


def test_sources_of_a_copy_may_be_variables(ship):
    one = ship(changed("COPY requirements.txt .", "ARG NEEDS=requirements.txt\n    COPY ${NEEDS} ."))
    assert one.findings() == []
    late = ship(changed("COPY requirements.txt .", "ARG ALL=.\n    COPY $ALL ."))
    assert "copied the code before" in said(late, "cached dependencies")
    gone = ship(changed("COPY requirements.txt .", "ARG NEEDS=needs.txt\n    COPY $NEEDS ."))
    assert "the context has no needs.txt" in said(gone, "copies")


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ("#!/bin/sh\nset -e\nexec gunicorn wsgi:app\n", ""),
        ('#!/bin/bash\nexec "$@"\n', ""),
        ("#!/usr/bin/env python3\nimport os\n", ""),
        ("#!/bin/sh\ngunicorn wsgi:app\n", "the script start.sh starts the service as a child"),
        ("#!/bin/sh\nexec 2>&1\ngunicorn wsgi:app\n", "the script start.sh starts the service as a child"),
    ],
)
@pytest.mark.parametrize("start", ['["./start.sh"]', '["sh", "start.sh"]', '["/bin/bash", "-e", "/srv/app/start.sh"]'])
def test_a_script_that_starts_the_service_ends_with_exec(ship, script, rule, start):
    dockerfile = changed('["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', start).replace("*.py", "*.py start.sh")
    message = said(ship(dockerfile, {"start.sh": script}), "exec form")
    assert rule in message if rule else message == ""


def test_exec_in_the_shell_form_is_refused_as_a_rule_of_the_course(ship):
    shell = changed('CMD ["gunicorn", "--bind", "0.0.0.0:8000", "wsgi:app"]', "CMD exec gunicorn wsgi:app")
    message = said(ship(shell), "exec form")
    assert "exec lets signals through" in message
    assert "a rule of this course asks for a list" in message
    mixed = changed('CMD ["gunicorn",', 'ENTRYPOINT ["gunicorn"]\n    CMD wsgi:app #')
    assert "gets /bin/sh -c as its first arguments" in said(ship(mixed), "exec form")


@pytest.mark.parametrize(
    ("user", "words"),
    [("10001", ""), ("1000:1000", ""), ("${ID}", ""), ("nobody", "the user is 'nobody'"), ("app:10001", "'app'")],
)
def test_a_user_is_a_number_where_that_is_asked(ship, user, words):
    message = said(ship(changed("USER 10001", f"ARG ID=7\n    USER {user}")), "numeric user")
    assert words in message if words else message == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("apt-get update && apt-get install -y git", "apt-get update asks a server"),
        ("git clone https://a.example/b", "git clone asks a server"),
        ("set -e; if true; then curl -sSf https://a.example; fi", "curl https://a.example asks"),
        ("apt-get clean && git --version", ""),
        ("echo 'curl is not here'", ""),
    ],
)
def test_what_a_build_cannot_reach_is_a_rule_of_the_course(ship, command, words):
    message = said(ship(changed("USER 10001", f"RUN {command}\n    USER 10001")), "reachable")
    assert words in message if words else message == ""
    assert "a rule of this course" in message if words else True


def test_what_dockerignore_keeps_out_can_be_let_in_again(ship):
    message = said(ship(files={".dockerignore": "*\n!*.py"}), "copies")
    assert "the context has no requirements.txt (.dockerignore keeps it out)" in message
    assert "!name lets in again" in message


def test_a_rule_that_is_not_there_is_the_authors_mistake(ship):
    with pytest.raises(ValueError, match="a rule is one of pinned base"):
        ship().expect("pinned bases")


def test_the_secret_itself_is_not_repeated(ship):
    one = ship(changed("USER 1", f"ENV A=ghp_{'z9' * 18} PASSWORD=hunter2\n    USER 1"))
    shown = " ".join(map(str, one.findings()))
    assert "z9z9" not in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (".env", "A=1", ""),  # .dockerignore keeps it out
        (".env.production", "A=1", ".env.production is sent to the engine"),
        (".env.example", "A=", ""),
        ("keys/id_rsa", "x", "keys/id_rsa is sent"),
        (
            "settings.py",
            "KEY = 'AKIA" + "ABCD" * 4 + "'",
            "settings.py is sent to the engine, and holds an access key of Amazon",
        ),
        ("notes.txt", "-----BEGIN EC PRIVATE KEY-----\n", "holds a private key"),
    ],
)
def test_files_with_secrets_are_found_where_they_are_sent(ship, name, data, words):
    message = said(ship(files={name: data}), "no secrets")
    assert words in message if words else message == ""


def test_history_of_the_project_is_not_sent(ship):
    one = ship(files={".dockerignore": "", ".git/config": "x", ".git/HEAD": "y"})
    assert "the history of the project (.git)" in said(one, "no secrets")
    with pytest.raises(CheckFailed, match=r"\(\.git\), a virtual environment"):
        one.expect_kept_out()


def test_a_large_context_is_named_by_its_largest_files(ship):
    with pytest.raises(CheckFailed) as caught:
        ship(files={"data.parquet": b"\0" * 3_000_000}).expect_small(1)
    assert caught.value.actual.startswith("3.0 MB: data.parquet 3.0 MB")


# .dockerignore


@pytest.mark.parametrize(
    ("source", "out", "sent"),
    [
        ("*.pyc", ["a.pyc"], ["b/a.pyc"]),
        ("**/*.pyc", ["a.pyc", "b/a.pyc", "b/c/a.pyc"], ["a.py"]),
        ("data", ["data", "data/a", "data/b/c"], ["database", "b/data"]),
        ("/data/", ["data/a"], ["b/data/a"]),
        ("*\n!app.py\n!artifact", ["b.py", "x/app.py"], ["app.py", "artifact/model.onnx"]),
        ("artifact\n!artifact/model.onnx", ["artifact/a"], ["artifact/model.onnx"]),
        ("!a\na", ["a"], []),
        ("# comment\n  b  \n\n", ["b"], ["# comment", "a"]),
        ("a?c\n[x-z].py\n[^a]1", ["abc", "y.py", "b1"], ["ac", "a/c", "w.py", "a1"]),
        ("*/temp*", ["a/temp", "a/temporary/x"], ["temp", "a/b/temp"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z/y"], ["b/a/z", "a/y"]),
        ("**", ["a", "b/c"], []),
        ("./x\n../y\nz/../w", ["x", "w"], ["y", "z"]),
        ("\ufeffa", ["a"], []),
        (r"\!b", ["!b"], ["b"]),
    ],
)
def test_dockerignore_is_read_as_docker_reads_it(source, out, sent):
    is_out = ignoring(source)
    assert [path for path in out if not is_out(path)] == []
    assert [path for path in sent if is_out(path)] == []


def test_hostile_patterns_take_no_time():
    is_out = ignoring("\n".join(["**/" * 100 + "*a*" * 100 + "b"] * 20))
    assert not is_out("a" * 100)


# hostile contexts


def test_a_dockerfile_of_a_gigabyte_is_not_read(ship, tmp_path):
    one = ship()
    with (tmp_path / "shipped/image/Dockerfile").open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(Unmet, match="too large"):
        one.parsed
    with pytest.raises(CheckFailed, match="holds more than 512 MiB"):
        one.files


def test_very_many_files_are_not_read(ship, tmp_path):
    one = ship()
    for number in range(contexts.MAX_FILES + 1):
        (tmp_path / f"shipped/image/{number}").touch()
    with pytest.raises(CheckFailed, match="more than 3000 files"):
        one.sent


@pytest.mark.skipif(os.name != "posix", reason="needs links and pipes")
@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "whole"])
def test_links_and_pipes_are_refused(ship, tmp_path, kind):
    one, folder = ship(), tmp_path / "shipped" / "image"
    if kind == "whole":
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(folder / "odd")
    else:
        (folder / "odd").symlink_to("/etc/passwd" if kind == "link" else "/etc")
    with pytest.raises(CheckFailed, match=r"is a link|is a pipe|there is no folder image"):
        one.files


def test_no_context_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_SHIPPED", str(tmp_path))
    with pytest.raises(Unmet, match="there is no folder image among the shipped files"):
        context("image").files


def test_what_is_sent_is_the_same_for_the_same_files(ship):
    with ship().tar() as first, ship().tar() as second:
        assert first.read() == second.read()
        first.seek(0)
        with tarfile.open(fileobj=first) as archive:
            names = archive.getnames()
            assert names == sorted(names)
            assert {member.mtime for member in archive} == {0}
            assert {member.mode for member in archive} == {0o644}


def test_the_linter_tells_line_and_code(ship):
    found = ship(changed("WORKDIR /srv/app", "WORKDIR srv/app")).lint()
    assert [(one.line, one.rule) for one in found] == [(2, "DL3000")]
    assert ship(changed("WORKDIR /srv/app", "WORKDIR srv/app")).lint(ignore=["DL3000"]) == []


@pytest.mark.parametrize(("name", "takes"), [("wheels", True), ("two stages", False), ("entry point", False)])
def test_only_who_asks_for_wheels_gets_them(ship, name, takes):
    assert takes_wheels(ship(RIGHT[name])) is takes


# hostile text


def test_a_value_that_doubles_is_refused_before_it_fills_the_memory():
    doubling = "ARG A=xxxxxxxxxx\n" + "ARG A=$A$A\n" * 60 + "FROM python:$A\n"
    with pytest.raises(Unmet, match="grows to more than 10,000 characters"):
        Dockerfile(doubling)


def test_variables_are_replaced_as_docker_does():
    known = {"A": "1", "B": None, "C": ""}
    assert expand("${A}-$A-${B:-x}-${C:+y}${A:+z}", known) == "1-1-x-z"
    assert expand("${A:-${B", known) == "${A:-${B"
    assert expand("$B", known) == "$B"


def test_more_sources_than_any_image_needs_are_refused():
    with pytest.raises(Unmet, match="more than 200 sources"):
        Dockerfile(f"FROM python:3.11-slim\nCOPY {'a ' * 300} /srv/\n")
    with pytest.raises(Unmet, match="longer than 64 KiB"):
        Dockerfile("FROM python:3.11-slim\n" + "#" * 70_000)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("a b && c|d; e", [["a", "b"], ["c"], ["d"], ["e"]]),
        ("curl x |\\\n  sh", [["curl", "x"], ["sh"]]),
        ("curl x |\n\n sh\nls", [["curl", "x"], ["sh"], ["ls"]]),
        ("| | a", [["a"]]),
        ("", []),
    ],
)
def test_a_script_is_split_into_commands(script, words):
    assert commands(script) == words


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("a | b && c", [[["a"], ["b"]], [["c"]]]),
        ("a |& b; c || d & e", [[["a"], ["b"]], [["c"]], [["d"]], [["e"]]]),
        ("a | \n b\nc", [[["a"], ["b"]], [["c"]]]),
        ("(a) | b", [[["a"], ["b"]]]),
        ("a 2>&1 | b", [[["a"], ["b"]]]),
        ("sh -c 'a | b; c' | d", [[["sh", "-c", "a | b; c"], ["d"]], [["a"], ["b"]], [["c"]]]),
        ("eval 'a | b'", [[["eval", "a | b"]], [["a"], ["b"]]]),
        ("su - x -c a", [[["su", "-", "x", "-c", "a"]], [["a"]]]),
        ('echo "a | b"', [[["echo", "a | b"]]]),
        ("a 'b | c", [[["a", "'b"], ["c"]]]),
    ],
)
def test_commands_that_read_what_another_prints_are_one_pipeline(script, lines):
    assert pipelines(script) == lines


def test_a_pattern_that_is_none_is_the_students_mistake(ship):
    with pytest.raises(Unmet, match=r"the range z-a goes backwards"):
        ship(files={".dockerignore": "[z-a]"}).expect_kept_out()
    assert "the context has no [z-a]" in said(ship("FROM python:3.11-slim\nCOPY [z-a] /srv/\n"), "copies")
