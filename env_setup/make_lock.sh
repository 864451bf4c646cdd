#!/bin/sh
# Solves pyproject.toml into requirements.lock: every package, its hashes, for Python 3.11 and newer on every system.
# What an extra needs beyond that has a lock of its own, env_setup/extras/NAME.lock; `make extra` installs those of labs.
#   sh env_setup/make_lock.sh .venv/bin [--upgrade]
set -eu
cd "$(dirname "$0")/.."
bin=$1
shift
solve() {
  "$bin/uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
    --no-emit-find-links --custom-compile-command "make lock" "$@" pyproject.toml
}

solve --extra test --extra site "$@" --output-file requirements.lock

# Extras may be installed together: each keeps the pins of those before it.
pinned="--constraints requirements.lock"
list_extras='import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"])'
for extra in $("$bin/python" -c "$list_extras"); do
  case $extra in test | site) continue ;; esac
  lock=env_setup/extras/$extra.lock
  whole=env_setup/extras/.$extra.whole
  mkdir -p env_setup/extras
  trap 'rm -f "$whole"' EXIT
  [ ! -f "$lock" ] || cp "$lock" "$whole" # earlier pins are kept
  # shellcheck disable=SC2086
  solve --extra "$extra" $pinned "$@" --output-file "$whole"
  awk 'FNR == NR { if (/^[A-Za-z0-9]/) { split($1, part, "=="); there[part[1]] = 1 } next }
       /^[A-Za-z0-9]/ { split($1, part, "=="); keep = !(part[1] in there) }
       /^#/ { print; next }
       keep' requirements.lock "$whole" >"$lock"
  if grep -q '^[A-Za-z0-9]' "$lock"; then pinned="$pinned --constraints $lock"; else rm "$lock"; fi
  rm -f "$whole"
done
