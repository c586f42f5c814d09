/* A call tree on a canvas: an icicle (callers above) or, `up`, a flame graph (callers below). What is narrower
   than half a pixel is neither drawn nor does it make the picture higher. */

const ROW = 18;
const LABEL_INSET = 4;
const LEAST = 0.5;
const FONT = '12px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace';

class Chart {
  /* `onPick(node)` when a box is chosen, `onAt(node, event)` when one is pointed at or walked to (-1: none). */
  constructor(box, { name, onPick, onAt }) {
    this.box = box;
    this.onPick = onPick;
    this.onAt = onAt;
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": name });
    this.at = make("div", { class: "at", hidden: true });
    this.sheet = make("div", { class: "sheet" }, this.canvas, this.at);
    box.replaceChildren(this.sheet);
    this.pen = this.canvas.getContext("2d");
    this.node = -1;
    this.rows = [];
    this.listen();
  }

  listen() {
    const { canvas, box } = this;
    canvas.addEventListener("click", (event) => {
      const node = this.nodeAt(event);
      if (node >= 0) this.onPick(node);
    });
    canvas.addEventListener("pointermove", (event) => this.moveTo(this.nodeAt(event), event));
    canvas.addEventListener("pointerleave", () => this.moveTo(-1, null));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("blur", () => this.moveTo(-1, null));
    box.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    new ResizeObserver(() => {
      if (this.tree && (box.clientWidth !== this.width || box.clientHeight !== this.height)) this.refresh();
    }).observe(box);
  }

  /* `recording` has the labels; `search` the hits. */
  show({ recording, tree, top, up, search, palette }) {
    const turned = up !== this.up || tree !== this.tree || top !== this.top;
    Object.assign(this, { recording, tree, top, up, search, palette });
    if (turned) this.moveTo(-1, null);
    this.refresh();
    if (turned) {
      this.box.scrollTop = up ? this.box.scrollHeight : 0;
      this.draw();
    }
  }

  refresh() {
    this.width = this.box.clientWidth;
    this.height = this.box.clientHeight;
    this.layOut();
    const sheetHeight = Math.max(this.rows.length * ROW, this.height);
    this.sheet.style.height = `${sheetHeight}px`;
    this.sheetHeight = sheetHeight;
    this.width = this.box.clientWidth; // less, once there is a scroll bar
    this.layOut();
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.draw();
    this.markAt();
  }

  /* The nodes of every row that are wide enough to see, from left to right. */
  layOut() {
    const { tree, top } = this;
    const { caller, depth, end, total } = tree;
    this.scale = total[top] ? this.width / total[top] : 0;
    this.rows = [];
    for (let node = top; node >= 0; node = caller[node]) this.rows[depth[node]] = [node];
    for (let node = top + 1; node < end[top]; ) {
      if (total[node] * this.scale < LEAST) {
        node = tree.bySize ? end[caller[node]] : end[node];
        continue;
      }
      const row = depth[node];
      if (row === this.rows.length) this.rows.push([]);
      this.rows[row].push(node++);
    }
  }

  topOf(row) {
    return this.up ? this.sheetHeight - (row + 1) * ROW : row * ROW;
  }

  /* Where a node is: [left, width]. */
  placeOf(node) {
    const { tree, top, scale } = this;
    if (tree.depth[node] <= tree.depth[top]) return [0, this.width];
    return [(tree.start[node] - tree.start[top]) * scale, tree.total[node] * scale];
  }

  draw() {
    if (!this.tree) return;
    const { pen, box } = this;
    const scale = window.devicePixelRatio || 1;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = this.palette.paper;
    pen.fillRect(0, 0, this.width, this.height);
    pen.font = FONT;
    pen.textBaseline = "alphabetic";
    this.cell ||= pen.measureText("0".repeat(40)).width / 40;
    for (let row = 0; row < this.rows.length; row++) {
      const y = this.topOf(row) - box.scrollTop;
      if (y > -ROW && y < this.height) this.drawRow(row, y);
    }
    pen.globalAlpha = 1;
  }

