"""Images built from what students ship: right ones written differently, and what hostile ones may not do."""

from __future__ import annotations

import os

import pytest

from course.checks.core.expectations import CheckFailed, NotGradedHere, Unmet
from course.checks.core.sessions import ROLE_LABEL, SESSION_LABEL
from course.checks.docker import engines, image_builder
from course.checks.docker.images import BuildLimits, build

BASE = "python:3.11-slim"
SHORT = BuildLimits(seconds=60)


def refused(context, limits=SHORT, **options) -> Unmet:
    with pytest.raises(CheckFailed) as caught:
        build(context, limits=limits, **options)
    return caught.value


def left(api) -> list:
    """Containers of builds that this process's run left; the course's own carry a role."""
    session = engines.engine()
    found = api.containers(all=True, filters={"label": f"{SESSION_LABEL}={session.id}"})
    return [one for one in found if ROLE_LABEL not in one["Labels"]]


def test_an_image_says_what_it_is(ship):
    image = build(ship(), limits=SHORT)
    assert image.config["User"] == "10001"
    assert image.config["Cmd"] == ["python", "-u", "app.py"]
    assert len(image.layers) == 2  # the folder, and the files
    assert 0 < image.added < 10_000
    assert set(image.files()) >= {"srv/app/app.py", "srv/app/server.py"}
    assert image.record()["labels"] == {}
    image.expect_no_secrets()


def test_the_same_context_is_built_once_and_again_only_when_asked(ship):
    first = build(ship(), limits=SHORT)
    assert build(ship(), limits=SHORT) is first
    second = build(ship(), limits=SHORT, again=True)
    assert second is not first
    assert first.differences(second) == []


def test_builds_that_differ_are_told_apart(ship):
    dockerfile = f"""
        FROM {BASE}
        RUN python -c "import time; open('/made', 'w').write('%.6f' % time.time())" && useradd app
    """
    first, second = build(ship(dockerfile)), build(ship(dockerfile), again=True)
    assert first.differences(second) == ["made has another content"]


def test_a_step_may_be_silent_for_as_long_as_it_may_take(ship, monkeypatch):
    session, waits = engines.engine(), []
    real = session.api._post
    monkeypatch.setattr(
        session.api, "_post", lambda *args, **more: waits.append(more.get("timeout")) or real(*args, **more)
    )
    build(ship(f"FROM {BASE}\nRUN sleep 1\n"), limits=BuildLimits(seconds=123))
    assert [wait[1] for wait in waits if isinstance(wait, tuple)] == [183]


def test_a_build_that_the_engine_breaks_off_is_nobodys_fault(ship, monkeypatch):
    monkeypatch.setattr(image_builder, "read_lines", lambda response, lines, over: lines.put(None))
    with pytest.raises(NotGradedHere, match="broke off the build"):
        build(ship(f"FROM {BASE}\nRUN true\n"), limits=SHORT)


def test_words_of_buildkit_are_understood(ship):
    dockerfile = f"""
        # syntax=docker/dockerfile:1
        # escape=`
        ARG BASE={BASE}
        from --platform=$BUILDPLATFORM ${{BASE}} as first
        RUN <<EOF
        set -e
        mkdir /made
        echo "one two  " > /made/one
        EOF
        RUN python - <<'PY'
        open("/made/two", "w").write("$HOME")
        PY
        FROM ${{BASE}}
        RUN --mount=type=cache,target=/root/.cache `

            # a comment
            true
        COPY --from=first --link --chown=7:7 /made /made
        COPY --chmod=0750 app.py /made/
        COPY <<EOF /made/three
        three
        EOF
        COPY <<-'A' <<B /made/more/
        \t$four
        A
        five
        B
        RUN --mount=type=bind,source=server.py,target=/tmp/x.py test -s /tmp/x.py
        USER 7
        CMD ["cat", "/made/one"]
    """
    image = build(ship(dockerfile), limits=SHORT)
    files = image.files()
    sizes = {path.removeprefix("made/"): kept.size for path, kept in files.items() if path.startswith("made/")}
    assert {"one": 10, "two": 5, "three": 6, "more/A": 6, "more/B": 5}.items() <= sizes.items()
    assert files["made/app.py"].mode & 0o777 == 0o750
    assert files["made/one"].owner == "7:7"
    assert image.config["User"] == "7"


