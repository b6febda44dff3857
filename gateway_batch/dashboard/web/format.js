"use strict";
// How figures are written: short for people, exact for titles and CSV.

const Format = (() => {
  const NONE = "–";
  const PICO = 10 ** 12;
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const compact = new Intl.NumberFormat("en-US", {
    notation: "compact",
    minimumFractionDigits: 0,
    maximumSignificantDigits: 3,
  });
  const cents = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
  const dollars = new Intl.NumberFormat("en-US", {
    style: "currency",
    currency: "USD",
    notation: "compact",
    maximumSignificantDigits: 4,
  });
  const tiny = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumSignificantDigits: 2 });
  const digits = (value, most) => new Intl.NumberFormat("en-US", { maximumFractionDigits: most }).format(value);

  // A figure as a double, for charts and sorting.
  const number = (value) => (value === null ? null : typeof value === "bigint" ? Number(value) / PICO : value);

  function share(value) {
    if (value !== 0 && Math.abs(value) < 0.0001) return "<0.01%";
    return (value * 100).toFixed(Math.abs(value) < 0.1 ? 2 : 1) + "%";
  }

  function milliseconds(value) {
    if (value >= 99950) return digits(value / 1000, 0) + " s";
    if (value >= 999.5) return (value / 1000).toFixed(value >= 9995 ? 1 : 2) + " s";
    return digits(value, value < 10 ? 1 : 0) + " ms";
  }

  function money(value) {
    const amount = number(value);
    if (amount !== 0 && Math.abs(amount) < 0.01) return tiny.format(amount);
    return Math.abs(amount) >= 1e6 ? dollars.format(amount) : cents.format(amount);
  }

  const short = {
    count: (value) => (Math.abs(value) < 10000 ? whole.format(value) : compact.format(value)),
    share,
    milliseconds,
    dollars: (value) => (Math.abs(number(value)) >= 1e5 ? dollars.format(number(value)) : money(value)),
  };
  const long = { count: (value) => whole.format(value), share, milliseconds, dollars: money };

  // All digits of a decimal of 10**-12 dollars.
  function exactMoney(value) {
    const sign = value < 0n ? "-" : "",
      size = value < 0n ? -value : value;
    const rest = String(size % 1000000000000n)
      .padStart(12, "0")
      .replace(/0+$/, "");
    return sign + size / 1000000000000n + (rest ? "." + rest : "");
  }

  function exact(value) {
    if (value === null || value === undefined) return "";
    return typeof value === "bigint" ? exactMoney(value) : String(value);
  }

  function full(value, format) {
    if (value === null) return "not known";
    if (format === "dollars") return "$" + exactMoney(value);
    if (format === "milliseconds") return digits(value, 1) + " ms";
    if (format === "share") return digits(value * 100, 4) + "%";
    return whole.format(value);
  }

  const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
  const iso = (day) => new Date(day * 86400000).toISOString().slice(0, 10);

  function date(day, { year = true } = {}) {
    const at = new Date(day * 86400000);
    return `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}` + (year ? ` ${at.getUTCFullYear()}` : "");
  }

  function dates(from, to) {
    if (from === to) return date(from);
    const [first, last] = [iso(from), iso(to)];
    if (first.slice(0, 7) === last.slice(0, 7)) return `${Number(first.slice(8))}–${date(to)}`;
    return `${date(from, { year: first.slice(0, 4) !== last.slice(0, 4) })} – ${date(to)}`;
  }

  const plural = (count, one, many = one + "s") => `${whole.format(count)} ${count === 1 ? one : many}`;

  // A change against an earlier figure: shares in points, everything else in percent of it.
  function change(now, before, format) {
    if (now === null || before === null) return null;
    const [a, b] = [number(now), number(before)];
    if (format === "share")
      return { sign: Math.sign(Math.round((a - b) * 1e4)), text: Math.abs((a - b) * 100).toFixed(2) + " pts" };
    if (b === 0) return a === 0 ? { sign: 0, text: "0%" } : { sign: 1, text: "new" };
    const percent = (a / b - 1) * 100,
      size = Math.abs(percent);
    return {
      sign: size < 0.05 ? 0 : Math.sign(percent),
      text: size >= 1000 ? compact.format(a / b) + "×" : size.toFixed(size < 10 ? 1 : 0) + "%",
    };
  }

  // A field of a CSV file; texts that a spreadsheet would take for a formula get an apostrophe before them.
  function csvField(value, isText) {
    let text = exact(value);
    if (isText && /^[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(dimensions, measures, rows) {
    const lines = [[...dimensions, ...measures].join(",")];
    for (const { key, figures } of rows) {
      lines.push(
        [
          ...key.map((value) => csvField(value, typeof value === "string")),
          ...measures.map((name) => csvField(figures[name])),
        ].join(","),
      );
    }
    return "\ufeff" + lines.join("\r\n") + "\r\n";
  }

  return {
    NONE,
    number,
    short,
    long,
    exact,
    full,
    iso,
    date,
    dates,
    plural,
    change,
    csv,
    whole: (value) => whole.format(value),
  };
})();
