"""`evaluate.py REQUESTS ANSWERS`: run Python code that comes, and answer with what it assigned to `answer`."""

import json
import os
import sys
import traceback

MAX_DEPTH = 20
MAX_TEXT = 2000
LIBRARY = f"{os.sep}site-packages{os.sep}"


class NotTravelling(TypeError):
    """The answer holds what JSON cannot."""


def plain(value, depth=0):
    """A value as JSON holds it: Series, arrays and indexes as lists, missing values as None, times as text."""
    if depth > MAX_DEPTH:
        raise NotTravelling("a value that is nested too deep")
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {str(plain(key, depth + 1)): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    for method in ("tolist", "to_list", "item"):
        if hasattr(value, method):
            return plain(getattr(value, method)(), depth + 1)
    raise NotTravelling(f"a value of type {type(value).__name__}")


def describe(error):
    """The type and message of an error, and the last line of an installed file (not of a linked library) on the way."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    own = [f"{file.split(LIBRARY)[-1]}, line {line}" for file, line in places if is_installed_here(file)]
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException:
        message = ""
    return {"type": type(error).__name__, "message": str(message)[:MAX_TEXT], "place": own[-1] if own else ""}


def is_installed_here(file):
    """A file of the package, while a library's lies elsewhere and is reached through a link."""
    return LIBRARY in file and os.path.realpath(file) == file


def run(code):
    """The reply to some code, which runs in a new, empty namespace."""
    names = {"__name__": "check"}
    try:
        exec(compile(code, "<check>", "exec"), names)
        return {"answer": plain(names.get("answer"))}
    except BaseException as error:  # also SystemExit, which a module must not raise
        return {"error": describe(error)}


def main():
    """Read code and write replies, each as a length of 8 bytes and that much JSON, until the other side closes."""
    requests, answers = (int(word) for word in sys.argv[1:])
    sys.argv[:] = ["check"]
    with os.fdopen(requests, "rb") as stream:
        while len(head := stream.read(8)) == 8:
            code = json.loads(stream.read(int.from_bytes(head, "little")))
            reply = json.dumps(run(code)).encode()
            message = memoryview(len(reply).to_bytes(8, "little") + reply)
            while message:
                message = message[os.write(answers, message) :]


if __name__ == "__main__":
    main()
