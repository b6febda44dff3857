"""Each kind of fault as a function: it does it, undoes it, and says what it met."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway_batch.spark.ledger.drain import UsageDrain
from tests.faults.campaign import disks, plan
from tests.faults.campaign.drain_process import say
from tests.faults.campaign.plan import NOBODY, Fault
from tests.faults.campaign.processes import kill, kill_tree, stop_for, wait_for_busy_writer
from tests.faults.campaign.target import Target
from tests.unit.refusing_redis import nonsense_running

_FIND_WITHIN_S = 3.0
_MOMENTS = (
    ("killed at any moment", ""),
    ("killed before its commit", "*.parquet"),
    ("killed after its commit", "_delta_log/*.json"),
)
"""What a kill of a drain waits for: a new file of the table's."""
_HOSTILE: list[dict[str, Any]] = [
    {"share": 0.04, "tokens": 2**63 - 1},
    {"share": 0.04, "tokens": -1},
    {"share": 0.04, "headers": {"x-name": "caf\xe9", "x-ratelimit-reset-requests": "99999999999d"}},
    {"share": 0.01, "status": 429, "headers": {"retry-after": "1e308"}},
    {"share": 0.04, "not_json": True},
    {"share": 0.04, "truncate": True},
]
_STRANGERS: list[tuple[str, bytes | None]] = [
    ("notes.txt", b"hello"),
    ("sealed/notes.txt", b"hello"),
    ("sealed/" + "x" * 200, b""),
    ("sealed/caf\udce9", b"\x00" * 4096),
    ("sealed/nowhere", None),
    ("active/core", b"\x00" * 4096),
    ("drain/notes.txt", b"hello"),
    ("drain/manifest.json", b"{}"),
    ("drain/nowhere", None),
]
"""Names and contents; None is a link to nowhere."""


def kill_worker(target: Target, fault: Fault) -> str:
    """SIGKILL for a Python worker that has requests in flight."""
    pid = wait_for_busy_writer(target.written_to(), _FIND_WITHIN_S, fault.number)
    if pid is None:
        return NOBODY
    target.kills += 1
    kill(pid)
    return "killed"


def stop_worker(target: Target, fault: Fault) -> str:
    """A writer that stalls is not dead: a drain that comes meanwhile leaves it its segments."""
    pid = wait_for_busy_writer(target.written_to(), _FIND_WITHIN_S, fault.number)
    if pid is None:
        return NOBODY
    with ThreadPoolExecutor(1) as one:
        stopping = one.submit(stop_for, pid, fault.seconds)
        with target.quiet:
            target.flush()
        stopping.result()
    return "stopped"


def kill_drain(target: Target, fault: Fault) -> str:
    """SIGKILL for a drain's process: at any moment, or as its file of rows is there, or as that is committed."""
    moment, pattern = _MOMENTS[fault.number % len(_MOMENTS)]
    with target.quiet:
        _wait_for_sealed(target.spool_dir)
        drain = target.drains.pop()
        before = _files(target.table_folder, pattern)
        drain.start_flush()
        until = time.monotonic() + (_FIND_WITHIN_S if pattern else fault.seconds)
        while time.monotonic() < until and not drain.has_answered():
            if _files(target.table_folder, pattern) > before:
                break
            time.sleep(0.001)
        said = drain.kill()
    return f"{moment}, its answer was {said[:40]}" if said else moment


def drains_at_once(target: Target, fault: Fault) -> str:
    """Two drains of this process, of different handles, and one of another."""
    own = UsageDrain(target.spark, target.spool_dir, target.usage.table)
    with target.quiet, ThreadPoolExecutor(2) as threads:
        _wait_for_sealed(target.spool_dir)
        drain = target.drains.pop()
        drain.start_flush()
        for answer in threads.map(say, (own.flush, target.usage.flush)):
            target.note_drain(answer)
        target.note_drain(drain.answer())
        drain.kill()
    return "drained"


def disk_full(target: Target, fault: Fault) -> str:
    """No byte is left where records are written."""
    with target.disk, disks.full(target.spool_dir):
        time.sleep(fault.seconds / 2)
        target.flush()
        time.sleep(fault.seconds / 2)
    return "filled"


def read_only(target: Target, fault: Fault) -> str:
    """Open segments can be written, and none can be made or sealed."""
    with target.disk, disks.read_only(target.spool_dir, target.folder / "read_only"):
        time.sleep(fault.seconds / 2)
        target.flush()
        time.sleep(fault.seconds / 2)
    return "refused"


def clock_jump(target: Target, fault: Fault) -> str:
    """The wall clock of workers jumps, and stays there until it jumps again."""
    assert target.place.clock is not None
    target.place.clock.shift(fault.seconds)
    return "jumped"


def repeated_file(target: Target, fault: Fault) -> str:
    """A sealed segment comes again after it was drained, as from a shipper that doesn't know that it has sent it."""
    with target.quiet, target.disk:
        segment = _wait_for_sealed(target.spool_dir)
        if segment is None:
            return NOBODY
        copy = Path(shutil.copy2(segment, target.folder / segment.name))
        target.flush()
        _put(copy, segment)
    return "came again"


