"use strict";
// Figures of the usage under filters, for each value of some dimensions: what `datasets.py` computes in SQL.
//
// What a figure is comes with the page, from `gateway_batch/figures`: each measure's `computed`, and `failed_from`.
// Money is a BigInt of 10**-12 dollars, counts are whole numbers, and what is not known is null.

// Where the page has the values of a column that has percentiles.
const SPREADS = { latency_ms: "latencies", time_to_first_byte_ms: "first_bytes" };

class Engine {
  // `usage` is what Unpack gives; `spread` = {growth, merged} says what a bucket of latencies stands for.
  constructor(usage, { spread, definition, nones }) {
    this.usage = usage;
    this.spread = spread;
    this.filters = definition.filters;
    this.measures = definition.measures;
    this.failedFrom = definition.failed_from;
    this.nones = nones;
    this.tagSets = usage.values.request_tags;
  }

  // Milliseconds that a bucket stands for: the middle of those that were merged into it.
  middle(bucket) {
    const { growth, merged } = this.spread;
    return growth ** (bucket * merged + (merged - 1) / 2);
  }

  textOf(column, value) {
    return value === null ? this.nones[column] : String(value);
  }

  // What can be chosen for a filter, with invocations, most used first.
  choices(filter) {
    const { columns, values, cells } = this.usage;
    const codes = columns[filter.column];
    const uses = new Map();
    const texts = this._textsByCode(filter);
    for (let cell = 0; cell < cells; cell++) {
      for (const text of texts[codes[cell]]) uses.set(text, (uses.get(text) || 0) + columns.invocations[cell]);
    }
    return [...uses]
      .map(([text, count]) => ({ text, count }))
      .sort((a, b) => b.count - a.count || (a.text < b.text ? -1 : 1));
  }

  _textsByCode(filter) {
    const values = this.usage.values[filter.column];
    if (filter.column !== "request_tags") return values.map((value) => [this.textOf(filter.column, value)]);
    return values.map((tags) => tags.filter(([, value]) => value !== null).map(([key, value]) => `${key}=${value}`));
  }

  // Cells that are left: `choice` has `from`, `to` (days) and for each filter's name an array of texts, empty for all;
  // `only` is a column that has to have a value other than false, or null.
  select(choice, only) {
    const { columns, values, cells } = this.usage;
    const tests = [];
    const day = values.day.map((each) => each !== null && each >= choice.from && each <= choice.to);
    tests.push([columns.day, day]);
    for (const filter of this.filters) {
      const chosen = new Set(choice[filter.name] || []);
      if (!chosen.size) continue;
      const passes = this._textsByCode(filter).map((texts) => texts.some((text) => chosen.has(text)));
      tests.push([columns[filter.column], passes]);
    }
    if (only) tests.push([columns[only], values[only].map((value) => value !== null && value !== false)]);
    const selected = [];
    for (let cell = 0; cell < cells; cell++) {
      let passes = true;
      for (const [codes, allowed] of tests) {
        if (!allowed[codes[cell]]) {
          passes = false;
          break;
        }
      }
      if (passes) selected.push(cell);
    }
    return selected;
  }

  // {keys, figures}: keys[i] has the values of the dimensions of row i, figures[name][i] a measure of it.
  figures(selected, dimensions, measures) {
    if (dimensions.includes("hour_of_day")) return this._byHour(selected);
    const rows = this._rows(selected, dimensions);
    const known = {};
    const figure = (name) => (known[name] ??= this._figure(rows, this.measures[name].computed, figure));
    return { keys: rows.keys, figures: Object.fromEntries(measures.map((name) => [name, figure(name)])) };
  }

  // `computed` is a figure's definition; `figure` gives others by their names.
  _figure(rows, computed, figure) {
    const count = rows.keys.length;
    switch (computed.kind) {
      case "requests":
        return (rows.requests ??= this._requests(rows, count))[computed.outcome];
      case "sum":
        return this._summed(rows, count, computed.column);
      case "cost":
        return (rows.costs ??= this._costs(rows, count))[computed.column];
      case "distinct":
        return this._distinct(rows, count, computed.column);
      case "percentile": {
        const spread = SPREADS[computed.column];
        const buckets = (rows[spread] ??= this._spreads(rows, count, this.usage.spreads[spread]));
        return buckets.map((each) => this._percentile(each, computed.percent));
      }
      case "ratio": {
        const below = figure(computed.below);
        return figure(computed.above).map((value, i) => (below[i] ? Number(value) / Number(below[i]) : null));
      }
      default:
        throw new Error(`no such figure: ${computed.kind}`);
    }
  }

