"""Kernels forked from a zygote, for everything that starts kernels through jupyter_client.

Registered as the kernel provisioner `course-warm`: nbclient, papermill, nbval, nbgrader and JupyterLab use it when
JUPYTER_DEFAULT_PROVISIONER_NAME names it, or a kernel specification does. COURSE_ZYGOTE must name a zygote's socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import Bool, Dict, Instance, Type, default

from course.base.removal import remove
from course.checks.core import processes
from course.grading.sandbox import policy, zygote
from course.grading.sandbox.resource_monitor import Limits

MAX_MESSAGE_BYTES = 16 * 2**20
MAX_QUEUE = 32
LISTENS_S = 60.0  # the longest that a kernel may take until it listens


class WarmProvisioner(LocalProvisioner):
    """Forks an ipykernel from the zygote, in a sandbox or, for trusted code, without one."""

    sandboxed = Bool(False, help="Run the kernel in a sandbox that may write its working folder and nothing else.").tag(
        config=True
    )
    environment = Dict(help="The whole environment of a sandboxed kernel; a clean one by default.").tag(config=True)
    limits = Instance(Limits, (), help="What a sandboxed kernel may use.")

    _sockets: Path | None = None

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Let the kernel talk over sockets in a folder of its own; a sandbox has no network."""
        self._sockets = Path(tempfile.mkdtemp(prefix="course-kernel-"))
        if self.parent is not None:
            self.parent.transport = "ipc"
            self.parent.ip = str(self._sockets / "socket")
            self.parent.connection_file = str(self._sockets / "connection.json")
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict[str, Any]:
        """Fork the kernel; the command of the kernel specification is not used."""
        path = os.environ.get(zygote.ENVIRONMENT)
        if not path:
            raise zygote.ZygoteError("the provisioner course-warm needs a zygote; set COURSE_ZYGOTE to its socket")
        cwd = Path(kwargs.get("cwd") or os.getcwd()).resolve()
        env = dict(kwargs.get("env") or os.environ)
        view = None
        if self.sandboxed:
            env = dict(self.environment) or policy.environment(processes.environment(Path("/tmp")))
            shipped = cwd / "shipped"  # a mount of its own, so that no link can take its place
            view = policy.view([cwd, *([shipped] if shipped.is_dir() else []), self._sockets], limits=self.limits)
            policy.give(self._sockets, view.uid)
        self.process = zygote.spawn(
            path, "kernel", [self.parent.connection_file], cwd=cwd, env=env, view=view, descriptors={}
        )
        self.pid = self.process.pid
        return self.connection_info

    async def post_launch(self, **kwargs: Any) -> None:
        """Wait until the kernel listens or has ended, so that who connects need not try again."""
        await super().post_launch(**kwargs)
        deadline = time.monotonic() + LISTENS_S
        for port in self.parent.ports if self.parent is not None else ():
            while not _listens(f"{self.parent.ip}-{port}"):
                if self.process is None or self.process.poll() is not None or time.monotonic() > deadline:
                    return
                await asyncio.sleep(0.005)

    async def wait(self) -> int | None:
        """Wait for the end without polling: a killed fork ends at once."""
        if self.process is None:
            return 0
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = None
        return code

    def how_it_ended(self) -> str:
        """How the kernel ended by itself, as a sentence; empty while it runs or when it was told to end."""
        if self.process is None or self.process.poll() is None:
            return ""
        if self.process.reason:
            return f"the kernel was stopped: it {self.process.reason}"
        code = self.process.returncode
        return f"the kernel was ended by {signal.Signals(-code).name if code < 0 else f'its own code (status {code})'}"

    def processor_s(self) -> float | None:
        """The seconds of processor time that the kernel and what it started have used; None when it has ended."""
        return None if self.process is None else self.process.processor_s()

    def freeze(self) -> bool:
        """Stop the kernel and all that it started, until :meth:`thaw`; whether they are stopped now."""
        return self.sandboxed and self.process is not None and self.process.freeze()

    def thaw(self) -> None:
        """Let it go on."""
        if self.sandboxed and self.process is not None:
            self.process.thaw()

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the folder of sockets."""
        if self._sockets is not None:
            remove(self._sockets)
            self._sockets = None


def _listens(path: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        return True
    return False


class WarmKernelClient(AsyncKernelClient):
    """A client that goes on as soon as the kernel answers; the stock one waits for 0.2 s of silence first."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers and its output channel is connected.

        Raises:
            RuntimeError: it died, or did not answer within `timeout` seconds.
        """
        deadline = time.monotonic() + (timeout or 60)
        answered = heard = False
        self.kernel_info()
        while not (answered and heard):
            with contextlib.suppress(queue.Empty):
                if not answered:
                    message = await self.get_shell_msg(timeout=0.2)
                    answered = message["msg_type"] == "kernel_info_reply"
                    if answered:
                        self._handle_kernel_info_reply(message)
                await self.get_iopub_msg(timeout=0.05)
                heard = True
            if answered and not heard:
                answered = False
                self.kernel_info()
            if not await self.is_alive():
                raise RuntimeError("the kernel ended before it answered")
            if time.monotonic() > deadline:
                raise RuntimeError("the kernel did not answer in time")


class WarmKernelManager(AsyncKernelManager):
    """A kernel manager for forked kernels.

    Traits:
        sandboxed: as for WarmProvisioner.
        environment: as for WarmProvisioner.
        limits: as for WarmProvisioner.
    """

    sandboxed = Bool(False).tag(config=True)
    environment = Dict().tag(config=True)
    limits = Instance(Limits, ())
    client_factory = Type(WarmKernelClient).tag(config=True)

    @default("context")
    def _sockets_that_no_kernel_can_harm(self) -> zmq.Context:
        """What all sockets to the kernel are made of, the manager's own for control, too.

        They take no message, and no queue of messages, so large that they fill our memory. They connect once, before
        any cell has run, and never again: by then a student's cell may have put links to other sockets in their place.
        """
        context = super()._context_default()
        context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        context.setsockopt(zmq.RCVHWM, MAX_QUEUE)
        context.setsockopt(zmq.RECONNECT_IVL, -1)
        return context

    @property
    def kernel_spec(self) -> KernelSpec:
        """A specification that names the provisioner; no kernel.json is needed."""
        config = {"sandboxed": self.sandboxed, "environment": self.environment, "limits": self.limits}
        return KernelSpec(
            argv=["python", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3",
            language="python",
            metadata={"kernel_provisioner": {"provisioner_name": "course-warm", "config": config}},
        )
