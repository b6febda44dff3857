"""A worker that dies at each step of writing, sealing and shipping: each request that was sent has one record."""

from __future__ import annotations

import os
from pathlib import Path

from gateway_batch.usage.shipping import ship_leftovers
from gateway_batch.usage.spool import SpoolWriter, prepare, sealed_segments
from tests.crashes import dies_before

from .samples import answered, outcomes, record, sealed_rows


def test_a_writer_that_dies_before_any_step_of_sealing_and_shipping(tmp_path: Path) -> None:
    """What reached the shared folder, once all that is left has been recovered and copied, has each intent once."""
    for step in range(1, 200):
        folder = tmp_path / f"step-{step}"
        local, shared = folder / "local", folder / "shared"
        prepare(local)
        prepare(shared)
        hear_end, sent_end = os.pipe()

        def work(local: Path = local, shared: Path = shared, sent_to: int = sent_end) -> None:
            writer = SpoolWriter(local, lambda _: None)
            for name in ("a", "b", "slow"):
                writer.intend(record(name))
                os.write(sent_to, f"{name} ".encode())
            writer.settle(answered("a"))
            writer.seal()
            ship_leftovers(local, shared)
            writer.settle(answered("b"))
            writer.close()
            ship_leftovers(local, shared)

        died = dies_before(step, [folder], work)
        os.close(sent_end)
        sent = set(os.read(hear_end, 100).decode().split())
        os.close(hear_end)
        check_shared(local, shared, sent, died, step)
        if not died:
            assert step > 20
            return
    raise AssertionError("never got through")


def check_shared(local: Path, shared: Path, sent: set[str], died: bool, step: int) -> None:
    ship_leftovers(local, shared)
    rows = outcomes(sealed_rows(shared))
    assert sent <= rows.keys(), f"lost after a death before step {step}"
    assert all(len(found) == 1 for found in rows.values()), f"twice after a death before step {step}"
    if not died:
        assert rows == {"a": ["answered"], "b": ["answered"], "slow": ["unknown"]}
    assert not sealed_segments(local)