  drawRow(row, y) {
    const { pen, tree, palette, search } = this;
    const above = row < tree.depth[this.top];
    for (const node of this.rows[row]) {
      const [x, width] = this.placeOf(node);
      const term = search.active ? search.termOf(tree.label[node]) : -1;
      const faded = above || this.isFaded(node, term);
      const [fill, ink] = this.coloursOf(node, term);
      pen.globalAlpha = faded ? FADED : 1;
      pen.fillStyle = fill;
      const shown = width > 2 ? width - 0.7 : width;
      pen.fillRect(x, y, shown, ROW - 1);
      this.decorate(node, term, [x, y, shown]);
      const text = cut(this.textOf(node), Math.floor((width - 2 * LABEL_INSET) / this.cell));
      if (!text) continue;
      pen.globalAlpha = above ? 0.8 : 1;
      pen.fillStyle = faded ? palette.ink : ink;
      pen.fillText(text, x + LABEL_INSET, y + 13);
    }
  }

  textOf(node) {
    return this.recording.labels[this.tree.label[node]];
  }

  /* Whether a box is not what one looks for; `term` is the search that it matches, or -1. */
  isFaded(_node, term) {
    return this.search.active && term < 0;
  }

  /* Of a box and its text. */
  coloursOf(node, term) {
    const { palette } = this;
    const shade = this.recording.shades[this.tree.label[node]];
    return term < 0 ? [palette.fills[shade], palette.inks[shade]] : [palette.terms[term], palette.termInks[term]];
  }

  /* For the heirs: what else is drawn on a box. */
  decorate() {}

  nodeAt(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const y = event.clientY - bounds.top + this.box.scrollTop;
    const row = Math.floor((this.up ? this.sheetHeight - y : y) / ROW);
    const nodes = this.rows[row] ?? [];
    const x = event.clientX - bounds.left;
    let low = 0;
    let high = nodes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.placeOf(nodes[middle])[0] <= x) low = middle + 1;
      else high = middle;
    }
    if (!low) return -1;
    const [left, width] = this.placeOf(nodes[low - 1]);
    return x < left + Math.max(width, 1) ? nodes[low - 1] : -1;
  }

  moveTo(node, event) {
    this.node = node;
    this.markAt();
    this.onAt(node, event);
  }

  markAt() {
    const { node, at } = this;
    at.hidden = node < 0;
    if (node < 0) return;
    const [left, width] = this.placeOf(node);
    at.style.left = `${left}px`;
    at.style.width = `${Math.max(width - 1, 1)}px`;
    at.style.top = `${this.topOf(this.tree.depth[node])}px`;
  }

  walkTo(node) {
    if (node === undefined || node < 0) return;
    const top = this.topOf(this.tree.depth[node]);
    if (top < this.box.scrollTop) this.box.scrollTop = top - ROW;
    const under = top + 2 * ROW - this.height;
    if (under > this.box.scrollTop) this.box.scrollTop = under;
    this.moveTo(node, null);
  }

  /* The widest callee that is drawn. */
  calleeOf(node) {
    const { caller, depth, total } = this.tree;
    const callees = (this.rows[depth[node] + 1] ?? []).filter((each) => caller[each] === node);
    return callees.reduce((best, each) => (best < 0 || total[each] > total[best] ? each : best), -1);
  }

  neighbour(node, step) {
    const row = this.rows[this.tree.depth[node]];
    return row[row.indexOf(node) + step];
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const from = this.node >= 0 ? this.node : this.top;
    const toCallees = this.up ? "ArrowUp" : "ArrowDown";
    const toCaller = this.up ? "ArrowDown" : "ArrowUp";
    if (event.key === toCallees) this.walkTo(this.node < 0 ? this.top : this.calleeOf(from));
    else if (event.key === toCaller) this.walkTo(this.tree.caller[from]);
    else if (event.key === "ArrowLeft") this.walkTo(this.neighbour(from, -1));
    else if (event.key === "ArrowRight") this.walkTo(this.neighbour(from, 1));
    else if (event.key === "Home") this.walkTo(this.top);
    else if (event.key === "Enter" || event.key === " ") this.onPick(from);
    else return;
    event.preventDefault();
  }
}
