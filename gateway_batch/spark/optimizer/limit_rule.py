"""The optimizer rule that takes a LIMIT's rows before they are sent: `java/LimitBelowCalls.java`.

Spark's optimizer takes rules as classes of the JVM only. Spark ships a Java compiler, Janino, for its own generated
code; it makes the class from source when the function is registered, so that no jar is needed.
"""

from __future__ import annotations

import logging
from pathlib import Path

from py4j.java_gateway import JavaObject
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from gateway_batch.spark.session.jvm import jvm_of

_SOURCE = Path(__file__).parent / "java" / "LimitBelowCalls.java"
_CLASS = "gateway_batch.LimitBelowCalls"
_log = logging.getLogger(__name__)


def install_limit_rule(spark: SparkSession, function: str) -> None:
    """Adds the rule to the session, once. Where that is not allowed, queries work and a LIMIT may send more rows."""
    try:
        experimental = spark._jsparkSession.experimental()
        rules = experimental.extraOptimizations()
        if any(rules.apply(index).ruleName() == _CLASS for index in range(rules.size())):
            return
        getattr(experimental, "extraOptimizations_$eq")(rules.appended(_make_rule(spark, function)))
    except Py4JError as error:
        _log.info("a LIMIT is not taken before the calls in this session: %s", type(error).__name__)


def _make_rule(spark: SparkSession, function: str) -> JavaObject:
    jvm = jvm_of(spark)
    compiler = jvm.java_class("org.codehaus.janino.SimpleCompiler")()
    compiler.setParentClassLoader(jvm.java_class("java.lang.Thread").currentThread().getContextClassLoader())
    compiler.cook(_SOURCE.read_text(encoding="utf-8"))
    constructor = compiler.getClassLoader().loadClass(_CLASS).getConstructors()[0]
    return constructor.newInstance(jvm.objects(function))
