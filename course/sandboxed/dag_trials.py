"""Runs a student's DAG of Airflow, day by day, in the worker's process, against a folder that stands for the store.

`course.checks.airflow.dags` asks it from the other side. It runs where a student's code runs, so nothing that it
returns is trusted, and it imports nothing of the course.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ZONE = "America/New_York"
MAX_FILES = 600
MAX_BYTES = 16 * 2**20
LONGEST = 60.0  # seconds that a run which is to be killed may take
_here = Path.cwd()
_store, _faults, _alerts = _here / "store", _here / "faults.json", _here / "alerts"
_state: dict[str, Any] = {}


def begin(dags: str, database: str, now: str) -> None:
    """Make Airflow's home here, with a copy of a database that is ready, and no way to anywhere.

    Args:
        dags: the folder of DAGs.
        database: the file to copy.
        now: the present, as the pipeline is to see it.
    """
    home = _here / "airflow"
    home.mkdir()
    shutil.copyfile(database, home / "airflow.db")
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": dags,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "SCARF_ANALYTICS": "false",
        "COURSE_STORE": str(_store),
        "COURSE_STORE_FAULTS": str(_faults),
        "COURSE_ALERTS": str(_alerts),
        "COURSE_NOW": now,
    }
    _store.mkdir()
    _state["dags"] = dags
    sys.path.append(dags)  # as Airflow does


def look(dag_id: str) -> dict[str, Any]:
    """Import the DAGs, with a store that is down, and describe one.

    Returns:
        "errors" (file name → text), "dags" (their names), "store_calls" and "seconds" at import; and "about" where the
        DAG is there: its settings, its tasks, and "due": when its first runs are due and what their interval is.
    """
    from airflow.dag_processing.dagbag import DagBag

    many = 100_000
    _faults.write_text(json.dumps({"unavailable": many}))
    began = time.process_time()
    bag = DagBag(dag_folder=_state["dags"], load_op_links=False)
    seconds = time.process_time() - began
    left = json.loads(_faults.read_text()).get("unavailable", 0)
    _faults.unlink()
    errors = {Path(name).name: str(text)[-1500:] for name, text in list(bag.import_errors.items())[:10]}
    found: dict[str, Any] = {"errors": errors, "dags": sorted(bag.dags), "store_calls": many - left, "seconds": seconds}
    dag = bag.dags.get(dag_id)
    if dag is not None:
        _state["dag"], _state["infos"] = dag, _infos(dag)
        found["about"] = _describe(dag)
    return found


def _infos(dag: Any) -> list[Any]:
    from airflow.serialization.encoders import coerce_to_core_timetable
    from airflow.timetables.base import TimeRestriction

    start = dag.start_date or min((task.start_date for task in dag.tasks if task.start_date), default=None)
    if start is None:
        return []
    timetable, infos, last = coerce_to_core_timetable(dag.timetable), [], None
    restriction = TimeRestriction(earliest=start, latest=None, catchup=True)
    for _ in range(45):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info is None:
            break
        infos.append(info)
        last = info.data_interval
    return infos


def _local(moment: Any) -> datetime.datetime:
    import zoneinfo

    return moment.astimezone(zoneinfo.ZoneInfo(ZONE))


def _describe(dag: Any) -> dict[str, Any]:
    def seconds(delay: Any) -> float | None:
        return delay.total_seconds() if isinstance(delay, datetime.timedelta) else None

    tasks = {
        str(task.task_id)[:100]: {
            "retries": int(task.retries or 0),
            "retry_delay": seconds(task.retry_delay),
            "timeout": seconds(task.execution_timeout),
            "outlets": len(task.outlets or []),
        }
        for task in dag.tasks[:100]
    }
    due = [_local(info.run_after).strftime("%Y-%m-%d %H:%M") for info in _state["infos"]]
    return {"catchup": bool(dag.catchup), "active": int(dag.max_active_runs), "tasks": tasks, "due": due}


def run(day: str, unavailable: int = 0) -> dict[str, Any]:
    """Run the DAG for a day: the run that is due in the morning after it.

    Args:
        day: the day.
        unavailable: so many calls of the store fail at first.

    Returns:
        {"state", "tasks": name → [state, tries]}; {"state": "none"} where no run is due on that morning.
    """
    from unittest.mock import patch

    import airflow.models.dagrun as dagrun

    dag = _state["dag"]
    after = (datetime.date.fromisoformat(day) + datetime.timedelta(days=1)).isoformat()
    info = next((info for info in _state["infos"] if _local(info.run_after).date().isoformat() == after), None)
    if info is None:
        return {"state": "none", "tasks": {}}
    for task in dag.tasks:
        task.retry_delay = datetime.timedelta(0)
    _faults.write_text(json.dumps({"unavailable": unavailable, **_state.get("die", {})}))
    make = dagrun.get_or_create_dagrun

    def with_its_interval(**details: Any) -> Any:
        return make(**{**details, "data_interval": info.data_interval})

    with patch.object(dagrun, "get_or_create_dagrun", with_its_interval):
        ended = dag.test(logical_date=info.logical_date, run_after=info.run_after)
    _faults.unlink(missing_ok=True)
    states = {str(ti.task_id)[:100]: [str(ti.state), int(ti.try_number)] for ti in ended.get_task_instances()}
    return {"state": str(getattr(ended.state, "value", ended.state)), "tasks": states}


def killed(day: str, write: int) -> bool:
    """Run the DAG for a day in a process that is killed just before its write-th write to the store.

    Returns:
        Whether it was killed: False where it has fewer writes.
    """
    from airflow import settings

    settings.engine.dispose()
    child = os.fork()
    if child == 0:
        try:
            _state["die"] = {"die_at_write": write}
            run(day)
        finally:
            os._exit(0)
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            _faults.unlink(missing_ok=True)
            return os.waitstatus_to_exitcode(status) == 137
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise TimeoutError(f"the run of {day} does not end")


def empty() -> None:
    """Remove all objects and alerts."""
    for folder in (_store, _alerts):
        shutil.rmtree(folder, ignore_errors=True)
    _store.mkdir()


def put(objects: dict[str, bytes]) -> None:
    """Write objects into the store's folder."""
    for key, content in objects.items():
        path = _store / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def contents() -> dict[str, bytes]:
    """Return the store's objects, without what was delivered, and the alerts, as alerts/NAME."""
    found: dict[str, bytes] = {}
    size = 0
    for folder, prefix in ((_store, ""), (_alerts, "alerts/")):
        for path in sorted(folder.rglob("*")):
            key = prefix + path.relative_to(folder).as_posix()
            if path.is_symlink() or not path.is_file() or path.name.startswith(".") or key.startswith("landing/"):
                continue
            size += path.stat().st_size
            if len(found) >= MAX_FILES or size > MAX_BYTES:
                raise ValueError(f"the store holds more than {MAX_FILES} objects, or {MAX_BYTES >> 20} MiB")
            with contextlib.suppress(OSError):
                found[key] = path.read_bytes()
    return found
