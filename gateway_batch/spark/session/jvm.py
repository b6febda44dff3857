"""The way from a classic session to its JVM."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

if TYPE_CHECKING:  # a client of Spark Connect may be without py4j
    from py4j.java_gateway import JavaClass, JavaGateway, JavaObject


def gateway_of(spark: SparkSession) -> JavaGateway:
    """The session's py4j gateway; its JVM has Spark's own classes."""
    gateway = spark.sparkContext._gateway
    assert gateway is not None
    return gateway


def jvm_of(spark: SparkSession) -> Jvm:
    """The JVM of a session."""
    return _jvm_behind(gateway_of(spark))


@lru_cache(maxsize=4)
def _jvm_behind(gateway: JavaGateway) -> Jvm:
    return Jvm(gateway)


class Jvm:
    """Classes by their whole names, each looked up once, and the few of Scala's values that calls take.

    py4j takes a name in parts (`jvm.org.apache.spark...`) by a call for each, and Java searches all jars in vain for a
    class of the first one's name: 1 to 2 ms.
    """

    def __init__(self, gateway: JavaGateway) -> None:
        self._gateway = gateway
        self._classes: dict[str, JavaClass] = {}

    def java_class(self, name: str) -> JavaClass:
        """A class by its whole name: to be called for an object of it, its static methods are attributes."""
        if name not in self._classes:
            self._classes[name] = getattr(self._gateway.jvm, name)
        return self._classes[name]

    def scala_object(self, name: str) -> JavaObject:
        """A Scala object by its whole name."""
        return getattr(self.java_class(f"{name}$"), "MODULE$")

    def option(self, value: Any) -> JavaObject:
        """Scala's Some of a value; its None for None."""
        return self.java_class("scala.Option").apply(value)

    def objects(self, *values: Any) -> JavaObject:
        """A Java Object[]."""
        array = self._gateway.new_array(self.java_class("java.lang.Object"), len(values))
        for index, value in enumerate(values):
            array[index] = value
        return array

    def sequence(self, items: Iterable[Any]) -> JavaObject:
        """A Scala Seq."""
        listed = self.java_class("java.util.ArrayList")()
        for item in items:
            listed.add(item)
        return self._converters.asScala(listed).toSeq()

    def is_instance(self, value: JavaObject, name: str) -> bool:
        """Whether a value is of a class, which its whole name names."""
        return bool(self.java_class("py4j.reflection.TypeUtil").isInstanceOf(name, value))

    def as_java(self, collection: JavaObject) -> Any:
        """A Scala collection as a Java one, which Python can iterate over."""
        return self._converters.asJava(collection)

    @property
    def _converters(self) -> JavaClass:
        return self.java_class("scala.jdk.javaapi.CollectionConverters")
