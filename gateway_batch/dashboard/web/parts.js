"use strict";
// What the widgets of a page are made of: texts of figures, cards, buttons.

const Parts = (() => {
  const measureOf = (context, name) => context.definition.measures[name];
  const titleOf = (context, name) => context.definition.dimensions[name].title;
  const textOf = (context, dimension, value) =>
    value === null
      ? context.definition.dimensions[dimension].none
      : dimension === "day"
        ? Format.iso(value)
        : String(value);

  const rowsOf = ({ keys, figures }, names) =>
    keys.map((key, i) => ({ key, figures: Object.fromEntries(names.map((name) => [name, figures[name][i]])) }));

  // A cost with tokens that have no price is no less than what is known of it.
  function moneyText(value, unpriced, write) {
    if (value === null) return unpriced ? "unknown" : Format.NONE;
    return (unpriced ? "≥ " : "") + write(value);
  }

  function moneyTitle(value, unpriced) {
    const known = value === null ? "" : Format.full(value, "dollars");
    return (
      [known, unpriced ? `${Format.plural(unpriced, "token")} without a price` : ""].filter(Boolean).join(", and ") ||
      "no tokens"
    );
  }

  const fileName = (text) =>
    `${text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "-")
      .replace(/^-|-$/g, "")}.csv`;

  function csvButton(name, dimensions, measures, rows) {
    return el("button", {
      type: "button",
      class: "icon csv",
      "aria-label": `Export ${name} as CSV`,
      title: "Export as CSV",
      text: "CSV",
      onclick: () => save(fileName(name), Format.csv(dimensions, measures, rows())),
    });
  }

  function card(context, widget, kind, ...buttons) {
    const heading = el("h3", { text: widget.title });
    const tools = el("div", { class: "tools" }, ...buttons);
    return el(
      "section",
      { class: `card ${kind}`, "aria-label": widget.title, "data-widget": widget.title },
      el("div", { class: "card-head" }, heading, tools),
    );
  }

  const empty = (context) =>
    el("p", {
      class: "empty",
      text: `No ${context.page.nothing} in these days${context.state.isFiltered ? " under these filters" : ""}.`,
    });

  const compareTexts = new Intl.Collator("en", { numeric: true }).compare;
  function compare(a, b) {
    if (a === b) return 0;
    if (a === null) return 1;
    if (b === null) return -1;
    return typeof a === "string" ? compareTexts(a, b) : a < b ? -1 : 1;
  }

  function sortByKey(data) {
    const order = data.keys
      .map((_, i) => i)
      .sort((a, b) => data.keys[a].map((value, d) => compare(value, data.keys[b][d])).find((found) => found) ?? 0);
    data.keys = order.map((i) => data.keys[i]);
    for (const name in data.figures) data.figures[name] = order.map((i) => data.figures[name][i]);
  }

  return { measureOf, titleOf, textOf, rowsOf, moneyText, moneyTitle, csvButton, card, empty, compare, sortByKey };
})();
