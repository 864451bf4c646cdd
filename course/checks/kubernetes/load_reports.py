"""What a load on an application showed: a `LoadReport` with one `RequestRecord` for each request, and checks of it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from course.checks.core.expectations import CheckFailed
from course.checks.kubernetes.pods import PodWatch


@dataclass(frozen=True)
class RequestRecord:
    """One request of a load, and what came of it.

    Attributes:
        at: when it was sent, in seconds since the load began.
        asked: the request in short, such as "POST /predict".
        status: of the response; 0 when there was none.
        end: how the connection ended: "complete", "refused", "reset", "timeout", …
        seconds: how long it took.
        body: the first 2000 bytes of the answer's body.
    """

    at: float
    asked: str
    status: int
    end: str
    seconds: float
    body: bytes = field(default=b"", repr=False)

    @property
    def is_lost(self) -> bool:
        """Whether it got no response, or a server error."""
        return self.end != "complete" or self.status < 200 or self.status >= 500

    @property
    def how(self) -> str:
        """What came of it, in words."""
        words = {"refused": "the connection was refused", "timeout": "no answer came in time"}
        if self.end != "complete":
            return words.get(self.end, "the connection was closed without an answer")
        return f"the answer was {self.status}"


@dataclass
class LoadReport:
    """What happened while an application was changed, or was only under load.

    Attributes:
        what: what was done, in words, such as "the rollout".
        finished: whether it ended as it was meant to.
        seconds: how long that took.
        why: why it did not finish.
        hint: what may help.
        records: the requests of the load, in the order in which they were sent.
        pods: what was seen of the pods meanwhile.
    """

    what: str
    finished: bool = False
    seconds: float = 0.0
    why: str = ""
    hint: str | None = None
    records: list[RequestRecord] = field(default_factory=list, repr=False)
    pods: PodWatch = field(default_factory=PodWatch, repr=False)

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.records)

    @property
    def lost(self) -> list[RequestRecord]:
        """The requests without a response, or with a server error."""
        return [one for one in self.records if one.is_lost]

    @property
    def failed(self) -> int:
        """How many requests were lost."""
        return len(self.lost)

    def versions(self, key: str = "version") -> list[tuple[float, Any]]:
        """The value of a key in the JSON responses over time: pairs of seconds and value."""
        found = []
        for one in self.records:
            if one.status == 200 and one.body[:1] == b"{":
                with contextlib.suppress(ValueError, RecursionError):
                    data = json.loads(one.body)
                    if isinstance(data, dict) and key in data:
                        found.append((one.at, data[key]))
        return found

    def expect_no_loss(self) -> LoadReport:
        """Fail the check when a request was lost."""
        if not self.records:
            raise ValueError("there was no load")
        if self.lost:
            first = self.lost[0]
            ways = sorted({one.how for one in self.lost})
            raise CheckFailed(
                f"{self.failed} of {self.asked} requests were lost during {self.what}",
                expected="an answer to each",
                actual=f"{first.asked}: {'; '.join(ways)}",
                hint="pods that go must finish what they began, and pods that come must be ready before they are asked",
            )
        return self

    def expect_finished(self) -> LoadReport:
        """Fail the check unless it ended as it was meant to."""
        if not self.finished:
            raise CheckFailed(f"{self.what} did not finish: {self.why}", hint=self.hint)
        return self

    def expect_stalled(self) -> LoadReport:
        """Fail the check when it finished, though it must not."""
        if self.finished:
            raise CheckFailed(
                f"{self.what} finished, though the new pods do not work",
                hint="a readiness probe keeps a rollout from going on with pods that cannot answer",
            )
        return self