  // Rows by the values of the dimensions; a cell with several tags is in several rows, which `entries` lists.
  _rows(selected, dimensions) {
    const parts = dimensions
      .filter((name) => !name.startsWith("tag_"))
      .map((name) => ({ name, codes: this.usage.columns[name], values: this.usage.values[name] }));
    const byTag = dimensions.some((name) => name.startsWith("tag_"));
    const tags = this.usage.columns.request_tags;
    const keys = [],
      number = new Map(),
      entryCells = [],
      entryRows = [],
      tagTexts = new Map();
    const rowOf = (cell, tag) => {
      let code = 0;
      for (const part of parts) code = code * (part.values.length + 1) + part.codes[cell];
      const name = byTag ? JSON.stringify([code, ...tag]) : code;
      let row = number.get(name);
      if (row === undefined) {
        row = keys.length;
        number.set(name, row);
        const named = Object.fromEntries(parts.map((part) => [part.name, part.values[part.codes[cell]]]));
        keys.push(
          dimensions.map((dimension) =>
            dimension === "tag_key" ? tag[0] : dimension === "tag_value" ? tag[1] : named[dimension],
          ),
        );
      }
      return row;
    };
    const ofSet = (code) => {
      if (!tagTexts.has(code)) {
        const pairs = this.tagSets[code].length ? this.tagSets[code] : [[null, null]];
        tagTexts.set(
          code,
          pairs.map(([key, value]) => [
            dimensions.includes("tag_key") ? key : 0,
            dimensions.includes("tag_value") ? value : 0,
          ]),
        );
      }
      return tagTexts.get(code);
    };
    for (const cell of selected) {
      if (!byTag) {
        entryCells.push(cell);
        entryRows.push(rowOf(cell));
      } else {
        for (const tag of ofSet(tags[cell])) {
          entryCells.push(cell);
          entryRows.push(rowOf(cell, tag));
        }
      }
    }
    if (!dimensions.length && !keys.length) keys.push([]);
    return { keys, cells: entryCells, rows: entryRows };
  }

  _summed({ cells, rows }, count, name) {
    const values = this.usage.columns[name],
      sums = new Array(count).fill(0);
    for (let i = 0; i < cells.length; i++) sums[rows[i]] += values[cells[i]];
    return sums;
  }

  // A request counts once in a row and day, whatever of its cells are there; it failed if one of these did.
  _requests({ cells, rows }, count) {
    const { columns, values, groups } = this.usage;
    const statuses = values.status_code;
    const failed = statuses.map((status) => status !== null && status >= this.failedFrom);
    const answered = statuses.map((status) => status !== null);
    const result = {
      any: new Array(count).fill(0),
      failed: new Array(count).fill(0),
      unknown: new Array(count).fill(0),
    };
    const add = (row, requests, isFailed, isAnswered) => {
      result.any[row] += requests;
      if (isFailed) result.failed[row] += requests;
      if (!isAnswered) result.unknown[row] += requests;
    };
    const starts = new Int32Array(this.usage.cells).fill(-1);
    for (let i = 0; i < cells.length; i++) {
      const cell = cells[i];
      if (starts[cell] < 0) starts[cell] = i;
      if (groups.single[cell] && !this._seen(cells, rows, starts[cell], i)) {
        const status = columns.status_code[cell];
        add(rows[i], groups.single[cell], failed[status], answered[status]);
      }
    }
    for (let group = 0; group < groups.requests.length; group++) {
      const found = [];
      for (let at = groups.starts[group]; at < groups.starts[group + 1]; at++) {
        const cell = groups.cells[at],
          status = columns.status_code[cell],
          day = columns.day[cell];
        if (starts[cell] < 0) continue;
        for (let i = starts[cell]; cells[i] === cell; i++) {
          let same = found.find((each) => each.row === rows[i] && each.day === day);
          if (!same) found.push((same = { row: rows[i], day, failed: false, answered: false }));
          same.failed ||= failed[status];
          same.answered ||= answered[status];
        }
      }
      for (const each of found) add(each.row, groups.requests[group], each.failed, each.answered);
    }
    return result;
  }

