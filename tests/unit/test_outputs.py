"""What a command may write to, tried without Spark."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway_batch.errors import ConfigError
from gateway_batch.local_files.outputs import Made, check_output, check_text, staging_folder, write_text
from gateway_batch.spark.files.tables import DELTA, output_kind


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "own" / "outputs.json")


@pytest.mark.parametrize(
    ("written", "read", "relation"),
    [
        ("in.csv", "in.csv", "the same as"),
        ("./in.csv", "in.csv", "the same as"),
        ("link.csv", "in.csv", "the same as"),
        ("linked/in.csv", "folder/in.csv", "the same as"),
        ("folder", "folder/in.csv", "a folder around"),
        ("folder/out.csv", "folder", "inside"),
    ],
)
def test_an_output_is_no_input(tmp_path: Path, made: Made, written: str, read: str, relation: str) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("in.csv", "folder/in.csv"):
        (tmp_path / name).write_text("id\n1\n")
    (tmp_path / "link.csv").symlink_to("in.csv")
    (tmp_path / "linked").symlink_to("folder")
    made.add(tmp_path / "in.csv")

    with pytest.raises(ConfigError, match=relation):
        check_output(tmp_path / written, made, [tmp_path / read])


def test_what_such_a_command_made_is_replaced_and_nothing_else(tmp_path: Path, made: Made) -> None:
    file, folder = tmp_path / "out.csv", tmp_path / "out"
    check_output(file, made)
    check_output(folder, made, folder=True)
    file.write_text("theirs")
    folder.mkdir()
    check_output(folder, made, folder=True)  # empty
    (folder / "part").touch()
    for path in (file, folder):
        with pytest.raises(ConfigError, match="is there, and this command did not make it"):
            check_output(path, made, folder=path is folder)
        made.add(path)
        check_output(path, made, folder=path is folder)

    file.write_text("changed since")

    with pytest.raises(ConfigError, match="changed since"):
        check_output(file, made)
    check_output(folder, made, folder=True)


def test_a_file_goes_to_no_folder_and_a_folder_to_no_file(tmp_path: Path, made: Made) -> None:
    folder, file, pipe = tmp_path / "keep.csv", tmp_path / "notes", tmp_path / "pipe.csv"
    folder.mkdir()
    file.touch()
    os.mkfifo(pipe)
    for path in (folder, file):
        made.add(path)
    with pytest.raises(ConfigError, match="is a folder"):
        check_output(folder, made)
    with pytest.raises(ConfigError, match="is no folder"):
        check_output(file, made, folder=True)
    with pytest.raises(ConfigError, match="is no file"):
        check_output(pipe, made)


@pytest.mark.parametrize("content", ["", "[]", '{"a": ', "\x00"])
def test_a_record_that_cant_be_read_knows_nothing(tmp_path: Path, made: Made, content: str) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "outputs.json").write_text(content)
    (tmp_path / "out.csv").touch()
    assert tmp_path / "out.csv" not in made
    made.add(tmp_path / "out.csv")
    assert tmp_path / "out.csv" in made


def test_where_nothing_can_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigError, match=r"output: .*/file/out\.csv can't be written: "),
        staging_folder(tmp_path / "file/out.csv"),
    ):
        pass


def test_what_lies_beside_is_gone_in_the_end(tmp_path: Path) -> None:
    with contextlib.suppress(RuntimeError), staging_folder(tmp_path / "out.csv") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_writer_that_died_left_is_removed_by_the_next(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    dies = (
        "import os, sys\nfrom pathlib import Path\nfrom gateway_batch.local_files.outputs import staging_folder\n"
        "with staging_folder(Path(sys.argv[1])) as folder: (folder / 'half').touch(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", dies, str(output)], check=False)
    (left,) = tmp_path.iterdir()
    others = tmp_path / ".out.csv.of_another"
    others.mkdir()
    with staging_folder(output):
        assert left.exists(), "it is new, and may be at work"
    an_hour_ago = time.time() - 3600
    os.utime(left / "lock", (an_hour_ago, an_hour_ago))
    with staging_folder(output) as at_work:
        os.utime(at_work / "lock", (an_hour_ago, an_hour_ago))
        with staging_folder(output):
            assert at_work.exists()
    assert list(tmp_path.iterdir()) == [others]


def test_a_text_replaces_what_has_its_mark(tmp_path: Path) -> None:
    page = tmp_path / "new" / "page.html"
    for text in ("<title>usage</title>", "<title>usage</title>, again"):
        check_text(page, "<title>usage</title>")
        write_text(page, text)
        assert page.read_text() == text
    with pytest.raises(ConfigError, match="is not of gateway_batch's making"):
        check_text(page, "<title>other</title>")
    with pytest.raises(ConfigError, match="is no file"):
        check_text(tmp_path, "<title>usage</title>")
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "page.html"]


@pytest.mark.parametrize("name", ["answers.csv.gz", "answers.tsv", "answers.XLSX", "answers.txt"])
def test_a_file_of_a_kind_that_cant_be_written_is_no_folder_of_delta(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"file can't be written: name a \.csv"):
        output_kind(tmp_path / name)
    (tmp_path / name).mkdir()
    assert output_kind(tmp_path / name) == output_kind(tmp_path / "answers.v2") == DELTA
