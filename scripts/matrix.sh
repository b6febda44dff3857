#!/bin/sh
# Runs the Spark tests on another release of Spark than the locked one, in an environment of its own.
#   scripts/matrix.sh 4.1.1 [pytest's arguments]
set -eu
cd "$(dirname "$0")/.."
version=${1:?usage: scripts/matrix.sh SPARK_VERSION [pytest arguments]}
shift
home=.venv-spark-$version
if ! cmp -s requirements/dev.txt "$home/dev.lock"; then
    echo "matrix: installing Spark $version into $home (a minute or two)"
    [ -x "$home/bin/python" ] || "${PYTHON:-python3}" -m venv "$home"
    scripts/install.sh "$home" --no-deps --require-hashes -r requirements/dev.txt
    scripts/install.sh "$home" --no-deps --editable .
    scripts/install.sh "$home" "pyspark==$version"  # its py4j too
    cp requirements/dev.txt "$home/dev.lock"
fi
# Spark 4.1 leaves the sockets of a collect to the garbage collector.
run() {
    "$home/bin/python" -m pytest -W ignore::ResourceWarning -W ignore::pytest.PytestUnraisableExceptionWarning "$@"
}
if [ $# -gt 0 ]; then
    run "$@"
else # a process is either a classic one or a Spark Connect one to pyspark
    run tests/spark tests/jobs
    run tests/analytics
    run tests/connect
fi
