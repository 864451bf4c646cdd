"""The API of a Kubernetes cluster over HTTP, with plain data: `connect()` → Api.

The official client knows the address, the certificates and the credentials. Requests are sent here, because every one
needs a time limit, some are sent in the name of a user with fewer rights, and replies are wanted as plain data.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

import urllib3
from kubernetes import config
from kubernetes.client import ApiClient, ApiException
from kubernetes.stream.ws_client import WSClient
from websocket import WebSocketException

from course.checks.core import sessions

CONTEXT = "COURSE_CLUSTER"  # the context of the kubeconfig; by default its current one
_CHUNK = 1 << 16


class ApiError(Exception):
    """The cluster's API refused a request.

    Attributes:
        status: of HTTP.
        reason: the API's own message.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


TROUBLE = (ApiError, ApiException, urllib3.exceptions.HTTPError, WebSocketException, OSError)


def connect() -> Api:
    """The API of the cluster that KUBECONFIG names, and COURSE_CLUSTER in it.

    Raises:
        kubernetes.config.ConfigException, OSError, ValueError: no kubeconfig names a cluster.
    """
    # the library itself reads KUBECONFIG only once, when it is imported
    path = os.environ.get("KUBECONFIG") or "~/.kube/config"
    return Api(config.new_client_from_config(path, context=os.environ.get(CONTEXT) or None))


class Api:
    """The API of one cluster.

    Args:
        client: of the official library.
    """

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self._discovered: dict[str, dict[str, str]] = {}

    def get(self, path: str, *, seconds: float = 30, **query: str) -> dict[str, Any]:
        """Read an object or a list."""
        return self.call("GET", path, query=query, seconds=seconds)

    def text(self, path: str, **query: str) -> str:
        """Read text, such as a log."""
        data: bytes = self._send("GET", path, query, None, {}, 30).data
        return data.decode(errors="replace")

    def post(self, path: str, body: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        """Create an object."""
        return self.call("POST", path, body=body, **options)

    def patch(self, path: str, body: Any, kind: str = "merge-patch", **options: Any) -> dict[str, Any]:
        """Change an object; `kind` is "merge-patch", "strategic-merge-patch", "json-patch" or "apply-patch"."""
        content = f"application/{kind}+{'yaml' if kind == 'apply-patch' else 'json'}"
        return self.call("PATCH", path, body=body, content=content, **options)

    def delete(self, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Remove an object, if it is there."""
        try:
            self.call("DELETE", path, body=body or {})
        except ApiError as refused:
            if refused.status != 404:
                raise

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "application/json",
        user: str | None = None,
        seconds: float = 30,
    ) -> dict[str, Any]:
        """One request.

        Args:
            method, path, query: of the request.
            body: plain data to send.
            content: its media type.
            user: send the request in the name of that user, who has fewer rights.
            seconds: the longest wait.

        Raises:
            ApiError: the API refused it.
        """
        headers = {"Content-Type": content} | ({"Impersonate-User": user} if user else {})
        response = self._send(method, path, query or {}, body, headers, seconds)
        try:
            found: dict[str, Any] = json.loads(response.data)
        except ValueError:
            raise ApiError(response.status, "the response is not JSON") from None
        return found

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Any, headers: Mapping[str, str], seconds: float
    ) -> Any:
        sent = {"Accept": "application/json, */*", **headers, **self._credentials()}
        url = self.client.configuration.host + path + (f"?{urllib.parse.urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        timeout = urllib3.Timeout(connect=min(seconds, 10), read=seconds)
        pool = self.client.rest_client.pool_manager
        response = pool.request(method, url, body=data, headers=sent, timeout=timeout, retries=False)
        if response.status >= 400:
            try:
                reason = json.loads(response.data)["message"]
            except (ValueError, LookupError, TypeError):
                reason = response.data[:300].decode(errors="replace")
            raise ApiError(response.status, " ".join(str(reason).split()))
        return response

    def _credentials(self) -> dict[str, str]:
        """The headers by which the cluster knows the user of the kubeconfig."""
        settings = self.client.configuration.auth_settings().values()
        return {one["key"]: one["value"] for one in settings if one["in"] == "header" and one["value"]}

    def serves(self, version: str) -> bool:
        """Whether the cluster serves a group and version such as "autoscaling/v2"."""
        try:
            self._plurals(version)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def path(self, version: str, kind: str, namespace: str, name: str = "") -> str:
        """The path of an object, or of all of a kind in a namespace.

        Args:
            version: such as "apps/v1".
            kind: such as "Deployment".
            namespace, name: the object's; without a name, the path of the list.

        Raises:
            ApiError: the cluster does not serve that version or kind; the status is 404.
        """
        plural = self._plurals(version).get(kind)
        if plural is None:
            raise ApiError(404, f"the cluster serves no {kind} as {version}")
        return f"{_root(version)}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")

    def _plurals(self, version: str) -> dict[str, str]:
        """The kinds of a group and version, each with its name in paths; the cluster is asked once."""
        if version not in self._discovered:
            resources = self.get(_root(version))["resources"]
            self._discovered[version] = {one["kind"]: one["name"] for one in resources if "/" not in one["name"]}
        return self._discovered[version]

    def attach(self, namespace: str, pod: str) -> PodConnection:
        """A connection to the standard streams of a pod's container."""
        settings = self.client.configuration
        query = "stdin=true&stdout=true&stderr=false&tty=false"
        host = "ws" + settings.host.removeprefix("http")
        url = f"{host}/api/v1/namespaces/{namespace}/pods/{pod}/attach?{query}"
        return PodConnection(WSClient(settings, url, self._credentials(), False, binary=True))

    def close(self) -> None:
        """Close its connections."""
        with contextlib.suppress(Exception):
            self.client.rest_client.pool_manager.clear()
        with contextlib.suppress(Exception):
            self.client.close()


def _root(version: str) -> str:
    """The path under which the API serves a group and version."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


class PodConnection(sessions.Connection):
    """A connection to the standard input and output of a container in a cluster."""

    def __init__(self, socket: WSClient) -> None:
        super().__init__()
        self._socket = socket

    def send(self, data: bytes, seconds: float) -> None:
        """Write to the standard input; the client of the library has no time limit for it."""
        for start in range(0, len(data), _CHUNK):
            self._socket.write_stdin(data[start : start + _CHUNK])

    def receive(self, deadline: float) -> bytes:
        """The next bytes of the standard output, perhaps none yet."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise OSError("nothing came in time")
        if not self._socket.is_open():
            raise OSError("the connection was closed")
        return self._socket.read_stdout(timeout=min(left, 1.0)) or b""

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it."""
        return bool(self._socket.is_open())

    def close(self) -> None:
        """Close it: the container's input ends."""
        with contextlib.suppress(*TROUBLE):
            self._socket.close()
