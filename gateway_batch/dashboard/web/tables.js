"use strict";
// Tables of figures: sorted, searched, exported as they are shown.

const Tables = (() => {
  const { measureOf, titleOf, textOf, rowsOf, moneyText, moneyTitle, csvButton, card, empty, compare, sortByKey } = Parts;
  const ROWS = 20;

  function table(context, widget) {
    const isMoney = widget.measures.some((name) => measureOf(context, name).format === "dollars");
    const names = [...widget.measures, ...(isMoney ? ["unpriced_tokens"] : [])];
    const rows = widget.kind === "sessions" ? sessionsOf(context) : groupsOf(context, widget, names);
    const columns = [
      ...widget.dimensions.map((name, d) => ({
        title: titleOf(context, name),
        of: (row) => row.key[d],
        text: (row) => textOf(context, name, row.key[d]),
      })),
      ...widget.measures.map((name) => {
        const measure = measureOf(context, name);
        return {
          title: measure.title,
          note: measure.note,
          isNumber: true,
          of: (row) => row.figures[name],
          text: (row) =>
            measure.format === "dollars"
              ? moneyText(row.figures[name], row.figures.unpriced_tokens, Format.long.dollars)
              : row.figures[name] === null
                ? Format.NONE
                : Format.long[measure.format](row.figures[name]),
          hint: (row) =>
            measure.format === "dollars"
              ? moneyTitle(row.figures[name], row.figures.unpriced_tokens)
              : row.figures[name] === null
                ? null
                : Format.full(row.figures[name], measure.format),
        };
      }),
    ];
    const main = columns[widget.dimensions.length];
    const view = { sorted: widget.dimensions.length, isDown: true, isWhole: false, sought: "" };
    const shown = () => {
      const sought = view.sought.trim().toLowerCase();
      const found = sought
        ? rows.filter((row) =>
            columns
              .slice(0, widget.dimensions.length)
              .some((column) => column.text(row).toLowerCase().includes(sought)),
          )
        : rows.slice();
      const { of } = columns[view.sorted],
        sign = view.isDown ? -1 : 1;
      return found.sort((a, b) => {
        const [x, y] = [of(a), of(b)];
        if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
        return sign * compare(x, y);
      });
    };
    const csv = csvButton(`${context.page.name} ${widget.title}`, widget.dimensions, widget.measures, shown);
    const search =
      rows.length > ROWS
        ? el("input", {
            type: "search",
            class: "find",
            placeholder: `Search ${Format.whole(rows.length)} rows`,
            "aria-label": `Search in ${widget.title}`,
            oninput: (event) => {
              view.sought = event.target.value;
              fill();
            },
          })
        : null;
    const box = card(context, widget, "table", search, csv);
    if (!rows.length) {
      search?.remove();
      csv.remove();
      box.append(empty(context));
      return box;
    }
    const greatest = Math.max(...rows.map((row) => Format.number(main.of(row)) ?? 0));
    const heads = columns.map((column, c) => {
      const button = el(
        "button",
        { type: "button", class: "sort", title: column.note || null },
        el("span", { text: column.title }),
        el("span", { class: "arrow", "aria-hidden": "true" }),
      );
      button.addEventListener("click", () => {
        view.isDown = view.sorted === c ? !view.isDown : Boolean(column.isNumber);
        view.sorted = c;
        fill();
      });
      return el("th", { scope: "col", class: column.isNumber ? "number" : null }, button);
    });
    const body = el("tbody");
    const more = el("button", {
      type: "button",
      class: "plain more",
      onclick: () => {
        view.isWhole = !view.isWhole;
        fill();
      },
    });
    const none = el("p", { class: "quiet", text: "No row has this text.", hidden: true });
    function fill() {
      heads.forEach((head, c) => {
        const isSorted = view.sorted === c;
        head.querySelector(".arrow").textContent = isSorted ? (view.isDown ? "↓" : "↑") : "";
        if (isSorted) head.setAttribute("aria-sort", view.isDown ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
      const found = shown();
      body.replaceChildren(
        ...found
          .slice(0, view.isWhole ? found.length : ROWS)
          .map((row) => rowOf(context, widget, columns, row, main, greatest)),
      );
      more.hidden = found.length <= ROWS;
      more.textContent = view.isWhole ? `Show ${ROWS} only` : `Show all ${Format.whole(found.length)}`;
      none.hidden = found.length > 0;
    }
    fill();
    box.append(
      el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": `${widget.title}, table` },
        el("table", { class: "figures" }, el("thead", {}, el("tr", {}, ...heads)), body),
      ),
      none,
      more,
    );
    return box;
  }

  function groupsOf(context, widget, names) {
    const data = context.engine.figures(context.selected, widget.dimensions, names);
    sortByKey(data);
    return rowsOf(data, names);
  }

  // The sessions that began in the chosen days, of the chosen requesters.
  function sessionsOf({ sessions, state }) {
    const chosen = state.chosen.requesters;
    return sessions.filter(
      ({ day, key }) =>
        day >= state.from && day <= state.to && (!chosen.length || chosen.includes(key[1] ?? "(none)")),
    );
  }

  function rowOf(context, widget, columns, row, main, greatest) {
    return el(
      "tr",
      {},
      ...columns.map((column, c) => {
        const text = column.text(row);
        if (!column.isNumber)
          return el(
            c ? "td" : "th",
            { scope: c ? null : "row", class: "name" + (row.key[c] === null ? " null" : "") },
            nameOf(context, widget, row, c, text),
          );
        const cell = el("td", { class: "number", title: column.hint(row), text });
        if (column === main && greatest > 0) {
          const share = Math.max(0, (Format.number(column.of(row)) ?? 0) / greatest);
          cell.classList.add("barred");
          cell.style.setProperty("--share", (share * 100).toFixed(1) + "%");
        }
        return cell;
      }),
    );
  }

  // A value that can be filtered by is a button that does it.
  function nameOf(context, widget, row, c, text) {
    const { state, definition } = context;
    const dimension = widget.dimensions[c];
    const isTag = dimension === "tag_key";
    const filter = definition.filters.find((each) => each.column === (isTag ? "request_tags" : dimension));
    const value = isTag ? `${row.key[c]}=${row.key[c + 1]}` : text;
    if (!filter || (isTag && (row.key[c] === null || row.key[c + 1] === null)))
      return el("span", { text, title: text });
    const isOn = state.chosen[filter.name].includes(value);
    return el("button", {
      type: "button",
      class: "cell",
      title: isOn ? `${value}: no longer filter by it` : `${value}: filter by it`,
      "aria-pressed": String(isOn),
      text: text || "(empty)",
      onclick: () =>
        state.change({
          chosen: {
            ...state.chosen,
            [filter.name]: isOn
              ? state.chosen[filter.name].filter((each) => each !== value)
              : [...state.chosen[filter.name], value],
          },
        }),
    });
  }

  return { table };
})();
