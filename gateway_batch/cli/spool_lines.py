"""What waits in the spool, as lines for the terminal."""

from __future__ import annotations

from gateway_batch.config import check_table_name
from gateway_batch.usage.foreign_files import shown
from gateway_batch.usage.segment_names import table_key
from gateway_batch.usage.spool_backlog import SpoolBacklog, Waiting

_MOST_STRANGERS = 5


def lines_about(found: SpoolBacklog, table: str) -> list[str]:
    """A line for each thing that waits, and says what brings it to its table.

    Args:
        found: what waits.
        table: the usage table in force.
    """
    lines = [line for each in found.waiting for line in _about(each, table)]
    lines += [
        f"{shown(path)} is not of the spool, or can't be read: left alone" for path in found.strangers[:_MOST_STRANGERS]
    ]
    if (more := len(found.strangers) - _MOST_STRANGERS) > 0:
        lines.append(f"{more:,} more files there are not of the spool")
    return lines


def _about(each: Waiting, table: str) -> list[str]:
    since, lines = f"since {each.since:%Y-%m-%d %H:%M} UTC", []
    if each.records and each.is_for(table):
        lines.append(f"{each.records:,} more records wait in the spool {since}: gateway-batch usage flush commits them")
    elif each.records and (other := _name_of_table(each)) is None:
        lines.append(f"{each.records:,} records in the spool {since} are for a table whose name is damaged there")
    elif each.records:
        lines.append(
            f"{each.records:,} records in the spool are for {other} {since}: gateway-batch usage flush "
            f"--usage-table {other} commits them"
        )
    if each.elsewhere:
        lines.append(
            f"{each.elsewhere:,} records in the spool are of processes on {shown(', '.join(each.hosts))} {since}, and "
            "it can't be proven from here that they have ended: a flush on that machine takes them"
        )
    if each.unlocked:
        first, *more = each.folders
        lines.append(
            f"{each.unlocked:,} records in the spool {since} are of processes whose locks are gone, and it can't be "
            f"proven that they have ended. Once you know that, make an empty file 'lock' in {shown(first)}"
            f"{f' and {len(more)} more folders there' if more else ''}: the next flush takes them"
        )
    return lines


def _name_of_table(each: Waiting) -> str | None:
    """The table's name if it is one, as anybody could have written it who can write to the spool."""
    if each.table is None or each.key != table_key(each.table):
        return None
    try:
        return check_table_name(each.table)
    except ValueError:
        return None
