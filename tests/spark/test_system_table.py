"""The usage table by Databricks' name for it: read in every way, changed in none."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from gateway_batch.devgateway import RunningGateway
from tests.spark.conftest import MODEL, Register

NAME = "system.ai_gateway.usage"
READ = {
    f"SELECT count(*) FROM {NAME}": 3,
    f"SELECT count(*) FROM {NAME} AS u WHERE u.destination_model IS NOT NULL AND status_code = 200": 3,
    f"WITH t AS (SELECT invocation_id FROM {NAME}) SELECT count(*) FROM t JOIN {NAME} USING (invocation_id)": 3,
    f"SELECT count(*) FROM {NAME} VERSION AS OF 0": 0,
}
REFUSED = [
    f"INSERT INTO {NAME} SELECT * FROM {{table}}",
    f"INSERT OVERWRITE {NAME} SELECT * FROM {{table}}",
    f"DELETE FROM {NAME}",
    f"UPDATE {NAME} SET requester = 'x'",
    f"MERGE INTO {NAME} t USING {{table}} u ON t.invocation_id = u.invocation_id WHEN MATCHED THEN DELETE",
    f"TRUNCATE TABLE {NAME}",
    f"DROP TABLE {NAME}",
    f"ALTER TABLE {NAME} ADD COLUMN x INT",
    f"OPTIMIZE {NAME}",
    f"VACUUM {NAME}",
    "CREATE TABLE system.ai_gateway.other (x INT) USING DELTA",
    "CREATE SCHEMA system.other",
]


def test_it_is_read_by_its_own_name_and_changed_by_none(
    spark: SparkSession, register: Register, server: RunningGateway, tmp_path: Path
) -> None:
    gateway = register()
    spark.range(3).selectExpr(f"ai_query('{MODEL}', 'system ' || id)").collect()
    gateway.usage.flush()
    assert {query: spark.sql(query).collect() for query in READ} == {query: [(count,)] for query, count in READ.items()}
    assert spark.sql(f"DESCRIBE TABLE {NAME}").where("col_name = 'input_tokens'").count() == 1
    assert spark.table(NAME).columns == spark.table(gateway.usage.table).columns
    assert spark.catalog.tableExists(NAME)
    assert [row.tableName for row in spark.sql("SHOW TABLES IN system.ai_gateway").collect()] == ["usage"]
    spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW by_name AS SELECT * FROM {NAME}")
    assert spark.table("by_name").count() == 3
    stream = spark.readStream.table(NAME).writeStream.option("checkpointLocation", str(tmp_path / "seen"))
    stream.format("memory").queryName("seen_usage").trigger(availableNow=True).start().awaitTermination()
    assert spark.table("seen_usage").count() == 3
    for statement in REFUSED:
        with pytest.raises(
            PySparkException, match=r"the catalog system is read-only: change the usage table by its own"
        ):
            spark.sql(statement.format(table=gateway.usage.table))
    with pytest.raises(PySparkException, match="read-only"):
        spark.table(NAME).limit(1).write.mode("append").saveAsTable(NAME)
    with pytest.raises(PySparkException, match="TABLE_OR_VIEW_NOT_FOUND"):
        spark.sql("SELECT * FROM system.billing.usage")
    assert spark.table(gateway.usage.table).count() == 3
