"""One run: a query, its faults, its drains until nothing is left, its ledger."""

from __future__ import annotations

import contextlib
import itertools
import re
import shutil
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gateway_batch as gb
from gateway_batch.devgateway import RunningGateway, Settings, running
from tests.faults.campaign import disks, run_ledger
from tests.faults.campaign.drain_process import DrainProcess
from tests.faults.campaign.driver import start_driver
from tests.faults.campaign.faults import FAULTS, NEED_A_DRAIN
from tests.faults.campaign.places import Place
from tests.faults.campaign.plan import AFTER_THE_ACTION, KILL_DRIVER, OF_DISKS, REDIS_NONSENSE, Fault, Plan
from tests.faults.campaign.processes import kill_tree
from tests.faults.campaign.queries import RunningQuery, query
from tests.faults.campaign.target import Target
from tests.redis_server import RedisServer

_TOKEN = "campaign-token"
_OWN_ERROR = re.compile(r"AI_FUNCTION_|AiFunctionError|LedgerError|ConfigError")
_LOOK_EVERY_S = 0.03
_END_WITHIN_S = 90.0
_EMPTY_WITHIN_S = 45.0
_ROWS_TO_COPY_BY = 8
"""In a partition each, so that both hosts have some."""


def run(place: Place, plan: Plan) -> dict[str, Any]:
    """Does it. Its folder and table are kept if anything was wrong.

    Returns:
        The result, as it stands in the results' file.
    """
    began = time.monotonic()
    folder = place.folder / f"{plan.where}-{plan.seed}"
    folder.mkdir(parents=True)
    reported: dict[str, Any] = {"where": plan.where, "seed": plan.seed, "plan": plan.as_json()}
    try:
        place.restore()
        reported |= _play(place, plan, folder)
    except Exception as error:
        reported |= {"verdict": run_ledger.BROKEN, "wrong": [f"{type(error).__name__}: {error}"[:500]]}
        (folder / "traceback").write_text(traceback.format_exc())
    reported["seconds"] = round(time.monotonic() - began, 2)
    if reported["wrong"]:
        reported["folder"] = str(folder)
    else:
        shutil.rmtree(folder)
    return reported


def _play(place: Place, plan: Plan, folder: Path) -> dict[str, Any]:
    marks = [time.monotonic()]

    def mark() -> None:
        marks.append(time.monotonic())

    with contextlib.ExitStack() as stack:
        server, config, target = _prepare(stack, place, plan, folder)
        mark()
        query_told, done = _query(stack, target, server, config)
        mark()
        left = _drain(target)
        target.gateway.close()
        mark()
        found = _count(target, server)
        cut_off = plan.may_cut_off or target.kills > 0 or plan.may_fail
        met = [*target.wrong, *left, *target.missing_strangers()]
        wrong = met + run_ledger.complaints(found, most_unknown=target.most_unknown, may_cut_off=cut_off)
        if wrong:
            _keep(target.spool_dir, folder / "spool_at_the_end")
        else:
            place.spark.sql(f"DROP TABLE {target.usage.table}")
        mark()
    seconds = [round(after - before, 2) for before, after in itertools.pairwise(marks)]
    return {
        "query": query_told,
        "faults": done,
        "kills": target.kills,
        "sent": found.sent,
        "rows": found.rows,
        "outcomes": found.outcomes,
        "classes": found.classes,
        "wrong": wrong,
        "verdict": run_ledger.DISAGREE if wrong else run_ledger.AGREE,
        "phases": dict(zip(("start", "query", "drain", "reconcile"), seconds, strict=True)),
    }


def _prepare(
    stack: contextlib.ExitStack, place: Place, plan: Plan, folder: Path
) -> tuple[RunningGateway, dict[str, Any], Target]:
    """The gateway, the registration's settings, and what the faults are done to."""
    spool_dir = folder / "spool"
    if plan.kinds & OF_DISKS:
        stack.enter_context(disks.small_disk(spool_dir))
    server = stack.enter_context(running(_gateway_settings(plan, folder)))
    redis = _redis(stack, folder) if REDIS_NONSENSE in plan.kinds else None
    config = _config(plan, server, spool_dir) | ({} if redis is None else {"coordination": redis.url})
    here = {**config, "flush_interval": 0} if KILL_DRIVER in plan.kinds else config
    gateway = stack.enter_context(gb.register_ai_query(place.spark, gb.GatewayConfig.from_env(**here)))
    gateway.usage.flush()  # makes the table, so that every drain finds the same one
    drains = [
        DrainProcess(place.spark, spool_dir, gateway.usage.table, place.environment)
        for fault in plan.faults
        if fault.kind in NEED_A_DRAIN
    ]
    for drain in drains:
        stack.callback(drain.kill)
    return server, config, Target(plan, place, folder, spool_dir, server, gateway, drains, redis)


def _redis(stack: contextlib.ExitStack, folder: Path) -> RedisServer:
    server = RedisServer(folder)
    server.start()
    stack.callback(server.kill)
    return server


def _gateway_settings(plan: Plan, folder: Path) -> Settings:
    given = {"port": 0, "token": _TOKEN, "ledger": folder / "gateway.sqlite", "latency_ms": plan.latency_ms}
    return Settings.model_validate({**given, "faults": plan.gateway_faults})


def _config(plan: Plan, server: RunningGateway, spool_dir: Path) -> dict[str, Any]:
    return {
        "host": server.host,
        "token": _TOKEN,
        "max_concurrency": plan.concurrency,
        "flush_interval": plan.flush_interval,
        "spool_dir": str(spool_dir),
        "usage_table": f"campaign.{plan.where}_{plan.seed}",
        "max_attempts": 10,
    }


