"use strict";
// The usage that the page carries, as arrays: what `packed.py` wrote. A date is a number of days since 1970.

const Unpack = (() => {
  async function inflated(base64) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  const dayNumber = (text) => Math.round(Date.parse(text + "T00:00:00Z") / 86400000);

  function columnsOf(bytes, head, start) {
    const columns = {};
    let at = start;
    for (const { name, length, width, signed, from_before: fromBefore } of head.columns) {
      const values = new Float64Array(length);
      for (let plane = 0, unit = 1; plane < width; plane++, unit *= 256) {
        for (let i = 0; i < length; i++) values[i] += bytes[at++] * unit;
      }
      if (signed) {
        for (let i = 0; i < length; i++) values[i] = values[i] % 2 ? -(values[i] + 1) / 2 : values[i] / 2;
      }
      if (fromBefore) for (let i = 1; i < length; i++) values[i] += values[i - 1];
      columns[name] = values;
    }
    return columns;
  }

  function spreadOf(columns, name) {
    const sizes = columns[name + ".sizes"],
      firsts = columns[name + ".firsts"],
      gaps = columns[name + ".gaps"];
    const counts = columns[name + ".counts"].map((count) => count + 1);
    const starts = new Uint32Array(sizes.length + 1);
    const buckets = new Int32Array(counts.length);
    for (let cell = 0, first = 0, gap = 0, at = 0; cell < sizes.length; cell++) {
      for (let i = 0; i < sizes[cell]; i++, at++) {
        buckets[at] = i === 0 ? firsts[first++] : buckets[at - 1] + 1 + gaps[gap++];
      }
      starts[cell + 1] = at;
    }
    return { starts, buckets, counts };
  }

  // Requests of one cell, by cell; and of several: group i has the cells from starts[i] to starts[i + 1].
  function groupsOf(columns, head) {
    const single = new Float64Array(head.cells);
    const starts = [0],
      cells = [],
      requests = [];
    for (const size of head.group_sizes) {
      const of = columns[`groups.${size}.requests`];
      const at = Array.from({ length: size }, (_, place) => columns[`groups.${size}.${place}`]);
      for (let i = 0; i < of.length; i++) {
        if (size === 1) {
          single[at[0][i]] += of[i];
          continue;
        }
        for (const column of at) cells.push(column[i]);
        starts.push(cells.length);
        requests.push(of[i]);
      }
    }
    return { single, starts, cells, requests };
  }

  // What `packed.py` left out because other figures foretell it.
  function restore(columns, hours, cells) {
    for (let cell = 0; cell < cells; cell++) {
      for (let at = hours.starts[cell]; at < hours.starts[cell + 1]; at++)
        columns.invocations[cell] += hours.counts[at];
      columns.total_tokens[cell] += columns.input_tokens[cell] + columns.output_tokens[cell];
      if (!columns.is_priced[cell]) columns.unpriced_tokens[cell] += columns.total_tokens[cell];
    }
  }

  async function usage(base64) {
    const bytes = await inflated(base64);
    const length = new DataView(bytes.buffer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    const columns = columnsOf(bytes, head, 4 + length);
    const spreads = {};
    for (const name of ["hours", "latencies", "first_bytes"]) spreads[name] = spreadOf(columns, name);
    restore(columns, spreads.hours, head.cells);
    const days = head.days.map((day) => (day === null ? null : dayNumber(day)));
    return {
      cells: head.cells,
      values: { ...head.values, day: days },
      columns,
      spreads,
      groups: groupsOf(columns, head),
    };
  }

  return { usage, inflated, dayNumber };
})();
