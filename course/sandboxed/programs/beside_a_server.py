"""`beside_a_server.py DESCRIPTOR COMMAND…`: open a port, give its socket to a server elsewhere, then become a command.

The command is a student's, and "{url}" in its words is the address of the port. The server is not in this sandbox: its
socket goes there over the Unix socket with the number DESCRIPTOR, so nothing but requests can reach it.
"""

import os
import socket
import sys


def main(descriptor, command):
    """Open the port, give it away, and run the command in this process' place."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with socket.socket(fileno=descriptor) as server:
            socket.send_fds(server, [b"s"], [listener.fileno()])
    words = [word.replace("{url}", url) for word in command]
    os.execv(words[0], words)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
