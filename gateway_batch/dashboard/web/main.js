"use strict";
// Puts the page together: header, tabs, filters, the widgets of the page that is shown.

const Theme = (() => {
  const stored = () => {
    try {
      return localStorage.getItem("usage-theme");
    } catch {
      return null;
    }
  };
  const keep = (value) => {
    try {
      localStorage.setItem("usage-theme", value);
    } catch {
      /* a page from disk may have no store */
    }
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () => document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const start = () => {
    const kept = stored();
    if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
  };
  const flip = () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    keep(current());
  };
  return { start, flip, current, dark };
})();

async function main() {
  Theme.start();
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const definition = read("definition"),
    about = read("about");
  const [usage, library] = await Promise.all([
    Unpack.usage(document.getElementById("usage").textContent),
    Unpack.inflated(document.getElementById("library").textContent),
  ]);
  document.head.append(el("script", { text: new TextDecoder().decode(library) }));
  const nones = Object.fromEntries(Object.values(definition.dimensions).map((each) => [each.name, each.none]));
  const engine = new Engine(usage, { spread: about.spread, definition, nones });
  const state = new State({
    first: Unpack.dayNumber(about.first_day),
    last: Unpack.dayNumber(about.last_day),
    pages: definition.pages.map((page) => page.name),
    filters: definition.filters.map((filter) => filter.name),
  });
  const sessions = read("sessions").map(sessionOf);
  const tabs = tabList(definition, state);
  const panel = el("div", { id: "panel", role: "tabpanel", tabindex: "0" });
  document
    .getElementById("app")
    .replaceChildren(
      header(about, state),
      el("nav", { class: "tabs-box", "aria-label": "Pages" }, tabs.box),
      Filters.bar(definition.filters, state, engine),
      el("main", {}, panel),
      terms(definition),
    );
  let context = null;
  const show = () => {
    context?.charts.forEach((chart) => chart.finalize());
    context = contextOf(definition, engine, sessions, state);
    tabs.update();
    panel.setAttribute("aria-labelledby", `tab-${context.page.name}`);
    document.title = `${context.page.title} – ${about.title}`;
    panel.replaceChildren(
      el("h2", { class: "print-only", text: context.page.title }),
      ...context.page.rows.map((row) => rowOf(context, row)),
    );
    return redraw();
  };
  // Says in the page itself when all charts are there, for who takes pictures of it.
  async function redraw() {
    const root = document.documentElement;
    const of = context;
    delete root.dataset.ready;
    await Promise.all(of.charts.map((chart) => chart.draw()));
    if (of === context) root.dataset.ready = "true";
  }
  state.listeners.push(show);
  for (const name of ["popstate", "hashchange"])
    addEventListener(name, () => {
      state.read();
      state.changed();
    });
  let waiting = 0,
    width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth !== width) {
      width = innerWidth;
      clearTimeout(waiting);
      waiting = setTimeout(redraw, 100);
    }
  });
  Theme.dark.addEventListener("change", redraw);
  document.addEventListener("theme", redraw);
  Object.assign(window, { usagePage: { engine, state, definition } });
  await show();
}

// A session as a row of a table; the page has its dollars as text.
function sessionOf({ day, key, priced_cost_usd: cost, ...figures }) {
  return {
    day: Unpack.dayNumber(day),
    key,
    figures: { ...figures, priced_cost_usd: cost === null ? null : BigInt(cost) },
  };
}

function contextOf(definition, engine, sessions, state) {
  const page = definition.pages.find((each) => each.name === state.page);
  const before = state.choiceBefore;
  return {
    definition,
    engine,
    sessions,
    state,
    page,
    charts: [],
    selected: engine.select(state.choice, page.only),
    before: before && engine.select(before, page.only),
  };
}

// Tables side by side are as wide as their columns are many.
function rowOf(context, row) {
  const kinds = new Set(row.map((widget) => widget.kind));
  const share = (widget) => `minmax(0, ${widget.dimensions.length + widget.measures.length}fr)`;
  const isOfTables = row.length > 1 && kinds.size === 1 && kinds.has("table");
  return el(
    "div",
    {
      class: kinds.has("tile") ? "tiles" : `row of-${row.length}`,
      style: isOfTables ? `--shares: ${row.map(share).join(" ")}` : null,
    },
    ...row.map((widget) => Widgets.make[widget.kind](context, widget)),
  );
}

function header(about, state) {
  const theme = el("button", { type: "button", class: "icon theme" });
  const name = () => {
    theme.textContent = Theme.current() === "dark" ? "☀ Light" : "☾ Dark";
    theme.setAttribute("aria-label", `Use the ${Theme.current() === "dark" ? "light" : "dark"} colours`);
  };
  theme.addEventListener("click", () => {
    Theme.flip();
    name();
    document.dispatchEvent(new Event("theme"));
  });
  Theme.dark.addEventListener("change", name);
  name();
  const print = el("button", { type: "button", class: "icon", text: "Print", onclick: () => window.print() });
  const shown = el("strong");
  const update = () => (shown.textContent = Format.dates(state.from, state.to));
  state.listeners.push(update);
  update();
  return el(
    "header",
    { class: "top" },
    el("div", { class: "top-head" }, el("h1", { text: about.title }), el("div", { class: "tools" }, print, theme)),
    el(
      "p",
      { class: "about" },
      el("code", { text: about.usage_table }),
      ` · ${Format.dates(state.first, state.last)} · made ${about.made_at} UTC`,
      el("span", { class: "print-only" }, " · shown: ", shown),
    ),
    el("p", { class: "about quiet", text: about.notes.join(" ") }),
  );
}

// The pages as tabs: arrows, Home and End move between them.
function tabList(definition, state) {
  const tabs = definition.pages.map((page) =>
    el("a", { class: "tab", role: "tab", id: `tab-${page.name}`, "aria-controls": "panel", text: page.title }),
  );
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      state.change({ page: definition.pages[i].name });
    });
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (event.key === " ") {
        event.preventDefault();
        tab.click();
      }
      if (to === undefined) return;
      event.preventDefault();
      const next = (to + tabs.length) % tabs.length;
      state.change({ page: definition.pages[next].name });
      tabs[next].focus();
    });
  });
  const update = () =>
    tabs.forEach((tab, i) => {
      const { name } = definition.pages[i],
        isOn = state.page === name;
      tab.setAttribute("href", state.hashOf(name));
      tab.setAttribute("aria-selected", String(isOn));
      tab.setAttribute("tabindex", isOn ? "0" : "-1");
      if (isOn && tab.parentElement?.scrollWidth > tab.parentElement?.clientWidth)
        tab.parentElement.scrollLeft = tab.offsetLeft - 24;
    });
  return { box: el("div", { class: "tabs", role: "tablist", "aria-label": "Pages" }, ...tabs), update };
}

function terms(definition) {
  const seen = new Map(
    Object.values(definition.measures)
      .filter((measure) => measure.note)
      .map((measure) => [measure.title, measure.note]),
  );
  return el(
    "footer",
    {},
    el(
      "details",
      {},
      el("summary", { text: "What the figures mean" }),
      el("dl", {}, ...[...seen].flatMap(([title, note]) => [el("dt", { text: title }), el("dd", { text: note })])),
    ),
  );
}

main().catch((error) => {
  console.error(error);
  document
    .getElementById("app")
    .replaceChildren(
      el("p", {
        class: "empty",
        role: "alert",
        text:
          `This page can't be shown in this browser: ${error.message}. ` +
          "It needs a current Chrome, Edge, Firefox or Safari.",
      }),
    );
});
