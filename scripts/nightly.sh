#!/bin/sh
# Runs targets of make one after the other, whatever the others find, and prints what each took and said last.
#   scripts/nightly.sh TARGET...
# What a target prints is in build/nightly/COMMIT/TARGET.log. One that has passed on this commit is not run again, so a
# night that was cut off goes on where it was: remove the folder to begin anew.
set -u
cd "$(dirname "$0")/.."
results=build/nightly/$(git describe --always --dirty)
mkdir -p "$results"
status=0

for target in "$@"; do
    passed=$results/$target.passed
    [ -f "$passed" ] && continue
    printf 'nightly: %s, into %s/%s.log\n' "$target" "$results" "$target"
    began=$(date +%s)
    if make --no-print-directory "$target" >"$results/$target.log" 2>&1 </dev/null; then
        echo "$(($(date +%s) - began))" >"$passed"
    else
        echo "$(($(date +%s) - began))" >"$results/$target.failed"
    fi
done

for target in "$@"; do
    outcome=passed
    [ -f "$results/$target.passed" ] || { outcome=failed; status=1; }
    said=$(grep -E '[0-9]+ (passed|of [0-9]+ found)' "$results/$target.log" | tail -n 1 | tr -d '=')
    printf '%-12s %-6s %6s s  %s\n' "$target" "$outcome" "$(cat "$results/$target.$outcome")" "$said"
done
exit $status
