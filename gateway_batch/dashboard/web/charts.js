"use strict";
// Charts by Vega-Lite. Texts of the usage never reach a specification: series and rows go by their numbers.

const Charts = (() => {
  const LABELS = {
    count: "replace(format(datum.value, '~s'), 'G', 'B')",
    share: "format(datum.value, '~%')",
    milliseconds: "datum.value >= 1000 ? format(datum.value / 1000, '~') + ' s' : format(datum.value, '~') + ' ms'",
    dollars: "'$' + (datum.value >= 1000 ? replace(format(datum.value, '~s'), 'G', 'B') : format(datum.value, ',~'))",
  };

  function theme() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return {
      text: of("--muted"),
      grid: of("--line"),
      surface: of("--surface"),
      accent: of("--series-0"),
      series: Array.from({ length: 8 }, (_, i) => of(`--series-${i}`)),
      heat: [of("--heat-0"), of("--heat-1"), of("--heat-2"), of("--heat-3")],
    };
  }

  function config(colors, font) {
    const axis = {
      labelColor: colors.text,
      labelFont: font,
      labelFontSize: 11,
      titleFont: font,
      gridColor: colors.grid,
      domain: false,
      ticks: false,
      labelPadding: 6,
      title: null,
    };
    return { background: "transparent", axis, view: { stroke: null }, font, legend: { disable: true } };
  }

  const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif';

  // `series` = [{name, values}] with a value or null for each of `days`.
  function trend({ days, series, mark, format }, width) {
    const colors = theme();
    const values = [];
    series.forEach((each, s) =>
      each.values.forEach((value, i) => values.push({ at: days[i] * 86400000, s, value: Format.number(value) })),
    );
    const isStacked = mark !== "line";
    const isSingle = days.length === 1;
    const x = {
      field: "at",
      type: "temporal",
      scale: { type: "utc", nice: false },
      axis: {
        grid: false,
        format: "%-d %b",
        labelOverlap: true,
        labelFlush: true,
        tickCount: Math.max(2, Math.min(days.length, Math.floor(width / 80))),
      },
    };
    if (days.length < 8) x.axis.values = days.map((day) => day * 86400000);
    if (mark === "bar" || isSingle)
      Object.assign(x, { type: "ordinal", scale: { paddingInner: 0.25, paddingOuter: 0.1 } });
    if (x.type === "ordinal") {
      const every = Math.max(1, Math.ceil(days.length / Math.max(2, Math.floor(width / 64))));
      x.axis = {
        grid: false,
        labelAngle: 0,
        labelExpr: "utcFormat(datum.value, '%-d %b')",
        values: days.filter((_, i) => i % every === 0).map((day) => day * 86400000),
      };
    }
    const y = {
      field: "value",
      type: "quantitative",
      stack: isStacked ? "zero" : null,
      axis: { labelExpr: LABELS[format], tickCount: 4 },
      scale: { zero: true, nice: true },
    };
    const color = {
      field: "s",
      type: "nominal",
      scale: {
        domain: series.map((_, s) => s),
        range: series.map((each, s) => (each.isRest ? colors.text : colors.series[s % 8])),
      },
    };
    const marks = {
      line: {
        type: "line",
        strokeWidth: 2,
        interpolate: "monotone",
        strokeJoin: "round",
        strokeCap: "round",
        point: days.length < 3 ? { size: 50 } : false,
      },
      area: {
        type: "area",
        opacity: series.length > 1 ? 0.85 : 0.3,
        interpolate: "monotone",
        line: series.length > 1 ? false : { strokeWidth: 2 },
      },
      bar: { type: "bar", cornerRadiusEnd: series.length > 1 ? 0 : 2 },
    };
    const drawn = isSingle && mark === "area" ? "bar" : mark;
    const rows = days.map((day, i) => ({ at: day * 86400000, i }));
    const empty = { value: "transparent" };
    const hover = {
      data: { values: rows },
      params: [
        {
          name: "hover",
          select: {
            type: "point",
            fields: ["i"],
            nearest: x.type === "temporal",
            on: "pointerover",
            clear: "pointerout",
          },
        },
      ],
      mark: x.type === "temporal" ? { type: "rule", strokeWidth: 1 } : { type: "bar", opacity: 0.001 },
      encoding: {
        x,
        tooltip: { field: "i", type: "quantitative" },
        ...(x.type === "temporal"
          ? { color: { condition: { param: "hover", empty: false, value: colors.text }, ...empty } }
          : { y: { value: 0 }, y2: { value: "height" } }),
      },
    };
    return {
      width,
      height: 200,
      padding: { left: 4, right: 10, top: 6, bottom: 2 },
      autosize: { type: "fit", contains: "padding" },
      layer: [
        {
          data: { values },
          mark: { ...marks[drawn], tooltip: false, clip: false },
          encoding: { x, y, color, order: { field: "s", type: "quantitative" } },
        },
        hover,
      ],
      config: config(colors, FONT),
    };
  }

  const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

  // `counts[weekday][hour]`.
  function heatMap(counts, width) {
    const colors = theme();
    const values = counts.flatMap((hours, weekday) =>
      hours.map((value, hour) => ({ weekday, hour, value, i: weekday * 24 + hour })),
    );
    return {
      width,
      height: 200,
      padding: { left: 4, right: 10, top: 6, bottom: 2 },
      autosize: { type: "fit", contains: "padding" },
      data: { values },
      mark: { type: "rect", cornerRadius: 2 },
      encoding: {
        x: {
          field: "hour",
          type: "ordinal",
          scale: { padding: 0.08 },
          axis: { labelAngle: 0, values: [0, 3, 6, 9, 12, 15, 18, 21], labelExpr: "pad(datum.value, 2, '0', 'left')" },
        },
        y: {
          field: "weekday",
          type: "ordinal",
          scale: { padding: 0.12 },
          axis: { labelExpr: `[${DAYS.map((day) => `'${day}'`)}][datum.value]` },
        },
        color: {
          field: "value",
          type: "quantitative",
          scale: { range: colors.heat, domainMin: 0, interpolate: "lab" },
        },
        tooltip: { field: "i", type: "quantitative" },
      },
      config: config(colors, FONT),
    };
  }

  let tip = null;
  function showTip(event, content) {
    tip ??= document.body.appendChild(
      Object.assign(document.createElement("div"), { className: "tip", role: "presentation" }),
    );
    tip.hidden = !content;
    if (!content) return;
    tip.replaceChildren(content);
    const box = tip.getBoundingClientRect();
    const left = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 14 : event.clientX + 14;
    tip.style.left = Math.max(4, left) + "px";
    tip.style.top = Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 4)) + "px";
  }

  // Draws `specOf(width)` into a box, anew whenever `draw` of the result is called; `tipOf(i)` gives a tooltip's node.
  function mount(box, specOf, tipOf) {
    let drawn = null;
    let turn = 0;
    const tooltip = (handler, event, item, value) => showTip(event, Number.isInteger(value) ? tipOf(value) : null);
    const draw = async () => {
      const width = Math.floor(box.clientWidth);
      const mine = ++turn;
      if (!width) return;
      const place = el("div", { "aria-hidden": "true" });
      // With `ast`, expressions are interpreted: the page's policy forbids to make code of texts.
      const next = await vegaEmbed(place, specOf(width), {
        mode: "vega-lite",
        ast: true,
        renderer: "svg",
        actions: false,
        defaultStyle: false,
        tooltip,
      });
      if (mine !== turn) return next.finalize();
      drawn?.finalize();
      drawn = next;
      box.replaceChildren(place);
    };
    const finalize = () => {
      turn += 1;
      drawn?.finalize();
      showTip(null, null);
    };
    return { draw, finalize };
  }

  // A small line without axes.
  function sparkline(values) {
    const known = values.filter((value) => value !== null);
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 100 28");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.classList.add("spark");
    if (known.length < 2) return svg;
    const top = Math.max(...known),
      bottom = Math.min(0, ...known),
      size = top - bottom || 1;
    const place = (value, i) =>
      `${((i / (values.length - 1)) * 100).toFixed(2)},${(26 - ((value - bottom) / size) * 24).toFixed(2)}`;
    let line = "",
      isDown = false;
    const areas = [];
    let run = [];
    const close = () => {
      if (run.length > 1)
        areas.push(`M${run[0].split(",")[0]},28 L${run.join(" L")} L${run.at(-1).split(",")[0]},28 Z`);
      run = [];
    };
    values.forEach((value, i) => {
      if (value === null) {
        isDown = false;
        close();
        return;
      }
      line += (isDown ? "L" : "M") + place(value, i);
      run.push(place(value, i));
      isDown = true;
    });
    close();
    for (const [d, name] of [
      [areas.join(" "), "under"],
      [line, "line"],
    ]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      path.setAttribute("class", name);
      svg.append(path);
    }
    return svg;
  }

  return { trend, heatMap, mount, sparkline, DAYS };
})();