def test_the_modes_that_a_copy_gives_reach_patterns_and_what_folders_hold_and_several_files_reach_a_dot(ship):
    dockerfile = f"""
        FROM {BASE}
        WORKDIR /made
        COPY --chmod=444 *.py data ./
        COPY --chmod=u+x inner/run.sh /other
        COPY --chmod=0700 inner .
        COPY --chmod=0755 . /whole
        WORKDIR /several
        COPY app.py server.py .
    """
    more = {"data/a.txt": "a", "data/deep/b.txt": "b", "inner/run.sh": "#!/bin/sh\n"}
    files = build(ship(dockerfile, **more), limits=SHORT).files()
    modes = {path: kept.mode & 0o777 for path, kept in files.items() if path.startswith(("made/", "other", "whole/"))}
    assert {
        "made/app.py": 0o444,
        "made/server.py": 0o444,
        "made/a.txt": 0o444,
        "made/deep": 0o444,
    }.items() <= modes.items()
    assert {"made/deep/b.txt": 0o444, "other": 0o744, "made/run.sh": 0o700}.items() <= modes.items()
    assert {"whole/data/deep/b.txt": 0o755, "whole/app.py": 0o755}.items() <= modes.items()
    assert {"several/app.py", "several/server.py"} <= set(files)


def test_what_a_step_only_saw_does_not_count(ship):
    dockerfile = f"""
        FROM {BASE}
        RUN --mount=type=bind,source=data,target=/seen/ cp /seen/part /kept
    """
    image = build(ship(dockerfile, **{"data/whole": os.urandom(5_000_000), "data/part": b"1"}), limits=SHORT)
    assert image.added < 1_000_000
    assert [path for path in image.files() if path.startswith(("seen", "kept"))] == ["kept"]


def test_a_shell_of_ones_own_runs_here_documents(ship):
    dockerfile = f"""
        FROM {BASE}
        SHELL ["/bin/bash", "-o", "pipefail", "-c"]
        RUN <<EOF
        words=(a b c)
        echo ${{#words[@]}} > /made
        EOF
        RUN <<EOF
        #!/usr/bin/env python3
        open("/other", "w").write("four")
        EOF
    """
    files = build(ship(dockerfile)).files()
    assert files["made"].size == 2
    assert files["other"].size == 4


def test_secrets_that_nobody_gives_are_empty_and_other_options_are_refused(ship):
    build(ship(f"FROM {BASE}\nRUN --mount=type=secret,id=token test ! -e /run/secrets/token\n"), limits=SHORT)
    failure = refused(ship(f"FROM {BASE}\nRUN --mount=type=secret,id=token,required=true true\n"))
    assert "line 2 (RUN --mount=type=secret" in failure.reason
    failure = refused(ship(f"FROM {BASE}\nCOPY --parents app.py /x/\n"))
    assert "a rule of this course is that images are built without COPY --parents" in failure.reason


def test_newer_options_and_variables_are_understood(ship):
    dockerfile = f"""
        FROM {BASE}
        ARG NAME=seven
        COPY <<EOF /made
        $NAME ${{GONE}}.
        EOF
        HEALTHCHECK --interval=9s --start-interval=1s CMD ["true"]
    """
    image = build(ship(dockerfile), limits=SHORT)
    assert image.files()["made"].size == len("seven .\n")
    assert image.config["Healthcheck"] == {"Test": ["CMD", "true"], "Interval": 9 * 10**9}


def test_a_failing_step_is_named_by_its_line_with_the_end_of_what_it_printed(ship):
    failure = refused(ship(f"FROM {BASE}\n\nRUN <<EOF\ntrue\nEOF\nRUN echo so far && \\\n  python -c 'import gone'\n"))
    assert failure.reason.startswith("line 6 (RUN echo so far && python")
    assert "exit status 1" in failure.reason
    assert "No module named 'gone'" in failure.actual
    assert "so far" in failure.actual
    assert "Removing intermediate container" not in failure.actual
    assert "\x1b" not in failure.actual


