/* A table of functions: a real table, of which the rows around those in sight are there. */

const TABLE_ROW = 24;
const BEYOND = 12; // rows that are there above and below those in sight
const PRINTED = 60;

/* What a row shows is the heir's matter: `row(number)`. */
class Rows {
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

  /* Lists the `labels` that `list()` makes; they are the same as long as the parts of the `key` are. */
  showRows(key, list, sort, up) {
    if (!this.key || key.some((part, at) => part !== this.key[at])) {
      this.key = key;
      this.labels = list();
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

  /* Makes the rows that are in sight, and room for the others. */
  fill(printed = 0) {
    if (!this.key || !(this.box.clientHeight || printed)) return;
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

  /* The button of a row, with the function's name. */
  nameButton(number, name) {
    return make("button", {
      type: "button", class: "name", "data-label": this.labels[number], "data-row": number, title: name,
      tabindex: number === this.active ? "0" : "-1",
    }, name);
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
