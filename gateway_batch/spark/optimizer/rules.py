"""The optimizer rules that know what a call costs: `java/CallsAfterOthers.java` and `java/CallsWhereRead.java`.

Spark's optimizer takes rules as classes of the JVM only. They are made when the first function is registered.
"""

from __future__ import annotations

import logging
from pathlib import Path

from py4j.java_gateway import JavaGateway, JavaObject
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from gateway_batch.spark.session.java_classes import constructor
from gateway_batch.spark.session.jvm import gateway_of, jvm_of

_SOURCES = Path(__file__).parent / "java"
_CLASSES = (
    "Plans",
    "Values",
    "PromptLengths",
    "Layered",
    "SemiJoins",
    "Limits",
    "CallsAfterOthers",
    "CallsWhereRead",
    "SharedAnswers",
    "Rules",
)
"""Each after those that it needs."""

_made: dict[tuple[JavaGateway, str], JavaObject | None] = {}
_log = logging.getLogger(__name__)


def rules_of(spark: SparkSession, function: str) -> JavaObject | None:
    """The rules of the session's JVM, made when they are first asked for; None where it allows none.

    Without them queries work, and may send more.

    Args:
        spark: a classic session.
        function: the name of the calls' Python function.

    Returns:
        An object with the methods `addTo(session)` and `addToActiveSession()`.
    """
    key = (gateway_of(spark), function)
    if key not in _made:
        try:
            rules = constructor(spark, (_SOURCES / f"{name}.java" for name in _CLASSES))
            _made[key] = rules.newInstance(jvm_of(spark).objects(function))
        except Py4JError as error:
            _log.info("calls are not moved or guarded in this session: %s", type(error).__name__)
            _made[key] = None
    return _made[key]
