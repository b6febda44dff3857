"use strict";
// The widgets of a page. Each is made from `context`: {engine, sessions, state, definition, selected, before, only, page}.

const Widgets = (() => {
  const { measureOf, textOf, rowsOf, moneyText, moneyTitle, csvButton, card, empty, sortByKey } = Parts;
  const SERIES = 7;

  const span = (context) =>
    Array.from({ length: context.state.to - context.state.from + 1 }, (_, i) => context.state.from + i);

  function tile(context, widget) {
    const { engine, state } = context;
    const measure = measureOf(context, widget.measure),
      { format } = measure;
    const isCost = format === "dollars";
    const names = [measure.name, ...(isCost ? ["unpriced_tokens"] : [])];
    const now = engine.figures(context.selected, [], names).figures;
    const value = now[measure.name][0],
      unpriced = isCost ? now.unpriced_tokens[0] : 0;
    const text = isCost
      ? moneyText(value, unpriced, Format.short.dollars)
      : value === null
        ? Format.NONE
        : Format.short[format](value);
    const title = isCost ? moneyTitle(value, unpriced) : Format.full(value, format);
    const byDay = engine.figures(context.selected, ["day"], [measure.name]);
    const ofDay = new Map(byDay.keys.map(([day], i) => [day, Format.number(byDay.figures[measure.name][i])]));
    const isCount = format === "count";
    const course = span(context).map((day) => ofDay.get(day) ?? (isCount ? 0 : null));
    return el(
      "section",
      { class: "tile", "data-measure": measure.name, "aria-label": measure.title },
      el("h3", { title: measure.note, text: measure.title }),
      el("p", { class: "value", title, text, "data-exact": Format.exact(value) }),
      change(context, measure, value),
      Charts.sparkline(course),
      csvButton(`${context.page.name} ${measure.title}`, [], names.slice(0, 1), () => [
        { key: [], figures: { [measure.name]: value } },
      ]),
    );
  }

  function change(context, measure, value) {
    const days = context.state.to - context.state.from + 1;
    if (!context.before) return el("p", { class: "change none", text: "no earlier data" });
    const before = context.engine.figures(context.before, [], [measure.name]).figures[measure.name][0];
    const found = Format.change(value, before, measure.format);
    if (!found) return el("p", { class: "change none", text: "no earlier figure" });
    const good = found.sign * measure.rise_is;
    const arrow = found.sign > 0 ? "▲" : found.sign < 0 ? "▼" : "■";
    const sign = found.sign > 0 ? "+" : found.sign < 0 ? "−" : "";
    const kind = good > 0 ? "good" : good < 0 ? "bad" : "even";
    const write = (each) => (each === null ? Format.NONE : Format.short[measure.format](each));
    return el(
      "p",
      { class: "change", title: `${write(before)} in the ${Format.plural(days, "day")} before` },
      el(
        "span",
        { class: kind },
        el("span", { "aria-hidden": "true", text: arrow + " " }),
        `${found.text === "new" ? "" : sign}${found.text}`,
      ),
      el("span", { class: "against", text: ` vs ${Format.plural(days, "day")} before` }),
    );
  }

  // The greatest values of a dimension each a series, the others one together.
  function split(context, widget, data, days) {
    const name = widget.measures[0],
      totals = new Map();
    data.keys.forEach(([, value], i) =>
      totals.set(value, (totals.get(value) ?? 0) + (Format.number(data.figures[name][i]) ?? 0)),
    );
    const order = [...totals]
      .sort((a, b) => b[1] - a[1] || (String(a[0]) < String(b[0]) ? -1 : 1))
      .map(([value]) => value);
    const own = order.length <= SERIES + 1 ? order : order.slice(0, SERIES);
    const isMoney = measureOf(context, name).format === "dollars";
    const series = own.map((value) => ({ name: textOf(context, widget.by, value), values: days.map(() => null) }));
    if (own.length < order.length)
      series.push({ name: `${order.length - own.length} others`, isRest: true, values: days.map(() => null) });
    const place = new Map(days.map((day, i) => [day, i]));
    data.keys.forEach(([day, value], i) => {
      const figure = data.figures[name][i];
      const { values } = series[own.includes(value) ? own.indexOf(value) : own.length];
      const at = place.get(day);
      if (figure !== null) values[at] = (values[at] ?? (isMoney ? 0n : 0)) + figure;
    });
    // What is stacked needs a number everywhere.
    for (const each of series) each.values = each.values.map((value) => value ?? (isMoney ? 0n : 0));
    return series;
  }

  function courses(context, widget, data, days) {
    const place = new Map(data.keys.map(([day], i) => [day, i]));
    return widget.measures.map((name) => {
      const measure = measureOf(context, name);
      const missing = measure.format === "count" ? 0 : null;
      return {
        name: measure.title,
        values: days.map((day) => (place.has(day) ? data.figures[name][place.get(day)] : missing)),
      };
    });
  }

  function trend(context, widget) {
    const dimensions = widget.by ? ["day", widget.by] : ["day"];
    const data = context.engine.figures(context.selected, dimensions, widget.measures);
    sortByKey(data);
    const csv = csvButton(widget.title, dimensions, widget.measures, () =>
      rowsOf(data, widget.measures).map((row) => ({ ...row, key: [Format.iso(row.key[0]), ...row.key.slice(1)] })),
    );
    const { format } = measureOf(context, widget.measures[0]);
    const days = span(context);
    const series = widget.by ? split(context, widget, data, days) : courses(context, widget, data, days);
    const isKnown = data.keys.length && series.some((each) => each.values.some((value) => value !== null));
    if (!isKnown) {
      const box = card(context, widget, "trend");
      box.append(empty(context));
      return box;
    }
    const legend = series.length > 1 || widget.by ? legendOf(series) : null;
    const tipOf = (i) =>
      el(
        "div",
        {},
        el("strong", { text: Format.date(days[i]) }),
        el(
          "table",
          {},
          ...series.map((each, s) =>
            el(
              "tr",
              {},
              el("td", {}, el("i", { class: each.isRest ? "dot rest" : `dot s${s % 8}` })),
              el("td", { text: each.name }),
              el("td", {
                class: "number",
                text: each.values[i] === null ? Format.NONE : Format.long[format](each.values[i]),
              }),
            ),
          ),
        ),
      );
    const table = () =>
      plainTable(
        ["Day", ...series.map((each) => each.name)],
        days.map((day, i) => [
          Format.iso(day),
          ...series.map((each) => (each.values[i] === null ? Format.NONE : Format.long[format](each.values[i]))),
        ]),
        widget.title,
      );
    return chartCard(context, widget, "trend", {
      csv,
      legend,
      table,
      tipOf,
      specOf: (width) => Charts.trend({ days, series, mark: widget.mark, format }, width),
      says: saysOf(series, format, days),
    });
  }

  function saysOf(series, format, days) {
    return (
      series
        .map((each) => {
          const known = each.values.filter((value) => value !== null).map(Format.number);
          if (!known.length) return `${each.name}: nothing known`;
          const write = (value) => (format === "dollars" ? "$" + value.toFixed(2) : Format.long[format](value));
          return `${each.name}: ${write(Math.min(...known))} to ${write(Math.max(...known))} a day`;
        })
        .join("; ") + `; ${Format.dates(days[0], days.at(-1))}`
    );
  }

  const legendOf = (series) =>
    el(
      "ul",
      { class: "legend", "aria-hidden": "true" },
      ...series.map((each, s) =>
        el(
          "li",
          { title: each.name },
          el("i", { class: each.isRest ? "dot rest" : `dot s${s % 8}` }),
          el("span", { text: each.name }),
        ),
      ),
    );

  // A chart that can be read as a table instead.
  function chartCard(context, widget, kind, { csv, legend, table, tipOf, specOf, says }) {
    const toggle = el("button", {
      type: "button",
      class: "icon",
      "aria-pressed": "false",
      "aria-label": `Show ${widget.title} as a table`,
      title: "Show as a table",
      text: "Table",
    });
    const box = card(context, widget, kind, toggle, csv);
    const plot = el("div", { class: "plot", role: "img", "aria-label": `${widget.title}. ${says}` });
    const chart = Charts.mount(plot, specOf, tipOf);
    let shown = null;
    toggle.addEventListener("click", () => {
      const isTable = toggle.getAttribute("aria-pressed") === "true";
      toggle.setAttribute("aria-pressed", String(!isTable));
      plot.hidden = !isTable;
      if (legend) legend.hidden = !isTable;
      if (isTable) {
        shown.remove();
        chart.draw();
      } else box.append((shown = table()));
    });
    if (legend) box.append(legend);
    box.append(plot);
    context.charts.push(chart);
    return box;
  }

  function plainTable(heads, rows, title) {
    return el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` },
      el(
        "table",
        { class: "figures" },
        el(
          "thead",
          {},
          el("tr", {}, ...heads.map((head, i) => el("th", { scope: "col", class: i ? "number" : null, text: head }))),
        ),
        el(
          "tbody",
          {},
          ...rows.map((row) =>
            el(
              "tr",
              {},
              ...row.map((text, i) => (i ? el("td", { class: "number", text }) : el("th", { scope: "row", text }))),
            ),
          ),
        ),
      ),
    );
  }

  function heatMap(context, widget) {
    const data = context.engine.figures(context.selected, ["weekday", "hour_of_day"], ["invocations_by_hour"]);
    const counts = Charts.DAYS.map(() => new Array(24).fill(0));
    data.keys.forEach(([weekday, hour], i) => (counts[weekday][hour] = data.figures.invocations_by_hour[i]));
    if (!data.keys.length) {
      const box = card(context, widget, "heat");
      box.append(empty(context));
      return box;
    }
    const csv = csvButton(widget.title, ["weekday", "hour_of_day"], ["invocations_by_hour"], () =>
      rowsOf(data, ["invocations_by_hour"]),
    );
    const hours = (hour) => `${String(hour).padStart(2, "0")}:00–${String(hour + 1).padStart(2, "0")}:00`;
    const tipOf = (i) =>
      el(
        "div",
        {},
        el("strong", { text: `${Charts.DAYS[Math.floor(i / 24)]} ${hours(i % 24)} UTC` }),
        el("div", { text: Format.plural(counts[Math.floor(i / 24)][i % 24], "invocation") }),
      );
    const flat = counts.flat(),
      most = flat.indexOf(Math.max(...flat));
    const when = `${Charts.DAYS[Math.floor(most / 24)]} ${hours(most % 24)}`;
    const says = `Most in ${when}: ${Format.plural(flat[most], "invocation")}`;
    const table = () =>
      plainTable(
        ["Hour", ...Charts.DAYS],
        Array.from({ length: 24 }, (_, hour) => [hours(hour), ...counts.map((of) => Format.whole(of[hour]))]),
        widget.title,
      );
    const legend = el(
      "div",
      { class: "ramp", "aria-hidden": "true" },
      el("span", { text: "0" }),
      el("i"),
      el("span", { text: Format.short.count(Math.max(...flat)) }),
    );
    return chartCard(context, widget, "heat", {
      csv,
      legend,
      table,
      tipOf,
      specOf: (width) => Charts.heatMap(counts, width),
      says,
    });
  }

  const note = (context, widget) => el("p", { class: "note", text: widget.text });

  return { make: { tile, trend, heat: heatMap, table: Tables.table, sessions: Tables.table, note } };
})();
