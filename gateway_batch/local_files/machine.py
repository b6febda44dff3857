"""Which machine this is, whatever its host name is, and whether a folder is on a disk of its own.

Containers of one machine have host names of their own, and machines that were cloned may have one in common.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path

_DISKS = frozenset(
    ("apfs", "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "overlay", "ramfs", "tmpfs", "xfs", "zfs")
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


@functools.cache
def boot_id() -> str | None:
    """What one run of the machine's kernel has for itself, in all of its containers; None where there is none."""
    return _content("/proc/sys/kernel/random/boot_id")


@functools.cache
def machine_id() -> str | None:
    """What an installation has for itself, hashed as it is confidential; None where there is none."""
    found = _content("/etc/machine-id")
    return found and hashlib.sha256(f"gateway_batch {found}".encode()).hexdigest()[:16]


def on_local_disk(path: Path) -> bool:
    """Whether a folder is on a disk of this machine; False where that is not known.

    Other machines may reach it all the same, if this one exports it by NFS or Samba.
    """
    mounts = _content("/proc/self/mountinfo")
    if mounts is None:
        return False
    real = Path(os.path.realpath(path))
    inside = {Path(), real, *real.parents}
    longest, kind = -1, ""
    for line in mounts.split("\n"):  # other ends of lines may be in names
        mount, _, rest = line.partition(" - ")
        if len(fields := mount.split(" ")) < 5:
            continue
        place = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), fields[4])
        if Path(place) in inside and len(place) >= longest:  # a later mount covers an earlier one
            longest, kind = len(place), rest.partition(" ")[0]
    return kind in _DISKS


def _content(path: str) -> str | None:
    try:
        return Path(path).read_bytes().decode(errors="surrogateescape").strip() or None
    except OSError:
        return None