def _query(
    stack: contextlib.ExitStack, target: Target, server: RunningGateway, config: dict[str, Any]
) -> tuple[str, list[dict[str, Any]]]:
    """Runs the query with its faults; once more if a disk ended it. Returns how it ended, and what the faults met."""
    plan = target.plan
    if KILL_DRIVER in plan.kinds:
        driver = start_driver(
            target.place.environment,
            warehouse=str(target.place.folder / "warehouse"),
            config=config,
            rows=plan.rows,
            partitions=plan.partitions,
        )
        stack.callback(kill_tree, driver.pid)
        target.driver = driver
        done = _with_faults(target, server, lambda: driver.poll() is None)
        driver.wait()
        return "its driver was killed" if driver.returncode < 0 else "answered", done
    done = []
    with _after_the_action(target, done) as then:
        first = RunningQuery(query(target.spark, plan.rows, plan.partitions), plan.rows, then)
        done += _with_faults(target, server, first.is_alive)
        first.join()
    if first.failure is None:
        target.wrong += [] if first.is_complete else ["the query's answers are not complete"]
        return "answered", done
    if not plan.may_fail:
        target.wrong.append(f"the query failed: {first.failure}")
    elif not _OWN_ERROR.search(first.failure):
        target.wrong.append(f"the query failed with an error that is none of ours: {first.failure}")
    again = RunningQuery(query(target.spark, plan.rows, plan.partitions), plan.rows, lambda: None)
    again.join(_END_WITHIN_S)
    if not again.is_complete:
        target.wrong.append(f"the query failed again: {again.failure}")
    return first.failure, done


@contextlib.contextmanager
def _after_the_action(target: Target, done: list[dict[str, Any]]) -> Iterator[Callable[[], None]]:
    """What is to be done in the query's own thread as it has its rows."""
    faults = [fault for fault in target.plan.faults if fault.at == AFTER_THE_ACTION]
    yield lambda: done.extend(_do(target, fault) for fault in faults)


def _with_faults(target: Target, server: RunningGateway, is_alive: Callable[[], bool]) -> list[dict[str, Any]]:
    """Starts each fault at its moment, the rest when the query has ended; returns when all are over."""
    waiting = [fault for fault in target.plan.faults if fault.at != AFTER_THE_ACTION]
    until = time.monotonic() + _END_WITHIN_S
    with ThreadPoolExecutor(len(waiting) + 1) as threads:
        started: list[Future[dict[str, Any]]] = []
        while waiting and is_alive():
            share = server.stats()["requests"] / target.plan.rows
            while waiting and waiting[0].at <= share:
                started.append(threads.submit(_do, target, waiting.pop(0)))
            if time.monotonic() > until:
                raise TimeoutError(f"the query did not end; {share:.2f} of its requests are answered")
            time.sleep(_LOOK_EVERY_S)
        started += [threads.submit(_do, target, fault) for fault in waiting]
        return [future.result() for future in started]


def _do(target: Target, fault: Fault) -> dict[str, Any]:
    try:
        met = FAULTS[fault.kind](target, fault)
    except Exception as error:
        met = f"{type(error).__name__}: {error}"[:300]
        target.wrong.append(f"{fault.kind}: {met}")
        (target.folder / f"traceback_{fault.kind}_{threading.get_ident()}").write_text(traceback.format_exc())
    return {"kind": fault.kind, "met": met}


def _drain(target: Target) -> list[str]:
    """Flushes until no segment is left; what is wrong if that does not come."""
    _keep(target.spool_dir, target.folder / "spool_before_the_last_drain")
    until = time.monotonic() + _EMPTY_WITHIN_S
    if target.place.cluster is not None:
        _let_hosts_copy(target, until)
    while True:
        target.usage.flush()
        left = _left(target)
        if not left or time.monotonic() > until:
            return [f"left in the spool: {', '.join(path.name for path in left)}"] if left else []
        time.sleep(0.1)


def _let_hosts_copy(target: Target, until: float) -> None:
    """Gives each host a process again, which copies to the spool folder what the dead left."""
    while True:
        target.place.restore()
        query(target.spark, _ROWS_TO_COPY_BY, _ROWS_TO_COPY_BY).collect()
        if not _left(target, target.written_to()) or time.monotonic() > until:
            return


def _left(target: Target, folders: Iterable[Path] | None = None) -> list[Path]:
    """What spool folders, all by default, still hold: all files but locks and strangers."""
    folders = {target.spool_dir, *target.written_to()} if folders is None else folders
    found = [path for folder in folders for part in ("active", "sealed") for path in (folder / part).rglob("*")]
    return [path for path in found if path.name != "lock" and path.is_file() and path not in target.strangers]


def _count(target: Target, server: RunningGateway) -> run_ledger.RunLedger:
    rows = target.spark.table(target.usage.table).select("client_metadata.event_id", "client_metadata.outcome")
    ours = [(row.event_id, row.outcome) for row in rows.collect()]
    classes = target.usage.reconcile(server.ledger).select("event_id", "class").collect()
    with contextlib.closing(sqlite3.connect(server.ledger)) as ledger:
        ((sent,),) = ledger.execute("SELECT count(*) FROM usage")
    return run_ledger.count(sent, ours, [(row["event_id"], row["class"]) for row in classes])


def _keep(spool_dir: Path, target: Path) -> None:
    """A copy of a spool folder as it is; what goes meanwhile is not in it."""
    with contextlib.suppress(shutil.Error, OSError):
        shutil.copytree(spool_dir, target, ignore=shutil.ignore_patterns("lock"))
