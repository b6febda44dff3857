"use strict";
// What is shown: the page, the days and the choices of each filter, kept in the address after the #.

class State {
  // `first` and `last` are the days that there are; `pages` and `filters` are names.
  constructor({ first, last, pages, filters }) {
    Object.assign(this, { first, last, pages, filters, listeners: [] });
    this.read();
  }

  // The last 28 days, or all where there are fewer.
  get defaultDays() {
    return { from: Math.max(this.first, this.last - 27), to: this.last };
  }

  read() {
    const given = new URLSearchParams(location.hash.slice(1));
    const day = (name, otherwise) => {
      const text = given.get(name) || "";
      return /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? Unpack.dayNumber(text) : otherwise;
    };
    this.page = this.pages.includes(given.get("page")) ? given.get("page") : this.pages[0];
    this.from = day("from", this.defaultDays.from);
    this.to = day("to", this.defaultDays.to);
    this.chosen = Object.fromEntries(this.filters.map((name) => [name, given.getAll(name)]));
  }

  get hash() {
    const parts = new URLSearchParams();
    parts.set("page", this.page);
    const { from, to } = this.defaultDays;
    if (this.from !== from || this.to !== to) {
      parts.set("from", Format.iso(this.from));
      parts.set("to", Format.iso(this.to));
    }
    for (const name of this.filters) for (const text of this.chosen[name]) parts.append(name, text);
    return "#" + parts;
  }

  hashOf(page) {
    const parts = new URLSearchParams(this.hash.slice(1));
    parts.set("page", page);
    return "#" + parts;
  }

  get choice() {
    return { from: this.from, to: this.to, ...this.chosen };
  }

  // The days before, as many, or null where the data does not begin early enough.
  get choiceBefore() {
    const days = this.to - this.from + 1,
      from = this.from - days;
    return days > 0 && from >= this.first ? { ...this.choice, from, to: this.from - 1 } : null;
  }

  get isFiltered() {
    return this.filters.some((name) => this.chosen[name].length);
  }

  change(values) {
    Object.assign(this, values);
    history.pushState(null, "", this.hash);
    this.changed();
  }

  changed() {
    for (const listener of this.listeners) listener();
  }
}
