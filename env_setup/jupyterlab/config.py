"""JupyterLab for this course; `make lab` starts it with this file.

Everything that JupyterLab remembers stays in this clone, under .jupyter/, beside the settings that the course brings
in overrides.json and overrides.d. What you configured for your own Jupyter is read first and still holds where this
file is silent.
"""

import os
import sys
import sysconfig
import webbrowser
from pathlib import Path

import zmq

here = Path(__file__).resolve().parent
clone = here.parent.parent
c = get_config()  # noqa: F821 (traitlets gives it to its configuration files)

# `course` and `make` work in JupyterLab's terminals, and `!course` in a cell, without an activated environment.
os.environ["PATH"] = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ.get('PATH', '')}"


def a_browser_can_open() -> bool:
    """Whether there is a browser with a window: text browsers would take the terminal."""
    if not (
        sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    ):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


# The clone is the root, so that links to the set-up page and nbgrader's buttons work; JupyterLab starts in the labs.
c.ServerApp.root_dir = str(clone)
c.FileContentsManager.preferred_dir = str(clone / "labs")
c.LabApp.default_url = "/lab/tree/labs/index.md"

c.LabApp.app_settings_dir = str(here)  # Markdown opens rendered, no news; the button Hand in
c.ServerApp.jpserver_extensions = {"course.student.jupyter_page": True}  # what that button opens
if (clone / "solutions").is_dir():  # an instructor's clone: the formgrader shows what students wrote
    c.ServerApp.jpserver_extensions["course.grading.gradebook.formgrader_policy"] = True
c.LabApp.user_settings_dir = str(clone / ".jupyter" / "settings")
c.LabApp.workspaces_dir = str(clone / ".jupyter" / "workspaces")
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"

# What notebook and kernel say to each other stays between them, also on a machine with other users.
if zmq.has("curve"):
    c.KernelManager.transport_encryption = "auto"

c.ServerApp.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0  # a container; elsewhere nobody should be root
c.ServerApp.open_browser = a_browser_can_open()
c.ServerApp.port_retries = 100  # when 8888 is taken; the URL that is printed names the port that was free
c.Application.log_level = "WARN"  # leaves the URLs, and what goes wrong
