"""A process that fills up a disk of its own while attempts are under way; prints what became of them as JSON.

It is to be started in a mount namespace of its own (`unshare`), so that its small disk goes with it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

from gateway_batch.errors import LedgerError
from gateway_batch.usage.spool import SpoolWriter

from .samples import answered, never, outcomes, record, sealed_rows

_UNDER_WAY = 20


def fill(path: Path) -> None:
    """Writes until no byte is left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def main(disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    spool = disk / "spool"
    writer = SpoolWriter(spool, defer=never)
    for number in range(_UNDER_WAY):
        writer.intend(record(str(number)))
    fill(disk / "filler")
    sent, refusal = _UNDER_WAY, ""
    with contextlib.suppress(LedgerError):
        while sent < 10_000:
            try:
                writer.intend(record(str(sent)))
            except LedgerError as error:
                refusal = str(error)
                raise
            sent += 1
    for number in range(sent):
        writer.settle(answered(str(number)))
    writer.close()
    print(json.dumps({"sent": sent, "refusal": refusal, "outcomes": outcomes(sealed_rows(spool))}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
