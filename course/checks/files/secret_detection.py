"""Secrets in text, recognised by the name of a setting or by the shape of a value: `secret_in`, `is_secret_name`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

_SECRET_WORDS = {"password", "passwd", "passphrase", "pwd", "secret", "secrets", "token", "apikey", "credentials"}
_SECRET_PAIRS = {"api_key", "access_key", "private_key", "account_key", "auth_key", "signing_key", "encryption_key"}
SECRET_SHAPES: Mapping[str, re.Pattern[str]] = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----"),
    "an access key of Amazon": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token of GitHub": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,255}\b|\bgithub_pat_\w{20,255}"),
    "a token of GitLab": re.compile(r"(?<![\w-])glpat-[\w-]{18,100}"),
    "a token of a package index": re.compile(r"(?<![\w-])pypi-[\w-]{30,400}"),
    "a key of Google": re.compile(r"\bAIza[\w-]{35}\b"),
    "a token of Slack": re.compile(r"(?<![\w-])xox[abprs]-[\w-]{10,200}"),
    "an access token": re.compile(r"(?<![\w-])eyJ[\w-]{10,2000}\.eyJ[\w-]{10,4000}\.[\w-]{10,2000}"),
    "an account key of Azure": re.compile(r"\bAccountKey=[A-Za-z0-9+/]{40,100}"),
    "a name with a password": re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@$]{1,100}:[^\s/@$]{1,200}@"),
    "a header with a credential": re.compile(
        r"(?i)\bauthorization:\s*(?:bearer|basic|token)\s+[A-Za-z0-9+/=_.~-]{8,500}"
    ),
}


def secret_in(text: str) -> str | None:
    """What kind of secret a text holds, by its shape; None when there is none."""
    return next((kind for kind, shape in SECRET_SHAPES.items() if shape.search(text)), None)


def is_secret_name(name: str) -> bool:
    """Whether a variable of that name holds a secret, such as DB_PASSWORD; DB_PASSWORD_FILE names a file."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(".", "_").split("_")
    if parts[-1] in ("file", "path", "url", "length", "name"):
        return False
    joined = {f"{a}_{b}" for a, b in itertools.pairwise(parts)}
    return bool(_SECRET_WORDS & set(parts) or _SECRET_PAIRS & joined)
