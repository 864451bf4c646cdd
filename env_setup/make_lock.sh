#!/bin/sh
# Solves pyproject.toml into requirements.lock: every package, its hashes, for Python 3.11 and newer on every system.
#   sh env_setup/make_lock.sh .venv/bin [--upgrade]
set -eu
cd "$(dirname "$0")/.."
bin=$1
shift
"$bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --extra test --extra site --no-emit-index-url \
  --no-emit-find-links --custom-compile-command "make lock" "$@" pyproject.toml --output-file requirements.lock
