#!/bin/sh
# Installs packages into a virtual environment: with uv, or with pip where uv can't be had or pip's settings name an
# index of their own, which uv doesn't read.
#   scripts/install.sh VENV ARGUMENTS    as of `pip install`
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${1:?usage: scripts/install.sh VENV ARGUMENTS}
shift

with_uv() {
    ! "$venv/bin/python" -m pip config list 2>/dev/null | grep -q 'index-url' || return 1
    [ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --require-hashes -r "$root/requirements/uv.txt" 2>/dev/null || return 1
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "$@"
}

with_uv "$@" || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
