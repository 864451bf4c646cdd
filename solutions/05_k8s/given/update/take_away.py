"""Roll out with one safeguard taken away, under callers, and write down what they saw.

    cd given; python -m update.take_away MANIFEST OLDER-IMAGE NEWER-IMAGE update/recordings

makes the recordings: the manifest as it is, and without each of the safeguards.
"""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from update.load import Callers

SAFEGUARDS = ("readiness", "maxUnavailable", "preStop")


def named(manifest: str, name: str, image: str, *, without: str | None = None) -> str:
    """A Deployment and its Service under another name, with another image, and perhaps without a safeguard.

    Args:
        manifest: the YAML of both.
        name: the new name of both, and of the label by which they find the pods.
        image: what the pods run.
        without: one of SAFEGUARDS.

    Raises:
        ValueError: there is no such safeguard, or no Deployment.
    """
    if without is not None and without not in SAFEGUARDS:
        raise ValueError(f"a safeguard is one of {', '.join(SAFEGUARDS)}; got {without!r}")
    documents = [copy.deepcopy(one) for one in yaml.safe_load_all(manifest) if one]
    deployments = [one for one in documents if one.get("kind") == "Deployment"]
    if not deployments:
        raise ValueError("there is no Deployment in this manifest")
    for one in deployments:
        spec, label = one["spec"], {"app": name}
        spec["selector"], spec["template"]["metadata"] = {"matchLabels": label}, {"labels": label}
        container = spec["template"]["spec"]["containers"][0]
        container["image"] = image
        if without == "readiness":
            container.pop("readinessProbe", None)
        elif without == "maxUnavailable":
            spec["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}}
        elif without == "preStop":
            container.pop("lifecycle", None)
    for one in documents:
        one["metadata"]["name"] = name
        if one.get("kind") == "Service":
            one["spec"]["selector"] = {"app": name}
    return yaml.safe_dump_all(documents, sort_keys=False)


def roll(space, manifest: str, images: Sequence[str], versions: dict[str, str], without: str | None) -> list[dict]:
    """Run the older image, roll the newer one out under callers, and return what they saw.

    Args:
        space: your namespace; its pod "client" runs.
        manifest: the YAML of a Deployment and its Service.
        images: the older one and the newer one.
        versions: what to call a model, by its SHA-256.
        without: the safeguard that is taken away.
    """
    name = f"without-{without.lower()}" if without else "with-all"
    older, newer = (named(manifest, name, image, without=without) for image in images)
    space.apply(older, show=False)
    if not space.wait(lambda: space.rolled_out(name) and space.ask("/model", service=name).status == 200, name, 90):
        return []
    with Callers(space, name, versions) as callers:
        callers.watch(1)
        space.apply(newer, show=False)
        space.wait(lambda: space.rolled_out(name), f"{name} has rolled out", 90)
        # without readiness that says little: new pods may still be loading
        space.wait(lambda: space.ask("/model", service=name).status == 200, f"{name} answers", 90)
        callers.watch(4)  # the pods of the older version are still ending
    space.kubectl(f"delete deployment,service {name} --wait=false", show=False)
    return callers.records


def take_away(space, manifest: str, images: Sequence[str], versions: dict[str, str]) -> dict[str, list[dict]]:
    """:func:`roll` without each safeguard, all at the same time: safeguard → what the callers saw."""
    with ThreadPoolExecutor(len(SAFEGUARDS)) as pool:
        running = {one: pool.submit(roll, space, manifest, images, versions, one) for one in SAFEGUARDS}
        return {one: future.result() for one, future in running.items()}


def main(manifest: str, older: str, newer: str, target: str) -> None:
    """Make the recordings, one after the other, and shuffle their names."""
    from cluster import connect

    space = connect()
    try:
        if not space.client(older):
            sys.exit("the pod client does not run")
        text = Path(manifest).read_text(encoding="utf-8")
        letters = random.sample("abcd", 4)
        for letter, without in zip(letters, (None, *SAFEGUARDS), strict=True):
            records = roll(space, text, (older, newer), {}, without)
            seen = list(dict.fromkeys(one["version"] for one in records if one["version"]))
            for one in records:
                one["version"] = f"v{seen.index(one['version']) + 1}" if one["version"] else None
            lost = sum(one["status"] != 200 for one in records)
            print(f"{letter}: without {without}: {len(records)} asked, {lost} lost")
            lines = ",\n".join(json.dumps(one) for one in records)
            (Path(target) / f"{letter}.json").write_text(f"[\n{lines}\n]\n")
    finally:
        space.remove()


if __name__ == "__main__":
    main(*sys.argv[1:])
