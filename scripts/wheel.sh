#!/bin/sh
# Builds the wheel, installs it in an empty environment outside this folder, and runs the demo there, as a new user would:
# what the package needs of sql, prompts and the dashboard has to be in the wheel. PYTHON names the interpreter.
set -eu
cd "$(dirname "$0")/.."
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
began=$(date +%s)
said() { printf '%4s s  %s\n' "$(($(date +%s) - began))" "$1"; }

"${PYTHON:-python3}" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$place/dist" .
said "built $(cd "$place/dist" && echo *.whl)"
"${PYTHON:-python3}" -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check "$place"/dist/*.whl
said "installed with $("$place/venv/bin/pip" list --disable-pip-version-check 2>/dev/null | tail -n +3 | wc -l) packages"

mkdir "$place/work"
cd "$place/work"
unset PYTHONPATH DATABRICKS_HOST DATABRICKS_TOKEN
run() {
    "$place/venv/bin/gateway-batch" "$@" >"$place/out" 2>&1 || { cat "$place/out" >&2; printf 'wheel: gateway-batch %s failed\n' "$*" >&2; exit 1; }
}
run demo --rows 200
grep -q 'The usage table reconciles' "$place/out" || { cat "$place/out" >&2; exit 1; }
said "the demo answered 200 rows, and its usage table reconciles"
run usage --by tag:step --warehouse demo/warehouse
run views render --usage-table system.ai_gateway.usage --schema main.ai_gateway --output views
[ "$(find views -name '*.sql' | wc -l)" -ge 20 ] || { echo 'wheel: views are missing' >&2; exit 1; }
run sql "SELECT ai_classify('a deep lake', array('lake', 'river')) AS kind" --json
grep -q '"kind"' "$place/out"
"$place/venv/bin/pip" install --quiet --disable-pip-version-check "$(echo "$place"/dist/*.whl)[dashboard]"
run dashboard --warehouse demo/warehouse --output usage.html
[ -s usage.html ]
said "usage, views, a task function and the dashboard work too"
