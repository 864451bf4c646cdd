"""Does a file of tests repeat the code that it is to test? Compares Python, whatever names and layout it has.

It runs in a worker, because the tests are a student's. May import nothing of the course.
"""

from __future__ import annotations

import ast
import re

LENGTH = 8  # words in a row that are compared
SHARE = 0.8  # of a function's words in a row: two people who write on their own share far fewer


def copied(tests: str, originals: dict[str, str]) -> list[str]:
    """Which functions of the originals stand in the tests, too.

    Args:
        tests: the text of the tests.
        originals: name → text of the code under test.

    Returns:
        "name: function" of each.
    """
    try:
        here = _grams(_words(ast.parse(tests)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []  # pytest reports that
    found = []
    for name, text in originals.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                wanted = _grams(_words(ast.Module(_without_docstring(node.body), [])))
                if wanted and len(wanted & here) >= SHARE * len(wanted):
                    found.append(f"{name}: {node.name}")
    return found


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_docstring and isinstance(first.value.value, str) else body  # type: ignore[attr-defined]


class _Anonymous(ast.NodeTransformer):
    """Takes away what an author may choose: names, annotations and docstrings."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Name("v", node.ctx), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.copy_location(ast.arg("v", None), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name, node.returns, node.body = "v", None, _without_docstring(node.body) or [ast.Pass()]
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        self.generic_visit(node)
        return node if node.value is None else ast.copy_location(ast.Assign([node.target], node.value), node)


def _words(tree: ast.AST) -> list[str]:
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    parts = [ast.unparse(ast.fix_missing_locations(_Anonymous().visit(tree)))]
    for text in texts:
        if len(text) > 60:  # code that is handed to exec()
            try:
                parts.append(ast.unparse(ast.fix_missing_locations(_Anonymous().visit(ast.parse(text)))))
            except (SyntaxError, ValueError):
                continue
    return re.findall(r"\w+|[^\w\s]", "\n".join(parts))


def _grams(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[place : place + LENGTH]) for place in range(max(1, len(words) - LENGTH + 1))}
