"""The usage table by Databricks' name for it, `system.ai_gateway.usage`: `SystemCatalog.java`.

Spark's session catalog knows names of two parts. A catalog of its own hands this one name to it, for reading.
"""

from __future__ import annotations

import logging
from pathlib import Path

from py4j.java_gateway import JavaGateway, JavaObject
from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from gateway_batch.spark.session.java_classes import constructor
from gateway_batch.spark.session.jvm import gateway_of, jvm_of

_FOLDER = Path(__file__).parent
_CATALOG, _RULE = _FOLDER / "SystemCatalog.java", _FOLDER / "SystemTables.java"

_made: dict[JavaGateway, tuple[JavaObject, JavaObject]] = {}
_log = logging.getLogger(__name__)


def name_system_table(spark: SparkSession, usage_table: str) -> None:
    """Has `system.ai_gateway.usage` name a table in this session, unless the session has a `system` catalog already.

    Args:
        spark: a classic session.
        usage_table: its name, of one to three parts.
    """
    session = spark._jsparkSession
    try:
        catalogs = session.sessionState().catalogManager()
        if not catalogs.isCatalogRegistered("system"):
            _install(spark)
        catalog = catalogs.catalog("system")
        *schema, table = usage_table.split(".")
        if catalog.getClass().getName() == "gateway_batch.SystemCatalog" and schema[:1] != ["system"]:
            catalog.setUsage(jvm_of(spark).objects(*(schema or ["default"]), table))
    except Py4JError as error:
        _log.info("system.ai_gateway.usage is no name in this session: %s", type(error).__name__)


def _install(spark: SparkSession) -> None:
    jvm, gateway = jvm_of(spark), gateway_of(spark)
    if gateway not in _made:
        catalog = constructor(spark, [_CATALOG])
        _made[gateway] = catalog, constructor(spark, [_RULE], after=catalog)
    catalog, rule = _made[gateway]
    if catalog.newInstance(jvm.objects(spark._jsparkSession)).install():
        rule.newInstance(jvm.objects()).addTo(spark._jsparkSession)