def test_only_a_base_image_that_is_allowed_and_cannot_be_had_goes_to_a_person(ship, monkeypatch):
    failure = refused(ship("FROM strangers/tool:1\nRUN true\n"))
    assert failure.reason.startswith("line 1 (FROM strangers/tool:1): 'strangers/tool:1' is not among the images")
    monkeypatch.setenv("COURSE_BASE_IMAGES", "localhost:1/tool")
    with pytest.raises(NotGradedHere, match="localhost:1/tool:1 is not here"):
        build(ship("FROM localhost:1/tool:1\nRUN true\n"))


def test_an_image_of_another_submission_is_no_base(ship):
    image = build(ship())
    failure = refused(ship(f"FROM {image.id.removeprefix('sha256:')[:12]}\nRUN true\n"))
    assert "is not among the images that this course builds from" in failure.reason


@pytest.mark.parametrize("source", ["../..", "../../etc/passwd", "/../../etc/passwd"])
def test_nothing_outside_the_context_is_copied(ship, source):
    failure = refused(ship(f"FROM {BASE}\nCOPY {source} /stolen\n"))
    assert failure.reason.startswith("line 2 (COPY")


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_links_and_pipes_in_the_context_are_refused(ship, tmp_path, kind):
    context = ship()
    place = tmp_path / "shipped" / "image" / "odd"
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/etc/passwd" if kind == "link" else "/etc")
    failure = refused(context)
    assert failure.reason == f"image/odd is {'a pipe' if kind == 'pipe' else 'a link'}"


def test_an_endless_build_is_stopped(ship, api):
    failure = refused(ship(f"FROM {BASE}\nRUN sleep 1000\n"), BuildLimits(seconds=3))
    assert failure.reason == "line 2 (RUN sleep 1000): it was not done after 3 seconds"
    assert left(api) == []


def test_a_build_that_prints_without_end_is_stopped(ship, api):
    failure = refused(ship(f"FROM {BASE}\nRUN yes\n"), BuildLimits(seconds=60, output_kb=64))
    assert "it printed more than 64 KiB" in failure.reason
    assert left(api) == []


@pytest.mark.parametrize("how", ["one file", "many files"])
def test_a_layer_is_stopped_while_it_grows(ship, api, how):
    script = (
        "f = open('/big', 'wb')\nwhile True: f.write(bytes(1 << 20))"
        if how == "one file"
        else "import itertools\nfor n in itertools.count(): open(f'/big{n}', 'wb').write(bytes(1 << 20))"
    )
    context = ship(f"FROM {BASE}\nCOPY grow.py /\nRUN python /grow.py\n", grow_dot_py=script)
    failure = refused(context, BuildLimits(seconds=60, layer_mb=60))
    assert failure.reason.startswith("line 3 (RUN python /grow.py): ")
    assert "60 MB" in failure.reason or "File too large" in failure.actual
    assert left(api) == []


def test_an_image_larger_than_it_may_be_is_refused(ship):
    steps = "".join(f"RUN head -c 20000000 /dev/urandom > /part{n}\n" for n in range(4))
    failure = refused(ship(f"FROM {BASE}\n{steps}"), BuildLimits(seconds=60, layer_mb=50, image_mb=30))
    assert "larger than 30 MB above its base" in failure.reason


def test_a_step_gets_no_more_memory_than_it_may(ship):
    failure = refused(
        ship(f"FROM {BASE}\nRUN python -c 'x = bytearray(400 << 20)'\n"), BuildLimits(seconds=60, memory_mb=100)
    )
    assert "more than 100 MB of memory" in failure.reason


def test_a_fork_bomb_in_a_build_ends_with_it(ship, api):
    bomb = "import os, time\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.1)\n"
    context = ship(f"FROM {BASE}\nCOPY bomb.py /\nRUN python /bomb.py\n", bomb_dot_py=bomb)
    failure = refused(context, BuildLimits(seconds=8, memory_mb=512, processes=64, processors=0.5))
    assert "was not done after 8 seconds" in failure.reason or "was ended" in failure.reason
    assert left(api) == []


REACH = """
    import os, socket, sys, urllib.request
    found = []
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd"):
        if os.path.exists(path):
            found.append(path)
    from concurrent.futures import ThreadPoolExecutor
    def answers_at(where):
        reader = socket.socket()
        reader.settimeout(1)
        return reader.connect_ex(where) == 0
    places = [(place, port) for place in ("169.254.169.254", "1.1.1.1", "HOSTS") for port in (80, 443, 2375, PORT)]
    with ThreadPoolExecutor(40) as pool:
        found += [where for where, open in zip(places, pool.map(answers_at, places)) if open]
    for address in ("http://example.com/", "https://example.com/", "https://169.254.169.254/", "https://127.0.0.1/"):
        try:
            urllib.request.urlopen(address, timeout=3)
            found.append(address)
        except OSError:
            pass
    print("FOUND", found)
    sys.exit(bool(found))
"""


