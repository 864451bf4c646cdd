"""Measures the course's service against the naive design and against a public model server: same model, same machine.

    python benchmarks/serving.py --rounds 3

Each round starts each of them in turn, with one worker on one core, asks for one flight at a time from a core of its
own, first as one client and then as eight, and stops it. The reference service is what the solutions of lab 03 ship.
BentoML is installed into a scratch environment, never into the course's own.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from course import flights
from course.labs import notebooks, source

REPOSITORY = Path(__file__).resolve().parents[1]
LAB = REPOSITORY / "solutions" / "03_flask_api"
CONTENDERS = Path(__file__).with_name("contenders")
PEER = ("bentoml", "onnxruntime", "pandas", "tzdata")
CLIENTS = (1, 8)
WARM_UP = 100
COLUMNS = ["carrier", "origin", "dest", "distance"]
BEST_READY_S, BEST_MEMORY_MB, BEST_RATIO = 3, 250, 10


def given(name: str) -> ModuleType:
    """A module that lab 03 gives to its students."""
    spec = importlib.util.spec_from_file_location(name, LAB / "given" / f"{name}.py")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load = given("load")


@dataclass
class Contender:
    """One service: how it is started, and what was measured.

    Attributes:
        name: what it is called in the table.
        command: the program and its arguments; PORT in it stands for the port.
        folder: where it runs.
        health: the path that answers 200 when it is ready.
        env: its further environment.
        runs: what each round measured.
    """

    name: str
    command: list[str]
    folder: Path
    health: str = "/health"
    env: dict[str, str] = field(default_factory=dict)
    runs: list[dict] = field(default_factory=list)

    def median(self, key: str) -> float:
        return statistics.median(run[key] for run in self.runs)


def shipped_by_solutions(target: Path) -> None:
    """Write what the solutions of lab 03 ship to a folder, without running a notebook."""
    for path in source.sources(LAB):
        for cell in notebooks.read(path).cells:
            first, _, rest = cell.source.partition("\n")
            if cell.cell_type == "code" and first.startswith("%%ship"):
                place = target / first.split()[-1]
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(rest, encoding="utf-8")
    choices = given("choices").make_choices(flights.planned("2013-01-01", flights.TODAY))
    (target / "choices.json").write_text(json.dumps(choices), encoding="utf-8")


def questions(count: int = 200) -> list[dict]:
    """Planned flights of November, as the service is asked for them."""
    plan = flights.planned("2013-11-01", flights.TODAY).sample(count, random_state=3)
    table = plan[COLUMNS].assign(
        planned_departure=plan["planned_departure"].map(lambda time: time.isoformat()),
        planned_arrival=plan["planned_arrival"].map(lambda time: time.isoformat()),
    )
    return json.loads(table.to_json(orient="records"))


def make_peer(folder: Path) -> Path:
    """An environment with the public model server; return its folder of programs."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    programs = folder / "bin"
    if not (programs / "bentoml").exists():
        subprocess.run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, folder], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", programs / "python", *PEER], check=True)
    return programs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def started(contender: Contender, core: int | None, log: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """The service, running on one core; it is ended with all that it started."""
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in contender.command]
    if core is not None:
        command = ["taskset", "-c", str(core), *command]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PORT": str(port), **contender.env}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=contender.folder, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def family(pid: int) -> list[int]:
    """A process and all below it; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid] if Path("/proc", str(pid)).exists() else []
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pids: list[int]) -> float:
    """The processor time that these processes have used."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


def memory_mb(pids: list[int]) -> float:
    """The resident memory of the largest of these processes, in MiB: the worker's, shared pages included."""
    sizes = [0.0]
    for pid in pids:
        with contextlib.suppress(OSError):
            sizes.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20)
    return max(sizes)


