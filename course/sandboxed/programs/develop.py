"""`develop.py DESCRIPTOR APP`: Flask's development server for MODULE:NAME, on a listening socket that is there already.

What `app.run()` does, with the debugger if the application asks for it; only the port is not its own to choose.
"""

import importlib
import os
import sys


def find(name):
    """The WSGI application that MODULE:NAME names."""
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    for part in (attribute or "app").split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{name} is {found!r}, and no application; does the function that makes it return it?")
    return found


def main(descriptor, name):
    """Serve until a signal comes."""
    sys.path.insert(0, os.getcwd())
    from werkzeug.serving import make_server

    application = find(name)
    if getattr(application, "debug", False):
        from werkzeug.debug import DebuggedApplication

        application = DebuggedApplication(application, evalex=True)
    make_server("127.0.0.1", 0, application, threaded=True, fd=descriptor).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
