"""A small registry for images, in one file: what `docker push` and `docker pull` need, kept in memory and /tmp.

    python small.py 5000

It speaks the part of the OCI distribution specification that engines use. It asks nobody for a password, ends after
four hours, and what it holds is gone then: for this lab, and for nothing else.
"""

import hashlib
import json
import re
import sys
import tempfile
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PLACE = Path(tempfile.mkdtemp(prefix="registry-"))
NAME = r"(?P<name>[a-z0-9][a-z0-9._/-]*)"
manifests: dict[tuple[str, str], tuple[str, bytes]] = {}  # (repository, digest) → media type, bytes
tags: dict[str, dict[str, str]] = {}  # repository → tag → digest


class Registry(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    routes = (
        ("GET", r"/v2/?", "hello"),
        ("GET", rf"/v2/{NAME}/tags/list", "list_tags"),
        ("GET", rf"/v2/{NAME}/manifests/(?P<reference>[^/]+)", "get_manifest"),
        ("PUT", rf"/v2/{NAME}/manifests/(?P<reference>[^/]+)", "put_manifest"),
        ("GET", rf"/v2/{NAME}/blobs/(?P<digest>sha256:[0-9a-f]{{64}})", "get_blob"),
        ("POST", rf"/v2/{NAME}/blobs/uploads/?", "begin"),
        ("PATCH", rf"/v2/{NAME}/blobs/uploads/(?P<upload>[0-9a-f]{{32}})", "go_on"),
        ("PUT", rf"/v2/{NAME}/blobs/uploads/(?P<upload>[0-9a-f]{{32}})", "finish"),
    )

    def answer(self, status: int, body: bytes = b"", kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-API-Version", "registry/2.0")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def route(self) -> None:
        self.url = urlsplit(self.path)
        wanted = "GET" if self.command == "HEAD" else self.command
        for method, path, do in self.routes:
            if method == wanted and (match := re.fullmatch(path, self.url.path)):
                getattr(self, do)(**match.groupdict())
                return
        self.unknown("UNSUPPORTED")

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = route  # noqa: N815  (names of http.server)

    def unknown(self, code: str) -> None:
        self.body()
        self.answer(404, json.dumps({"errors": [{"code": code, "message": "not here"}]}).encode())

    def body(self) -> bytes:
        """What was sent, also when it comes in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    # what there is

    def hello(self) -> None:
        self.answer(200, b"{}")

    def list_tags(self, name: str) -> None:
        if name not in tags:
            self.unknown("NAME_UNKNOWN")
            return
        self.answer(200, json.dumps({"name": name, "tags": sorted(tags[name])}).encode())

    def get_manifest(self, name: str, reference: str) -> None:
        digest = reference if reference.startswith("sha256:") else tags.get(name, {}).get(reference, "")
        if (name, digest) not in manifests:
            self.unknown("MANIFEST_UNKNOWN")
            return
        kind, data = manifests[name, digest]
        self.answer(200, data, kind, Docker_Content_Digest=digest)

    def get_blob(self, name: str, digest: str) -> None:
        path = PLACE / digest
        if not path.is_file():
            self.unknown("BLOB_UNKNOWN")
            return
        self.answer(200, path.read_bytes(), "application/octet-stream", Docker_Content_Digest=digest)

    # what comes in

    def put_manifest(self, name: str, reference: str) -> None:
        data = self.body()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"  # the name of a manifest is a checksum of its bytes
        manifests[name, digest] = (self.headers.get("Content-Type", "application/json"), data)
        if not reference.startswith("sha256:"):
            tags.setdefault(name, {})[reference] = digest  # a tag that was there moves, and nobody is asked
        self.answer(201, Location=f"/v2/{name}/manifests/{digest}", Docker_Content_Digest=digest)

    def begin(self, name: str) -> None:
        self.body()
        upload = uuid.uuid4().hex
        (PLACE / upload).touch()
        self.answer(202, Location=f"/v2/{name}/blobs/uploads/{upload}", Docker_Upload_UUID=upload, Range="0-0")

    def go_on(self, name: str, upload: str) -> None:
        path = PLACE / upload
        with path.open("ab") as file:
            file.write(self.body())
        end = max(0, path.stat().st_size - 1)
        place = f"/v2/{name}/blobs/uploads/{upload}"
        self.answer(202, Location=place, Docker_Upload_UUID=upload, Range=f"0-{end}")

    def finish(self, name: str, upload: str) -> None:
        path = PLACE / upload
        with path.open("ab") as file:
            file.write(self.body())
        (digest,) = parse_qs(self.url.query).get("digest", [""])
        if digest != f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}":
            self.answer(400, json.dumps({"errors": [{"code": "DIGEST_INVALID", "message": "other bytes"}]}).encode())
            return
        path.rename(PLACE / digest)
        self.answer(201, Location=f"/v2/{name}/blobs/{digest}", Docker_Content_Digest=digest)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Registry)
    end = threading.Timer(4 * 3600, server.shutdown)
    end.daemon = True
    end.start()
    server.serve_forever()
