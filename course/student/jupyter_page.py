"""A page of JupyterLab's server on which students see where they stand and hand in. `make lab` loads it.

The button *Hand in* above a notebook saves the notebook and opens it. It is an extension of Jupyter Server, and needs
`handing_in` and `status` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from html import escape
from pathlib import Path

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web

from course.base.errors import UserError
from course.student import handing_in, status

LABS = "labs"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b;
       background: #fff }
section { border-top: 1px solid #999; padding: .5rem 0 1rem } h2 { margin: .5rem 0 } ul { margin: .3rem 0 }
section p, details { margin: .3rem 0 } code { overflow-wrap: anywhere }
button, .download { font: inherit; padding: .4rem 1rem; border: 2px solid #1d4f86; border-radius: .3rem;
       background: #1d4f86; color: #fff; cursor: pointer; text-decoration: none; display: inline-block }
button.other { background: #fff; color: #1d4f86 }
.done { border: 2px solid #1d4f86; border-radius: .3rem; padding: .5rem 1rem }
"""

SAID = "course_hand_in_said"  # what the page has yet to say of the last hand-in


class HandInHandler(JupyterHandler):
    """Shows all labs (GET), or hands one in (POST)."""

    @web.authenticated
    async def get(self) -> None:
        """The page; after a hand-in, once, with its receipt."""
        await self._show(self.settings.pop(SAID, ""))

    @web.authenticated
    async def post(self) -> None:
        """Hand in the lab that the form names, and lead back to the page: to load that again hands in nothing."""
        name = self.get_body_argument("lab")
        lab = next((lab for lab in _labs(self._root) if lab.name == name), None)
        if lab is None:
            raise web.HTTPError(404, "there is no such lab")
        try:
            done = await asyncio.to_thread(handing_in.hand_in, lab)
            said = _receipt(done, url_path_join(self.base_url, "files", self._place(done.zip)))
        except (UserError, OSError) as error:
            said = f'<div class="done" role="alert"><strong>Not handed in.</strong> {escape(str(error))}</div>'
        self.settings[SAID] = said
        self.redirect(self.request.path, status=303)

    @property
    def _root(self) -> Path:
        return Path(self.serverapp.root_dir)

    def _place(self, path: Path) -> str:
        return path.relative_to(self._root.resolve()).as_posix()

    async def _show(self, said: str) -> None:
        forms = {lab: self._form(lab) for lab in _labs(self._root)}
        sections = await asyncio.to_thread(lambda: [_section(lab, form) for lab, form in forms.items()])
        self.set_header("Cache-Control", "no-store")
        self.finish(
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Hand in</title><style>{STYLE}</style>'
            f"</head><body><main><h1>Hand in</h1>{said}"
            "<p>Points are those of the visible checks, as your saved notebooks show them. "
            "You may hand in as often as you like before the deadline: the latest counts.</p>"
            f"{''.join(sections) or '<p>There is no lab here.</p>'}</main></body></html>"
        )

    def _form(self, lab: Path) -> str:
        return (
            f'<form method="post">{self.xsrf_form_html()}'
            f'<input type="hidden" name="lab" value="{escape(lab.name)}">'
            f'<button aria-label="Hand in {escape(_called(lab.name))}">Hand in</button></form>'
        )


def _labs(root: Path) -> list[Path]:
    return sorted(path for path in (root / LABS).glob("[0-9][0-9]_*") if any(path.glob("*.ipynb")))


def _section(lab: Path, form: str) -> str:
    try:
        now = status.of(lab)
    except (UserError, OSError) as error:
        return f"<section><h2>{escape(_called(lab.name))}</h2><p>{escape(str(error))}</p></section>"
    title = escape(f"{_called(lab.name)}: {status.points(now)}")
    if not now.started:
        return f"<section><h2>{title}</h2><p>Not begun yet.</p></section>"
    notebooks = "".join(_notebook(now, name) for name in now.notebooks)
    remarks = f"<p>Look at this first:</p>{_list(now.remarks)}" if now.remarks else ""
    last = "".join(f"<p>{escape(line)}</p>" for line in status.handed_in(now))
    return f"<section><h2>{title}</h2>{notebooks}{remarks}{last}{form}</section>"


def _notebook(lab: status.LabStatus, name: str) -> str:
    """A notebook's line, which opens to what is not done yet."""
    questions = lab.notebooks[name]
    line = escape(f"{lab.titles[name]}: {status.short(questions).strip()}")
    todo = [f"{question.title}: {question.missing}" for question in questions if question.missing]
    if not todo:
        return f"<p>{line}</p>"
    return f"<details><summary>{line}, {len(todo)} still open</summary>{_list(todo)}</details>"


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _called(lab: str) -> str:
    """A lab's name as a person says it: "Lab 01 (python model)"."""
    number, _, words = lab.partition("_")
    return f"Lab {number} ({words.replace('_', ' ')})"


def _receipt(done: handing_in.HandedIn, address: str) -> str:
    return (
        f'<div class="done" role="status"><p><strong>{escape(done.receipt.lab)} is packed.</strong> '
        f"{len(done.receipt.files)} files, {len(done.shipped)} of them shipped.</p>"
        + (f"<p>Look at this first:</p>{_list(done.remarks)}" if done.remarks else "")
        + f'<p><a class="download" href="{escape(address)}?download=1" download>Download {done.zip.name}</a></p>'
        f"<p>Give that file to your instructor. Keep the code of your receipt: <code>{done.receipt.code}</code><br>"
        f"It is also written in <code>{escape(done.kept.parent.name)}/{escape(done.kept.name)}</code>.</p></div>"
    )


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """What Jupyter Server asks an extension for."""
    return [{"module": "course.student.jupyter_page"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Add the page to the server, at /course/hand-in."""
    place = url_path_join(app.web_app.settings["base_url"], "course", "hand-in")
    app.web_app.add_handlers(".*$", [(place, HandInHandler)])
