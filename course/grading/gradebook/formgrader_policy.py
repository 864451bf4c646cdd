"""Keeps the formgrader's pages safe from what they show: no script runs there but nbgrader's own.

An extension of Jupyter Server that `make lab` loads where solutions/ is. It gives nbgrader's pages a content security
policy (scripts by a number that is new for each page, nothing from elsewhere), answers a student's files without any
rights, and computes what lateness costs before a page shows points.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from jupyter_server.serverapp import ServerApp
from nbgrader.server_extensions.formgrader import base, handlers

from course.base.errors import UserError
from course.grading.gradebook import database

NONCE = secrets.token_hex(20)  # stands in templates for the number of the page that is made of them; nobody sees it
# the only handlers in nbgrader's pages that stand in an attribute
ATTRIBUTES = ("toggle_name(true);", "toggle_name(false);", "toggleAllNames()")
# formulas are shown as they were typed, for nothing is loaded from elsewhere; nbgrader's keys wait for this signal
NO_MATHJAX = (
    "<script>window.MathJax = {Hub: {Startup: {signal: {"
    "Interest: (listener) => { setTimeout(() => { listener('End'); }, 0); }}}}};</script>"
)
FILES = "sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; frame-ancestors 'self'"


def policy(nonce: str) -> str:
    """The policy of a page of the formgrader whose own scripts carry a number."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in ATTRIBUTES)
    known = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'nonce-{nonce}' 'unsafe-hashes' {known}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'self'",
        )
    )


class NumberedScripts(jinja2.BaseLoader):
    """Loads templates, with a number in each script of nbgrader's own, in which values are JSON.

    A script of nbconvert's templates has no number, so no browser runs it.

    Args:
        loader: finds them.
    """

    def __init__(self, loader: jinja2.BaseLoader) -> None:
        self.loader = loader

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """A template's text; see Jinja2."""
        source, name, fresh = self.loader.get_source(environment, template)
        if name and Path(handlers.template_path).resolve() in Path(name).resolve().parents:
            source = source.replace("<title>", f"{NO_MATHJAX}\n<title>", 1)
            source = re.sub(r"<script\b", f'<script nonce="{NONCE}"', source)
            source = re.sub(r'= "\{\{ ([\w.]+) \}\}";', r"= {{ \1 | tojson }};", source)
        return source, name, fresh

    def list_templates(self) -> list[str]:
        """Their names; see Jinja2."""
        return self.loader.list_templates()


class SafeExporter:
    """Makes the page of a submission; what the gradebook says of a student is text in it.

    Args:
        exporter: nbgrader's.
        nonce: the number of the page.
    """

    def __init__(self, exporter: Any, nonce: str) -> None:
        self.exporter, self.nonce = exporter, nonce

    def from_filename(self, filename: str, resources: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """A page from a notebook; see nbconvert."""
        shown = {name: escape(value) if isinstance(value, str) else value for name, value in resources.items()}
        _number(self.exporter.environment)
        page, more = self.exporter.from_filename(filename, resources=shown)
        return page.replace(NONCE, self.nonce), more


def _number(environment: jinja2.Environment) -> None:
    if not isinstance(environment.loader, NumberedScripts):
        assert environment.loader is not None
        environment.loader = NumberedScripts(environment.loader)
        if environment.cache is not None:
            environment.cache.clear()


def _nonce(handler: Any) -> str:
    if not hasattr(handler, "course_nonce"):
        handler.course_nonce = secrets.token_urlsafe(18)
    number: str = handler.course_nonce
    return number


def protect() -> None:
    """Have the classes of nbgrader's handlers do so. May be called again."""
    handler: Any = base.BaseHandler
    if hasattr(handler, "course_is_protected"):
        return
    plain_exporter, plain_gradebook = handler.exporter.fget, handler.gradebook.fget

    def render(self: Any, name: str, **values: Any) -> str:
        environment = self.settings["nbgrader_jinja2_env"]
        environment.autoescape = True
        _number(environment)
        text: str = environment.get_template(name).render(**values)
        return text.replace(NONCE, _nonce(self))

    def gradebook(self: Any) -> Any:
        book = plain_gradebook(self)
        if not hasattr(self, "course_has_taken_off"):
            self.course_has_taken_off = True
            with contextlib.suppress(UserError, KeyError):
                with database.Gradebook(self.db_url, self.coursedir.course_id) as own:
                    own.take_off(self.settings["initial_config"])
                book.db.expire_all()
        return book

    handler.course_is_protected = True
    handler.content_security_policy = property(lambda self: policy(_nonce(self)))
    handler.render = render
    handler.exporter = property(lambda self: SafeExporter(plain_exporter(self), _nonce(self)))
    handler.gradebook = property(gradebook)
    files: Any = handlers.SubmissionFilesHandler
    files.content_security_policy = property(lambda self: FILES)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "course.grading.gradebook.formgrader_policy"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Jupyter Server calls it."""
    protect()
    app.log.info("the formgrader runs no scripts but its own")
