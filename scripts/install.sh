#!/bin/sh
# Installs packages into a virtual environment: with uv, or with pip where uv can't be had or pip's settings name an
# index of their own, which uv doesn't read.
#   scripts/install.sh VENV ARGUMENTS    as of `pip install`; `-r LOCK` comes last, and with --no-deps
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

# Python compiles what is imported as it is imported: all of it beforehand would take a third of the time.
with_pip() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@"; }

# A lock's packages need not be installed together. One pip keeps one core busy.
with_pips() {
    parts=$(mktemp -d)
    awk -v parts="$parts" '/^[A-Za-z0-9]/ { part = number++ % 3 } { print > (parts "/" part ".txt") }' "$lock"
    pips=
    for part in "$parts"/*.txt; do
        with_pip "$@" -r "$part" &
        pips="$pips $!"
    done
    status=0
    for pip in $pips; do wait "$pip" || status=1; done
    rm -rf "$parts"
    return $status
}

with_uv "$@" && exit
lock=
for argument in "$@"; do
    [ "${previous:-}" != -r ] || lock=$argument
    previous=$argument
done
if [ -n "$lock" ]; then with_pips --no-deps --require-hashes; else with_pip "$@"; fi
