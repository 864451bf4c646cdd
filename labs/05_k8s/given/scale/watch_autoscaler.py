"""Watch an autoscaler at work, and write down what it saw and did: about nine minutes.

    cd given; python -m scale.watch_autoscaler IMAGE scale/autoscaler.json

made the recording. First nobody asks, then two callers, then eight, then nobody again.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from cluster import connect
from update.load import Callers
from update.take_away import named

BASE = Path(__file__).with_name("base")
PHASES = ((30, 0), (180, 2), (180, 8), (130, 0))  # seconds, callers
EVERY = 5.0
AUTOSCALER = """
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata: {name: late-flights}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: late-flights}
  minReplicas: 2
  maxReplicas: 6
  targetCPUUtilizationPercentage: 60
"""


def main(image: str, target: str) -> None:
    """Deploy, scale, and write the recording."""
    space = connect()
    seen: list[dict] = []
    try:
        space.kubectl("create configmap settings --from-literal WEB_CONCURRENCY=1", show=False)
        manifest = "\n---\n".join((BASE / f"{name}.yaml").read_text() for name in ("deployment", "service"))
        space.apply(named(manifest, "late-flights", image) + "---" + AUTOSCALER)
        space.client(image)
        space.wait(lambda: space.ready("late-flights") == 2, "two pods are ready", 120)
        space.wait(lambda: cpu(space) is not None, "the autoscaler sees how busy they are", 180)
        began = time.monotonic()
        for seconds, count in PHASES:
            ended = threading.Event()
            phase = threading.Thread(target=keep_asking, args=(space, count, ended))
            phase.start()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                seen.append({"at": round(time.monotonic() - began), "callers": count, **state(space)})
                print(seen[-1], flush=True)
                time.sleep(EVERY)
            ended.set()
            phase.join()
    finally:
        lines = ",\n".join(json.dumps(one) for one in seen)
        Path(target).write_text(f"[\n{lines}\n]\n")
        space.remove()


def keep_asking(space, count: int, ended: threading.Event) -> None:
    """Let some callers ask until the phase has ended."""
    if count == 0:
        return
    with Callers(space, "late-flights", count=count, pause=0.01):
        ended.wait()


def state(space) -> dict:
    """What the autoscaler sees and wants, and how many pods are ready."""
    status = space.autoscaling.read_namespaced_horizontal_pod_autoscaler("late-flights", space.name).status
    return {
        "cpu": status.current_cpu_utilization_percentage,
        "wanted": status.desired_replicas,
        "there": status.current_replicas,
        "ready": space.ready("late-flights"),
    }


def cpu(space) -> int | None:
    """How busy the pods are, in per cent of what they ask for."""
    return state(space)["cpu"]


if __name__ == "__main__":
    main(*sys.argv[1:])