def delayed_file(target: Target, fault: Fault) -> str:
    """A sealed segment arrives after later ones were drained."""
    with target.quiet, target.disk:
        segment = _wait_for_sealed(target.spool_dir)
        if segment is None:
            return NOBODY
        held = Path(shutil.copy2(segment, target.folder / segment.name))
        segment.unlink()
        target.flush()
    time.sleep(fault.seconds)
    with target.quiet, target.disk:
        target.flush()
        _put(held, segment)
    return "came late"


def kill_driver(target: Target, fault: Fault) -> str:
    """SIGKILL for a driver, its JVM and its workers."""
    assert target.driver is not None
    if target.driver.poll() is not None:
        return NOBODY
    target.kills += 1
    return f"killed {kill_tree(target.driver.pid)} processes"


def kill_executor(target: Target, fault: Fault) -> str:
    """SIGKILL for an executor's JVM and its workers."""
    assert target.place.cluster is not None
    hosts = target.place.cluster.hosts
    host = hosts[fault.number % len(hosts)]
    executors = host.executors()
    if not executors:
        return NOBODY
    target.kills += 1
    return f"killed {sum(kill_tree(pid) for pid in executors)} processes on {host.name}"


def drop_executors(target: Target, fault: Fault) -> str:
    """SIGKILL for all executors as soon as the action has its rows: nothing is in flight, so nothing may be unknown."""
    assert target.place.cluster is not None
    executors = [pid for host in target.place.cluster.hosts for pid in host.executors()]
    return f"killed {sum(kill_tree(pid) for pid in executors)} processes"


def hostile_answers(target: Target, fault: Fault) -> str:
    """For a while a fifth of the answers are hostile: in their counts, their headers, their waits or their form."""
    target.server.configure(faults=[*_HOSTILE, *target.plan.gateway_faults])
    time.sleep(2 * fault.seconds)
    target.server.configure(faults=target.plan.gateway_faults)
    return "answered"


def strangers(target: Target, fault: Fault) -> str:
    """Files that are not of the spool come into its folders, and stay; a drain comes too."""
    with target.disk:
        for folder in target.written_to():
            for name, content in _STRANGERS:
                path = folder / name
                if path not in target.strangers and path.parent.is_dir():
                    target.strangers.add(path)
                    _put_stranger(path, content)
    target.flush()
    return "came"


def locks_gone(target: Target, fault: Fault) -> str:
    """A cleaner of old files takes the lock files away, those of the living too; a drain comes meanwhile."""
    with target.disk:
        locks = [path for folder in target.written_to() for path in folder.rglob("lock")]
        for path in locks:
            path.unlink(missing_ok=True)
    target.flush()
    return f"{len(locks)} were taken away" if locks else NOBODY


def redis_nonsense(target: Target, fault: Fault) -> str:
    """For a while something answers in the place of Redis that is none; then Redis is back, and has forgotten all."""
    assert target.redis is not None
    with target.redis_is_here:
        target.redis.kill()
        with nonsense_running(target.redis.port):
            time.sleep(2 * fault.seconds)
        target.redis.start()
    return "answered"


FAULTS: dict[str, Callable[[Target, Fault], str]] = {
    plan.KILL_WORKER: kill_worker,
    plan.STOP_WORKER: stop_worker,
    plan.KILL_DRAIN: kill_drain,
    plan.DRAINS_AT_ONCE: drains_at_once,
    plan.DISK_FULL: disk_full,
    plan.READ_ONLY: read_only,
    plan.CLOCK_JUMP: clock_jump,
    plan.REPEATED_FILE: repeated_file,
    plan.DELAYED_FILE: delayed_file,
    plan.KILL_DRIVER: kill_driver,
    plan.KILL_EXECUTOR: kill_executor,
    plan.DROP_EXECUTORS: drop_executors,
    plan.HOSTILE_ANSWERS: hostile_answers,
    plan.STRANGERS: strangers,
    plan.LOCKS_GONE: locks_gone,
    plan.REDIS_NONSENSE: redis_nonsense,
}
NEED_A_DRAIN = frozenset({plan.KILL_DRAIN, plan.DRAINS_AT_ONCE})


def _wait_for_sealed(spool_dir: Path) -> Path | None:
    """A sealed segment, the first that is there within a few seconds."""
    until = time.monotonic() + _FIND_WITHIN_S
    while time.monotonic() < until:
        if found := sorted((spool_dir / "sealed").glob("[!.]*")):
            return found[0]
        time.sleep(0.01)
    return None


def _files(folder: Path, pattern: str) -> set[Path]:
    return set(folder.glob(pattern)) if pattern else set()


def _put_stranger(path: Path, content: bytes | None) -> None:
    if content is None:
        path.symlink_to("/nowhere")
    else:
        path.write_bytes(content)


def _put(source: Path, target: Path) -> None:
    """Puts a file into another folder, whole from the first moment on."""
    partial = target.with_name(f".{target.name}")
    shutil.copy2(source, partial)
    partial.rename(target)