def run(contender: Contender, asked: list[dict], requests: int, core: int | None, log: Path) -> dict:
    """Start it, measure, stop it.

    Raises:
        SystemExit: it did not start, or a request failed.
    """
    with started(contender, core, log) as (process, port):
        try:
            ready = load.wait_until_ready(port, contender.health, alive=lambda: process.poll() is None)
        except TimeoutError:
            sys.exit(f"{contender.name} did not start:\n{log.read_text(errors='replace')[-3000:]}")
        load.measure(port, asked, requests=WARM_UP, clients=2)
        found = {"ready": ready}
        used, begun = cpu_seconds(family(process.pid)), 0
        for clients in CLIENTS:
            result = load.measure(port, asked, requests=requests, clients=clients)
            if result.failed:
                sys.exit(f"{contender.name}: {result.failed} of {requests} requests failed; see {log}")
            begun += requests
            found[f"rate {clients}"] = result.rate
            found |= {f"p{share} {clients}": result.percentile(share) for share in (50, 95, 99)}
        found["cpu"] = 1000 * (cpu_seconds(family(process.pid)) - used) / begun
        found["memory"] = memory_mb(family(process.pid))
        return found


def table(contenders: list[Contender]) -> str:
    """What was measured, as a table in Markdown: the median over the rounds."""
    head = ["", "clients", "p50, ms", "p95, ms", "p99, ms", "requests/s", "CPU ms/request", "start, s", "memory, MiB"]
    rows = [head, ["---"] * len(head)]
    for contender in contenders:
        for clients in CLIENTS:
            first = clients == CLIENTS[0]
            row = [contender.name if first else "", str(clients)]
            row += [f"{contender.median(f'p{share} {clients}'):.1f}" for share in (50, 95, 99)]
            row += [f"{contender.median(f'rate {clients}'):.0f}"]
            row += [f"{contender.median('cpu'):.2f}", f"{contender.median('ready'):.1f}"] if first else ["", ""]
            row += [f"{contender.median('memory'):.0f}"] if first else [""]
            rows.append(row)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def describe(contenders: list[Contender]) -> str:
    """The alternative text of the plot."""
    said = [f"{one.name} {one.median(f'rate {CLIENTS[-1]}'):.0f}" for one in contenders]
    return f"Bars of requests answered in a second on one core by {CLIENTS[-1]} clients: {', '.join(said)}."


def plot(contenders: list[Contender], path: Path) -> None:
    """Draw rates, and the latencies of each, into a file."""
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "serving"
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6))
    names = [one.name for one in contenders]
    bars = left.barh(names, [one.median(f"rate {CLIENTS[-1]}") for one in contenders], color="#35618f")
    left.bar_label(bars, fmt="%.0f", padding=3)
    left.set_xlabel(f"requests a second, {CLIENTS[-1]} clients")
    left.invert_yaxis()
    left.margins(x=0.15)
    for place, one in enumerate(contenders):
        times = [one.median(f"p{share} 1") for share in (50, 95, 99)]
        right.plot(times, [place] * 3, color="#999999", zorder=1)
        for time_ms, mark in zip(times, "osD", strict=True):
            right.scatter(time_ms, place, marker=mark, color="#35618f", zorder=2)
    for mark, share in zip("osD", (50, 95, 99), strict=True):
        right.scatter([], [], marker=mark, color="#35618f", label=f"p{share}")
    right.set_yticks(range(len(names)), [""] * len(names))
    right.set_ylim(len(names) - 0.5, -0.5)
    right.set_xlim(0, None)
    right.set_xlabel("milliseconds, one client")
    right.legend(fontsize="small")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def verdicts(ours: Contender, naive: Contender, peer: Contender | None) -> list[str]:
    """Each target, what was measured, and whether it is met."""
    rate = f"rate {CLIENTS[-1]}"

    def say(what: str, value: float, target: float, met: bool, unit: str = "") -> str:
        return f"{what}: {value:.1f}{unit} (target {target:g}{unit}): {'met' if met else 'MISSED'}"

    by = [mine[rate] / other[rate] for mine, other in zip(ours.runs, naive.runs, strict=True)]
    lines = [say("times the naive design", statistics.median(by), BEST_RATIO, statistics.median(by) >= BEST_RATIO)]
    if peer:
        by = [mine[rate] / other[rate] for mine, other in zip(ours.runs, peer.runs, strict=True)]
        lines.append(say("times the public model server", statistics.median(by), 1, statistics.median(by) >= 1))
    for other in filter(None, (naive, peer)):  # which other programs on the machine disturb least
        lines.append(
            f"processor time of a request, times less than {other.name}: {other.median('cpu') / ours.median('cpu'):.1f}"
        )
    lines.append(say("start to ready", ours.median("ready"), BEST_READY_S, ours.median("ready") < BEST_READY_S, " s"))
    memory = ours.median("memory")
    lines.append(say("memory of a worker", memory, BEST_MEMORY_MB, memory < BEST_MEMORY_MB, " MiB"))
    return lines


