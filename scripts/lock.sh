#!/bin/sh
# Resolves requirements/*.txt anew: exact versions with hashes, for every platform and Python from 3.11 on.
set -eu
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/pip" install --quiet uv
resolve() {
    "$tools/bin/uv" pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --quiet \
        --no-header --no-annotate --constraint requirements/constraints.in "$@"
}
resolve --output-file requirements/runtime.txt
resolve --extra local --output-file requirements/local.txt
resolve --group dev --output-file requirements/dev.txt
"$tools/bin/uv" --version | sed 's/uv \([0-9.]*\).*/uv==\1/' |
    "$tools/bin/uv" pip compile - --universal --generate-hashes --quiet --no-header --no-annotate \
        --output-file requirements/uv.txt