def test_a_build_reaches_neither_engine_nor_host_nor_network(ship, listener):
    place, port = listener
    script = REACH.replace("PORT", str(port)).replace('"HOSTS"', place)
    image = build(ship(f"FROM {BASE}\nCOPY reach.py /\nRUN python /reach.py\n", reach_dot_py=script), limits=SHORT)
    assert "FOUND []" in image.output


def test_what_a_build_may_not_reach_is_said(ship):
    get = "import urllib.request as u; u.urlopen('https://example.com/')"
    failure = refused(ship(f'FROM {BASE}\nRUN python -c "{get}"\n'))
    assert "example.com:443 may not be reached while grading" in failure.reason
    assert "package indexes" in failure.hint


@pytest.mark.network
def test_pip_installs_from_an_index_without_being_told_how(ship):
    dockerfile = f"FROM {BASE}\nCOPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt\n"
    image = build(ship(dockerfile, requirements_dot_txt="itsdangerous==2.2.0\n"), limits=SHORT)
    assert any(path.endswith("itsdangerous/signer.py") for path in image.files())
    assert "PROXY" not in str(image.history).upper()
    assert "PROXY" not in str(image.config).upper()


def test_pip_installs_from_the_wheels_that_the_grader_brings(ship):
    import io
    import zipfile

    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "x = 1\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    dockerfile = f"FROM {BASE}\nCOPY wheels/ /wheels/\nRUN pip install --no-index --find-links /wheels tiny==1.0\n"
    wheels = {"tiny-1.0-py3-none-any.whl": wheel.getvalue()}
    image = build(ship(dockerfile), network=False, wheels=wheels, limits=SHORT)
    assert any(path.endswith("/tiny.py") for path in image.files())


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("ENV API_TOKEN=abc123", "sets API_TOKEN"),
        ("ARG DB_PASSWORD=hunter2\nRUN true", "history holds a value of DB_PASSWORD"),
        ("RUN echo ghp_" + "a1" * 18 + " > /dev/null", "history holds a token of GitHub"),
        ("COPY .env /srv/.env\nRUN rm /srv/.env", "a layer of the image holds srv/.env"),
        (
            "RUN printf -- '-----BEGIN RSA %s KEY-----' PRIVATE > /srv/key\nRUN rm /srv/key",
            "a layer of the image holds srv/key: a private key",
        ),
    ],
)
def test_secrets_are_found_in_history_and_layers(ship, lines, words):
    image = build(ship(f"FROM {BASE}\n{lines}\n", _dot_env="A=1\n"), limits=SHORT)
    with pytest.raises(CheckFailed, match=words):
        image.expect_no_secrets()


def test_the_base_image_stays_as_it_was(ship, api):
    before = api.inspect_image(BASE)
    build(ship(f"FROM {BASE}\nLABEL org.opencontainers.image.revision=1\n"))
    after = api.inspect_image(BASE)
    assert (after["Id"], after["RepoTags"]) == (before["Id"], before["RepoTags"])


def test_the_arguments_of_a_build_are_those_of_the_check(ship):
    context = ship(f"FROM {BASE}\nARG REVISION=unknown\nLABEL revision=$REVISION\nCOPY *.py /\n")
    assert build(context).labels["revision"] == "unknown"
    assert build(context, arguments={"REVISION": "4f2a9c1"}).labels["revision"] == "4f2a9c1"


@pytest.mark.parametrize("place", ["/venv/lib/python3.11/site-packages", "/libraries"])
def test_the_packages_in_an_image_are_told_with_their_versions(ship, place):
    files = {"Late_Flights-1.2.dist-info/METADATA": "Name: Late_Flights\n", "wheel.py": ""}
    image = build(ship(f"FROM {BASE}\nCOPY packages {place}\n", **{f"packages__{k}": v for k, v in files.items()}))
    assert image.packages() == {"late-flights": "1.2"}
    assert image.python() == "3.11"
