#!/bin/sh
# Line and branch coverage of gateway_batch by targets of make: of their Python processes and of those that they start,
# Spark's workers, commands and gateways among them.
#   scripts/coverage.sh TARGET...
set -eu
cd "$(dirname "$0")/.."
hook=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/measured_processes.pth
trap 'rm -f "$hook"' EXIT
rm -rf build/coverage
mkdir -p build/coverage
printf 'import sys; sys.path.append("%s"); import tests.measured_process\n' "$PWD" >"$hook"

status=0
make --no-print-directory --keep-going --jobs="${AT_A_TIME:-4}" --output-sync=target "$@" || status=$?
rm -f "$hook"
.venv/bin/python -m coverage combine --quiet
.venv/bin/python -m coverage report | tee build/coverage/report.txt
exit $status
