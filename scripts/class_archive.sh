#!/bin/sh
# Makes .tools/spark.jsa: Spark's classes as Java keeps them in memory. A JVM that the tests start maps them from there
# instead of reading them from Spark's jars: to start takes a third less of the processor's time. The session that is
# started for it fetches Delta's jars, if they are not there yet.
set -eu
cd "$(dirname "$0")/.."
archive=.tools/spark.jsa
of=$archive.of
new=.tools/spark.jsa.new

# Java takes an archive only with the jars and the Java that it was made with.
made_with() { cat requirements/dev.txt && "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1; }

[ -f "$archive" ] && made_with | cmp -s - "$of" && exit 0
mkdir -p .tools
rm -f "$archive" "$new"
echo "setup: keeping Spark's classes for the tests' JVMs"
SPARK_SUBMIT_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ArchiveClassesAtExit=$new -Xlog:disable" \
    .venv/bin/python -m tests.classes_of_spark >.tools/spark.jsa.log 2>&1 || true
if [ -f "$new" ]; then
    mv "$new" "$archive"
    made_with >"$of"
else
    grep -q 'ConfigError' .tools/spark.jsa.log && {
        echo "setup: Spark could not start with Delta's jars: check that this machine reaches a Maven repository; details in .tools/spark.jsa.log" >&2
        exit 1
    }
    echo "setup: no archive of Spark's classes could be made, so the tests take longer; details in .tools/spark.jsa.log"
fi
