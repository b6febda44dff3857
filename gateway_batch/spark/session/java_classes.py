"""Classes of Java from source, without a jar, by Janino, the compiler that Spark ships for its generated code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from py4j.java_gateway import JavaObject
from pyspark.sql import SparkSession

from gateway_batch.spark.session.jvm import jvm_of


def constructor(spark: SparkSession, sources: Iterable[Path], *, after: JavaObject | None = None) -> JavaObject:
    """The constructor of the last of some public classes of the package `gateway_batch`, one in each file.

    Args:
        spark: a classic session, in whose JVM they are made.
        sources: each after those that it needs.
        after: the constructor of a class that they need too; None: they need none.

    Raises:
        Py4JError: the JVM allows it not.
    """
    jvm, name = jvm_of(spark), ""
    if after is None:
        loader = jvm.java_class("java.lang.Thread").currentThread().getContextClassLoader()
    else:
        loader = after.getDeclaringClass().getClassLoader()
    for source in sources:
        compiler = jvm.java_class("org.codehaus.janino.SimpleCompiler")()
        compiler.setTargetVersion(8)  # which has interfaces with methods of their own
        compiler.setParentClassLoader(loader)
        compiler.cook(source.read_text(encoding="utf-8"))
        loader, name = compiler.getClassLoader(), source.stem
    return loader.loadClass(f"gateway_batch.{name}").getConstructors()[0]
