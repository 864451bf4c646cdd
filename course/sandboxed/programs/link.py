"""What `bus.py` and `workers.py` share: messages of JSON over two pipes, each after its length in 8 bytes."""

import contextlib
import ctypes
import json
import os
import sys


def die_with(number):
    """Ask Linux for a signal when the process that started this one ends; elsewhere the closed pipe must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(number))  # PR_SET_PDEATHSIG


def read(descriptor, count):
    """So many bytes; None when the other side is gone."""
    data = bytearray()
    while len(data) < count:
        chunk = os.read(descriptor, min(count - len(data), 1 << 20))
        if not chunk:
            return None
        data += chunk
    return bytes(data)


def reply_to_messages(owner, requests, answers):
    """Call `do_…` of an object for each message, until the other side closes."""
    with contextlib.suppress(BrokenPipeError):
        while (head := read(requests, 8)) is not None and (body := read(requests, int.from_bytes(head, "little"))):
            message = json.loads(body)
            try:
                reply = getattr(owner, f"do_{message.pop('do')}")(**message)
            except Exception as error:
                reply = {"error": f"{type(error).__name__}: {error}"[:500]}
            data = json.dumps(reply).encode()
            view = memoryview(len(data).to_bytes(8, "little") + data)
            while view:
                view = view[os.write(answers, view) :]
