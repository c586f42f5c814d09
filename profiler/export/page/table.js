/* The table of functions: a real table, of which the rows around those in sight are there. */

const TABLE_ROW = 24;
const BEYOND = 12; // rows that are there above and below those in sight
const PRINTED = 60;

class FunctionTable {
  /* `onPick(label)` when a function is chosen, `onSort(column)` when a head is. */
  constructor(box, { onPick, onSort }) {
    this.box = box;
    this.onPick = onPick;
    this.table = box.querySelector("table");
    this.body = this.table.tBodies[0];
    this.heads = [...this.table.querySelectorAll("th[data-column]")];
    for (const head of this.heads) {
      head.firstElementChild.addEventListener("click", () => onSort(head.dataset.column));
    }
    this.labels = [];
    this.active = 0; // the row whose button the Tab key reaches
    box.addEventListener("scroll", () => requestAnimationFrame(() => this.fill()), { passive: true });
    new ResizeObserver(() => this.fill()).observe(box);
    this.body.addEventListener("keydown", (event) => this.onKey(event));
    this.body.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.onPick(Number(button.dataset.label));
    });
  }

  /* `figures` are `Tree.functions` of what is in view, `whole` the samples of it. */
  show({ recording, figures, whole, search, sort, up, palette }) {
    const key = [figures, search.key, sort, up];
    Object.assign(this, { recording, figures, whole, search, palette });
    if (!this.key || key.some((part, at) => part !== this.key[at])) {
      this.key = key;
      this.sort(sort, up);
      this.active = 0;
      this.box.scrollTop = 0;
    }
    for (const head of this.heads) {
      const sorted = head.dataset.column === sort;
      head.setAttribute("aria-sort", sorted ? (up ? "ascending" : "descending") : "none");
    }
    this.table.setAttribute("aria-rowcount", this.labels.length + 1);
    this.fill();
  }

  sort(column, up) {
    const { own, total } = this.figures;
    const { recording, search } = this;
    const labels = [];
    for (let label = 0; label < recording.frameCount; label++) {
      if (total[label] && (!search.active || search.hit[label])) labels.push(label);
    }
    const orders = {
      own: (a, b) => own[b] - own[a] || total[b] - total[a] || a - b,
      total: (a, b) => total[b] - total[a] || own[b] - own[a] || a - b,
      name: (a, b) => b - a, // labels are sorted by text
      kind: (a, b) => recording.kindOf(b) - recording.kindOf(a) || own[b] - own[a] || a - b,
    };
    this.labels = labels.sort(orders[column]);
    if (up) this.labels.reverse();
  }

  /* Makes the rows that are in sight, and room for the others. */
  fill(printed = 0) {
    if (!this.figures || !(this.box.clientHeight || printed)) return;
    const first = printed ? 0 : Math.max(Math.floor(this.box.scrollTop / TABLE_ROW) - BEYOND, 0);
    const count = printed || Math.ceil(this.box.clientHeight / TABLE_ROW) + 2 * BEYOND;
    const end = Math.min(first + count, this.labels.length);
    const focused = this.body.contains(document.activeElement);
    if (!focused) this.active = Math.max(Math.min(this.active, end - 1), first);
    const rows = [];
    for (let row = first; row < end; row++) rows.push(this.row(row));
    this.body.replaceChildren(this.space(first), ...rows, this.space(printed ? 0 : this.labels.length - end));
    if (focused) this.body.querySelector('button[tabindex="0"]')?.focus({ preventScroll: true });
  }

  space(rows) {
    const space = make("tr", { "aria-hidden": "true", class: "space" });
    space.style.height = `${rows * TABLE_ROW}px`;
    return space;
  }

  row(number) {
    const label = this.labels[number];
    const { own, total } = this.figures;
    const { recording, whole } = this;
    const figure = (count) => [
      make("td", { class: "number" }, count.toLocaleString("en")),
      make("td", { class: "number", title: `95 %: ${intervalText(count, whole)}` }, percent(count, whole)),
    ];
    const mark = make("span", { class: "swatch", "aria-hidden": "true" });
    const term = this.search.active ? this.search.termOf(label) : -1;
    mark.style.background = term < 0 ? this.palette.fills[recording.shades[label]] : this.palette.terms[term];
    const name = recording.labels[label];
    const button = make("button", {
      type: "button", class: "name", "data-label": label, "data-row": number, title: name,
      tabindex: number === this.active ? "0" : "-1",
    }, name);
    return make("tr", { "aria-rowindex": number + 2 }, ...figure(own[label]), ...figure(total[label]),
      make("td", {}, mark, recording.kindTitle(label)), make("th", { scope: "row" }, button));
  }

  onKey(event) {
    const page = Math.max(Math.floor(this.box.clientHeight / TABLE_ROW) - 2, 1);
    const last = this.labels.length - 1;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -last, End: last };
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.active = Math.min(Math.max(this.active + steps[event.key], 0), last);
    const top = this.active * TABLE_ROW;
    const room = this.box.clientHeight - 2 * TABLE_ROW; // less the head of the table
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top > this.box.scrollTop + room) this.box.scrollTop = top - room;
    this.fill();
    this.body.querySelector('button[tabindex="0"]')?.focus({ preventScroll: true });
  }
}
