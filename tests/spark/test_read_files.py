"""Files as rows in SQL, and images among them as part of a prompt."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from chispa import assert_df_equality
from pyspark.errors import IllegalArgumentException
from pyspark.sql import SparkSession

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

pytestmark = pytest.mark.usefixtures("registered", "server")


def test_images_of_a_folder_are_described(spark: SparkSession, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "c.png").write_bytes(b"BM, a bitmap")
    query = f"""SELECT path, ai_query('databricks-llama-4-maverick', 'What is shown?', files => content,
        failOnError => false) AS caption FROM read_files('{tmp_path}', format => 'binaryFile') ORDER BY path"""
    captions = [row.caption for row in spark.sql(query).collect()]
    assert [caption.errorMessage is None for caption in captions] == [True, True, False]
    assert "files: 12 bytes that are none of JPEG, PNG" in captions[2].errorMessage


def test_a_format_is_told_by_the_ending_and_options_by_name(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "mails.csv").write_text("id;body\n1;hello\n")
    query = (
        f"SELECT * FROM read_files('{tmp_path}/mails.csv', header => true, sep => ';', schema => 'id INT, body STRING')"
    )
    assert_df_equality(spark.sql(query), spark.createDataFrame([(1, "hello")], "id INT, body STRING"))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("read_files('/tmp', format => 'docx')", "expects one of avro, binaryFile"),
        ("read_files()", "takes a path"),
        ("read_files(5, format => 'text')", "path of read_files must be STRING"),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(spark: SparkSession, call: str, says: str) -> None:
    with pytest.raises(IllegalArgumentException) as caught:
        spark.sql(f"SELECT * FROM {call}")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
