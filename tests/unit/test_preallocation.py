"""Room for outcomes, on a real file system that is full."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_batch.local_files.preallocation import preallocate
from gateway_batch.usage.spool import sealed_dir

from .samples import open_writer, record

_NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]


def has_namespaces() -> bool:
    try:
        return subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not has_namespaces(), reason="this system lets no process mount a disk of its own")
def test_a_full_disk_stops_sending_and_every_request_that_was_sent_has_its_outcome(tmp_path: Path) -> None:
    command = [*_NAMESPACE, sys.executable, "-m", "tests.unit.full_disk", str(tmp_path)]
    reported = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert 20 <= reported["sent"] < 10_000
    assert "No space left on device; nothing more is sent" in reported["refusal"]
    assert reported["outcomes"] == {str(number): ["answered"] for number in range(reported["sent"])}


@pytest.mark.skipif(sys.platform != "linux", reason="fallocate(2) is Linux's")
def test_room_is_set_aside_without_making_a_file_longer(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        assert preallocate(file.fileno(), 0, 1 << 20)
        assert path.stat().st_size == 0
        assert path.stat().st_blocks * 512 >= 1 << 20


def test_what_was_set_aside_is_given_back_as_a_segment_is_sealed(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    writer.intend(record("a"))
    writer.settle(record("a"))
    writer.close()
    (segment,) = sealed_dir(tmp_path).iterdir()
    assert segment.stat().st_blocks * 512 <= 8192
