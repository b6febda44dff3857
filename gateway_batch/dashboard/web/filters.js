"use strict";
// The bar above the pages: days, and a choice of several values for each filter.

const Filters = (() => {
  const SHOWN = 100;
  const RANGES = [7, 28, 90];

  function days(state) {
    const input = (name, label, set) =>
      el("input", {
        type: "date",
        id: `day-${name}`,
        "aria-label": label,
        min: Format.iso(state.first),
        max: Format.iso(state.last),
        onchange: (event) => {
          if (event.target.value) set(Unpack.dayNumber(event.target.value));
        },
      });
    const from = input("from", "First day", (day) => state.change({ from: day, to: Math.max(day, state.to) }));
    const to = input("to", "Last day", (day) => state.change({ to: day, from: Math.min(day, state.from) }));
    const all = state.last - state.first + 1;
    const ranges = [
      ...RANGES.filter((count) => count < all).map((count) => [`${count} days`, state.last - count + 1]),
      ["All days", state.first],
    ];
    const quick = ranges.map(([text, first]) => {
      const button = el("button", {
        type: "button",
        class: "quick",
        text,
        onclick: () => state.change({ from: first, to: state.last }),
      });
      return { button, first };
    });
    const update = () => {
      from.value = Format.iso(state.from);
      to.value = Format.iso(state.to);
      for (const { button, first } of quick)
        button.setAttribute("aria-pressed", String(state.from === first && state.to === state.last));
    };
    const box = el(
      "div",
      { class: "days", role: "group", "aria-label": "Days" },
      el("div", { class: "quicks" }, ...quick.map((each) => each.button)),
      el("span", { class: "range" }, from, el("span", { "aria-hidden": "true", text: "–" }), to),
    );
    return { box, update };
  }

  function choice(filter, state, options) {
    const id = `filter-${filter.name}`;
    const count = el("span", { class: "count" });
    const button = el(
      "button",
      { type: "button", class: "drop", "aria-expanded": "false", "aria-controls": id, "aria-haspopup": "dialog" },
      el("span", { text: filter.title }),
      count,
    );
    const search = el("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": `Search ${filter.title}`,
      autocomplete: "off",
      spellcheck: "false",
    });
    const list = el("div", { class: "options", role: "group", "aria-label": filter.title, tabindex: "-1" });
    const clear = el("button", {
      type: "button",
      class: "plain",
      text: "Clear",
      onclick: () => {
        state.change({ chosen: { ...state.chosen, [filter.name]: [] } });
        fill();
        search.focus();
      },
    });
    const panel = el(
      "div",
      { class: "panel", id, role: "dialog", "aria-label": `Filter by ${filter.title}`, hidden: true },
      search,
      list,
      el(
        "div",
        { class: "panel-end" },
        clear,
        el("button", { type: "button", class: "plain", text: "Done", onclick: () => close(true) }),
      ),
    );
    const root = el("div", { class: "filter" }, button, panel);

    const toggle = (text, isOn) => {
      const others = state.chosen[filter.name].filter((each) => each !== text);
      state.change({ chosen: { ...state.chosen, [filter.name]: isOn ? [...others, text] : others } });
    };
    function fill() {
      const chosen = new Set(state.chosen[filter.name]);
      const known = new Set(options.map((option) => option.text));
      const missing = [...chosen].filter((text) => !known.has(text)).map((text) => ({ text, count: 0 }));
      const sought = search.value.trim().toLowerCase();
      const found = [...missing, ...options].filter((option) => option.text.toLowerCase().includes(sought));
      found.sort((a, b) => chosen.has(b.text) - chosen.has(a.text));
      const rows = found
        .slice(0, SHOWN)
        .map((option) =>
          el(
            "label",
            { class: "option" },
            el("input", {
              type: "checkbox",
              checked: chosen.has(option.text),
              onchange: (event) => toggle(option.text, event.target.checked),
            }),
            el("span", { class: "option-text", text: option.text || "(empty)", title: option.text }),
            el("span", {
              class: "option-count",
              text: Format.short.count(option.count),
              title: Format.plural(option.count, "invocation"),
            }),
          ),
        );
      const more = found.length - rows.length;
      list.replaceChildren(...rows);
      if (more > 0) list.append(el("p", { class: "quiet", text: `${Format.whole(more)} more: search for them` }));
      if (!found.length) list.append(el("p", { class: "quiet", text: "Nothing found" }));
    }
    function open() {
      panel.hidden = false;
      button.setAttribute("aria-expanded", "true");
      search.value = "";
      fill();
      panel.classList.toggle(
        "to-left",
        root.getBoundingClientRect().left + panel.offsetWidth > document.documentElement.clientWidth,
      );
      search.focus();
    }
    function close(withFocus) {
      if (panel.hidden) return;
      panel.hidden = true;
      button.setAttribute("aria-expanded", "false");
      if (withFocus) button.focus();
    }
    button.addEventListener("click", () => (panel.hidden ? open() : close(true)));
    search.addEventListener("input", fill);
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close(true);
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      const boxes = [search, ...list.querySelectorAll("input")];
      const next = boxes[boxes.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
      if (next && !panel.hidden) {
        event.preventDefault();
        next.focus();
      }
    });
    root.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !root.contains(event.relatedTarget)) close(false);
    });
    document.addEventListener("pointerdown", (event) => {
      if (!root.contains(event.target)) close(false);
    });
    const update = () => {
      const chosen = state.chosen[filter.name].length;
      count.textContent = chosen ? String(chosen) : "";
      button.classList.toggle("on", chosen > 0);
      button.setAttribute("aria-label", chosen ? `${filter.title}, ${chosen} chosen` : `${filter.title}, all`);
      clear.disabled = !chosen;
    };
    return { box: root, update };
  }

  // What is chosen, each with a button that takes it away.
  function chips(filters, state) {
    const box = el("div", { class: "chips", role: "group", "aria-label": "Chosen filters" });
    const update = () => {
      const each = filters.flatMap((filter) =>
        state.chosen[filter.name].map((text) =>
          el(
            "button",
            {
              type: "button",
              class: "chip",
              "aria-label": `Remove ${filter.title} ${text}`,
              onclick: () =>
                state.change({
                  chosen: {
                    ...state.chosen,
                    [filter.name]: state.chosen[filter.name].filter((other) => other !== text),
                  },
                }),
            },
            el("span", { class: "chip-name", text: filter.title }),
            el("span", { class: "chip-text", text: text || "(empty)" }),
            el("span", { "aria-hidden": "true", class: "x", text: "×" }),
          ),
        ),
      );
      box.hidden = !each.length;
      box.replaceChildren(...each);
      if (each.length)
        box.append(
          el("button", {
            type: "button",
            class: "plain",
            text: "Clear all",
            onclick: () => state.change({ chosen: Object.fromEntries(filters.map((filter) => [filter.name, []])) }),
          }),
        );
    };
    return { box, update };
  }

  function bar(filters, state, engine) {
    const range = days(state);
    const choices = filters.map((filter) => choice(filter, state, engine.choices(filter)));
    const chosen = chips(filters, state);
    const parts = [range, ...choices, chosen];
    const update = () => parts.forEach((part) => part.update());
    state.listeners.push(update);
    update();
    return el(
      "div",
      { class: "filters", role: "region", "aria-label": "Filters" },
      el("div", { class: "filter-row" }, range.box, ...choices.map((each) => each.box)),
      chosen.box,
    );
  }

  return { bar };
})();