def cores() -> tuple[int | None, int | None]:
    """A core for the services and one for the clients, where a process can be held on one."""
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        return None, None
    free = sorted(os.sched_getaffinity(0))
    return free[-1], free[0]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=600, help="of each number of clients, in each round")
    parser.add_argument("--artifact", type=Path, default=LAB / "given" / "reference" / "artifact")
    parser.add_argument("--service", type=Path, help="a folder with another service, and its gunicorn.conf.py")
    parser.add_argument("--app", default="production:app", help="module and name of the application")
    parser.add_argument("--no-peer", action="store_true", help="without BentoML, which needs a package index")
    parser.add_argument(
        "--peer", type=Path, help="where BentoML is, or shall be, installed; a scratch folder by default"
    )
    parser.add_argument("--plot", type=Path, default=REPOSITORY / "build" / "serving.svg")
    chosen = parser.parse_args()
    server, client = cores()
    if client is not None:
        os.sched_setaffinity(0, {client})
    with tempfile.TemporaryDirectory(prefix="course-bench-") as scratch:
        top = Path(scratch)
        if chosen.service is None:
            shipped_by_solutions(top / "service")
        scripts, env = sysconfig.get_path("scripts"), {"LATE_FLIGHTS_ARTIFACT": str(chosen.artifact.resolve())}
        ours = Contender(
            "reference service",
            [f"{scripts}/gunicorn", "--config", "gunicorn.conf.py", "--bind", "127.0.0.1:PORT", chosen.app],
            chosen.service or top / "service",
            "/ready",
            {**env, "WEB_CONCURRENCY": "1"},
        )
        naive = Contender("naive design", [sys.executable, "-W", "ignore", "naive.py"], CONTENDERS, env=env)
        contenders = [ours, naive]
        peer = None
        if not chosen.no_peer:
            bentoml = make_peer((chosen.peer or top / "peer").resolve()) / "bentoml"
            private = {"BENTOML_HOME": str(top / "bentoml"), "BENTOML_DO_NOT_TRACK": "True"}
            command = [str(bentoml), "serve", "bento:LateFlights", "--host", "127.0.0.1", "--port", "PORT"]
            peer = Contender("BentoML", command, CONTENDERS, "/readyz", {**env, **private})
            contenders.append(peer)
        asked = questions()
        where = "no core of their own" if server is None else f"services on core {server}, clients on core {client}"
        print(f"{chosen.requests} requests a measurement, {where}, load {os.getloadavg()[0]:.1f}", flush=True)
        for number in range(1, chosen.rounds + 1):
            for contender in contenders:
                contender.runs.append(run(contender, asked, chosen.requests, server, top / "log"))
                rate = contender.runs[-1][f"rate {CLIENTS[-1]}"]
                print(f"round {number}: {contender.name} {rate:.0f} requests/s", flush=True)
                time.sleep(0.5)
        print(f"\n{table(contenders)}\n")
        print("\n".join(verdicts(ours, naive, peer)))
        plot(contenders, chosen.plot)
        print(f"plot: {chosen.plot}\nalt text: {describe(contenders)}")


if __name__ == "__main__":
    main()