  // Whether the cell of entry i was in the same row before, as its first entry is at `start`.
  _seen(cells, rows, start, i) {
    for (let before = start; before < i; before++) if (rows[before] === rows[i]) return true;
    return false;
  }

  _costs({ cells, rows }, count) {
    const { columns } = this.usage;
    const sums = () => [0, 1, 2].map(() => new Array(count).fill(0));
    const cost = sums(),
      untagged = sums(),
      isKnown = new Array(count).fill(false);
    const parts = ["cost_dollars", "cost_millionths", "cost_rest"].map((name) => columns[name]);
    for (let i = 0; i < cells.length; i++) {
      const cell = cells[i],
        row = rows[i];
      if (!columns.is_priced[cell]) continue;
      isKnown[row] = true;
      const isTagged = this.tagSets[columns.request_tags[cell]].length > 0;
      for (let part = 0; part < 3; part++) {
        cost[part][row] += parts[part][cell];
        if (!isTagged) untagged[part][row] += parts[part][cell];
      }
    }
    const whole = (of, row) => (BigInt(of[0][row]) * 1000000n + BigInt(of[1][row])) * 1000000n + BigInt(of[2][row]);
    const known = (of) => isKnown.map((is, row) => (is ? whole(of, row) : null));
    return { cost_usd: known(cost), untagged_cost_usd: known(untagged) };
  }

  _distinct({ cells, rows }, count, column) {
    const codes = this.usage.columns[column],
      values = this.usage.values[column];
    const seen = Array.from({ length: count }, () => new Set());
    for (let i = 0; i < cells.length; i++) {
      const code = codes[cells[i]];
      if (values[code] !== null) seen[rows[i]].add(code);
    }
    return seen.map((each) => each.size);
  }

  _spreads({ cells, rows }, count, spread) {
    const of = Array.from({ length: count }, () => new Map());
    for (let i = 0; i < cells.length; i++) {
      const buckets = of[rows[i]];
      for (let at = spread.starts[cells[i]]; at < spread.starts[cells[i] + 1]; at++) {
        buckets.set(spread.buckets[at], (buckets.get(spread.buckets[at]) || 0) + spread.counts[at]);
      }
    }
    return of.map((buckets) => [...buckets].sort((a, b) => a[0] - b[0]));
  }

  // Interpolated between the two values next to (n - 1) p, as Spark's percentile() is.
  _percentile(buckets, percent) {
    const total = buckets.reduce((sum, [, count]) => sum + count, 0);
    if (!total) return null;
    const place = ((total - 1) * percent) / 100;
    const low = Math.floor(place),
      high = Math.ceil(place);
    let seen = 0,
      below = null;
    for (const [bucket, count] of buckets) {
      seen += count;
      if (below === null && seen > low) below = this.middle(bucket);
      if (seen > high) {
        const above = this.middle(bucket);
        return below === above ? below : below * (high - place) + above * (place - low);
      }
    }
    return null;
  }

  _byHour(selected) {
    const { columns, values, spreads } = this.usage;
    const counts = new Map();
    for (const cell of selected) {
      const weekday = (((values.day[columns.day[cell]] + 3) % 7) + 7) % 7;
      for (let at = spreads.hours.starts[cell]; at < spreads.hours.starts[cell + 1]; at++) {
        const key = weekday * 24 + spreads.hours.buckets[at];
        counts.set(key, (counts.get(key) || 0) + spreads.hours.counts[at]);
      }
    }
    const keys = [...counts.keys()].sort((a, b) => a - b);
    return {
      keys: keys.map((key) => [Math.floor(key / 24), key % 24]),
      figures: { invocations_by_hour: keys.map((key) => counts.get(key)) },
    };
  }
}
