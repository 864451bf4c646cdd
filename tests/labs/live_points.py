"""How many points of a question's checks an engine or a cluster decides, where there is one: read from its module.

A check counts when it, or a fixture or a function of its module that it uses, calls what asks an engine or a cluster.
"""

from __future__ import annotations

import ast
from pathlib import Path

ENGINE = {"build", "built", "expect_cached", "run", "engines"}
CLUSTER = {"accepted", "cluster", "deploy", "observed", "pods_accepted", "scaled", "side_by_side"}


def live_points(path: Path, calls: set[str]) -> float:
    """The points of the checks of one question that use one of these names."""
    functions = {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
    return sum(_points(node) for name, node in functions.items() if _uses(name, functions, calls, set()))


def _points(function: ast.FunctionDef) -> float:
    """What `@question.check(points=…)` gives; 0 for what is no check."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "question.check":
            given = [word.value for word in decorator.keywords if word.arg == "points"]
            return float(ast.literal_eval(given[0])) if given else 0.0
    return 0.0


def _uses(name: str, functions: dict[str, ast.FunctionDef], calls: set[str], seen: set[str]) -> bool:
    seen.add(name)
    parts = [functions[name].args, *functions[name].body]  # without `needs`, which names other checks
    nodes = [node for part in parts for node in ast.walk(part)]
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    if names & calls:
        return True
    return any(other in functions and _uses(other, functions, calls, seen) for other in names - seen)
