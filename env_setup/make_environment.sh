#!/bin/sh
# Makes the course's environment, or mends one that is half made: sh env_setup/make_environment.sh [.venv [LAB]]
#
# With LAB, such as 06 or all, it also installs the packages that only this lab needs: the extra that its lab.yaml names,
# from env_setup/extras. They stay when the environment is made again.
#
# Needs Python 3.11 or newer and nothing else. Every package comes from requirements.lock, with its hash checked. Nothing
# is written outside this folder, except uv's own cache. The last step writes the stamp that lets `make` skip all this;
# whatever stops it earlier, the next call goes on from there. PYTHON=/path/to/python3.12 chooses another Python.
set -eu
cd "$(dirname "$0")/.."
env=${1:-.venv}
lab=${2:-}
stamp=$env/course-environment
at_least_311='import sys; sys.exit(sys.version_info < (3, 11))'

say() { printf 'environment: %s\n' "$*" >&2; }
fail() { for line in "$@"; do say "$line"; done; exit 1; }

find_python() {
  for python in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if "$python" -c "$at_least_311" >/dev/null 2>&1; then echo "$python"; return; fi
  done
  found=$(python3 --version 2>&1) || found='none'
  fail "this course needs Python 3.11 or newer; found ${PYTHON:+"PYTHON=$PYTHON, which is not one; python3 is "}$found." \
    "Debian, Ubuntu:  sudo apt install python3 python3-venv   (Ubuntu 22.04: python3.11 python3.11-venv)" \
    "Fedora:          sudo dnf install python3" \
    "macOS:           brew install python@3.13" \
    "anywhere:        conda env create -f environment.yml, conda activate course, and make again" \
    "A Python in a place of its own: make env PYTHON=/path/to/python3.12"
}

# A network that inspects TLS has its certificate in the system's store; pip looks there only when told.
trust_the_system() {
  export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-1}"
  for bundle in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
    if [ -n "$bundle" ] && [ -r "$bundle" ]; then export PIP_CERT="${PIP_CERT:-$bundle}"; return; fi
  done
}

# It runs, and it was made for this place: the scripts of an environment name the folder they were made in.
healthy() {
  "$env/bin/python" -c "$at_least_311" >/dev/null 2>&1 && grep -qF "$(pwd -P)/$env" "$env/bin/activate" 2>/dev/null
}

make_venv() {
  python=$(find_python)
  "$python" -c 'import venv, ensurepip' >/dev/null 2>&1 || fail \
    "$("$python" --version) has no venv module that works: your system ships it apart." \
    "Debian, Ubuntu:  sudo apt install $("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')" \
    "then call make again."
  say "making $env with $("$python" --version)"
  "$python" -m venv --clear "$env" || fail "$python could not make $env; the lines above say why."
}

# No stamp on an environment that is there: a call was stopped in the middle, and no package in it can be trusted.
again=""
conda=$([ -d "$env/conda-meta" ] && echo yes || echo no)
if [ "$conda" = no ] && [ -d "$env" ] && [ ! -f "$stamp" ]; then again=yes; fi
rm -f "$stamp"
trust_the_system
[ "$conda" = yes ] || healthy || make_venv

wanted=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
[ -n "$wanted" ] || fail "requirements.lock names no version of uv; restore it: git checkout requirements.lock"
if [ "$("$env/bin/uv" --version 2>/dev/null | cut -d ' ' -f 2)" != "$wanted" ]; then
  say "installing uv $wanted"
  "$env/bin/python" -c 'import pip' >/dev/null 2>&1 || "$env/bin/python" -m ensurepip >/dev/null \
    || fail "this environment has no pip: rm -rf $env, then call make again."
  pinned=$env/uv.$$.lock
  trap 'rm -f "$pinned"' EXIT
  sed -n '/^uv==/,/# via/p' requirements.lock >"$pinned"
  "$env/bin/python" -m pip install --quiet --disable-pip-version-check ${again:+--force-reinstall} \
    --require-hashes --requirement "$pinned" || fail \
    "could not install uv; the lines above say why. Offline, or behind a proxy? Set HTTPS_PROXY, or for an index of your" \
    "own PIP_INDEX_URL and UV_DEFAULT_INDEX, and call make again."
fi

# The extras that were asked for, now or before: one name a line.
extras=$env/course-extras
if [ -n "$lab" ]; then
  [ "$lab" != all ] || lab=""
  names=$(cat solutions/"$lab"*/lab.yaml labs/"$lab"*/lab.yaml 2>/dev/null | sed -n 's/^extra: *//p' | sort -u)
  for name in $names; do
    [ -f "env_setup/extras/$name.lock" ] || fail "there is no env_setup/extras/$name.lock: call make lock"
  done
  # shellcheck disable=SC2086 # several words on purpose
  { cat "$extras" 2>/dev/null || :; [ -z "$names" ] || printf '%s\n' $names; } | sort -u >"$extras.new"
  mv "$extras.new" "$extras"
fi
locks=requirements.lock
for name in $(cat "$extras" 2>/dev/null || :); do
  [ ! -f "env_setup/extras/$name.lock" ] || locks="$locks env_setup/extras/$name.lock"
done

say "installing what $locks pins"
python="$env/bin/python"
# conda keeps packages of its own beside the lock's, so there nothing is removed
if [ "$conda" = yes ]; then install="pip install --no-deps"; else install="pip sync"; fi
[ "$conda" = no ] || locks="--requirements $(echo "$locks" | sed 's/ / --requirements /g')"
# Compiled now and not at the first import: a kernel that may not write here (a sandbox, a container) then starts as fast.
export UV_COMPILE_BYTECODE="${UV_COMPILE_BYTECODE:-1}"
# shellcheck disable=SC2086 # several words on purpose
"$env/bin/uv" $install $locks --quiet --python "$python" ${again:+--reinstall} --require-hashes \
  || fail "could not install the packages; the lines above say why. Call make again: what was downloaded is kept."
"$env/bin/uv" pip install --quiet --python "$python" --no-deps --no-build-isolation --offline --editable . \
  || fail "could not install the package course itself; the lines above say why."

pwd -P >"$stamp"
say "ready in $env"
