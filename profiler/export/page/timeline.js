/* When samples were taken: a lane for all and one for each process. A span is selected by dragging or by keys. */

const GUTTER = 170;
const LANE = 15;
const ALL_LANE = 30;
const BIN = 2; // px
const MOST_LANES = 60;
const STEPS = 200; // of the cursor, from one end to the other

/* The canvas of times on which a span is selected. `onSpan(span, replaces)`; what is drawn is the heir's matter:
   `draw()`, `msAt(event)`, `stepMs(key)` for each arrow key. */
class Times {
  constructor(box, name, { onSpan, onSay }) {
    this.box = box;
    this.onSpan = onSpan;
    this.onSay = onSay;
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-label": name });
    this.pen = this.canvas.getContext("2d");
    box.replaceChildren(this.canvas);
    this.cursor = null;
    this.dragged = null;
    this.listen();
  }

  listen() {
    const { canvas } = this;
    let from = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      from = { ms: this.msAt(event), x: event.clientX, y: event.clientY };
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!from) return;
      const far = Math.abs(event.clientX - from.x) + Math.abs(event.clientY - from.y) > 3;
      this.dragged = far ? this.spanOf(from.ms, this.msAt(event)) : null;
      if (this.dragged) this.onSay(this.words(this.dragged));
      this.draw();
    });
    canvas.addEventListener("pointerup", () => {
      const span = this.dragged;
      from = this.dragged = null;
      if (span || this.span) this.onSpan(span, false);
    });
    canvas.addEventListener("pointercancel", () => {
      from = this.dragged = null;
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  spanOf(a, b) {
    const first = Math.max(Math.floor(Math.min(a, b)), 0);
    return [first, Math.min(Math.max(Math.ceil(Math.max(a, b)), first + 1), this.recording.endMs)];
  }

  words([from, to]) {
    return `${secondsText(from)} to ${secondsText(to)}`;
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && this.span) {
      this.cursor = this.anchor = null;
      this.onSpan(null, false);
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    const step = this.stepMs(event.key);
    if (!step) return;
    event.preventDefault();
    const before = this.cursor ?? this.span?.[0] ?? 0;
    this.anchor = event.shiftKey ? (this.anchor ?? before) : null;
    this.cursor = Math.min(Math.max(before + step, 0), this.recording.endMs);
    if (event.shiftKey) this.onSpan(this.spanOf(this.anchor, this.cursor), true);
    else this.draw();
    this.onSay(event.shiftKey ? this.words(this.spanOf(this.anchor, this.cursor)) : `at ${secondsText(this.cursor)}`);
  }

  /* Calls `visit(process, ms)` for each sample in view, whatever the span. */
  forTimes(visit) {
    const { recording, tree, top, rowPlace } = this;
    for (let row = 0; row < rowPlace.length; row++) {
      if (rowPlace[row] < 0) continue;
      const place = tree.placeOf[rowPlace[row]];
      if (place < top || place >= tree.end[top]) continue;
      const process = recording.unitProcess[recording.rowUnit[row]];
      for (let at = recording.firstTime[row]; at < recording.firstTime[row + 1]; at++) {
        visit(process, recording.times[at]);
      }
    }
  }

  show(shown) {
    const { recording, tree, top, rowPlace, span, palette } = shown;
    const stale = rowPlace !== this.rowPlace || top !== this.top || (top && tree !== this.tree);
    Object.assign(this, { recording, tree, top, rowPlace, span, palette });
    if (!this.box.clientWidth) return;
    if (stale || this.box.clientWidth !== this.width) {
      this.width = this.box.clientWidth;
      this.count();
    }
    this.draw();
  }

  begin(height) {
    const { pen, canvas, width, palette } = this;
    const scale = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.fillStyle = palette.paper;
    pen.fillRect(0, 0, width, height);
    pen.font = FONT;
  }

  get selected() {
    return this.dragged ?? this.span;
  }
}

class Lanes extends Times {
  count() {
    const { recording } = this;
    this.plot = Math.max(this.width - GUTTER, 40);
    const bins = Math.ceil(this.plot / BIN);
    const perMs = bins / recording.endMs;
    const samples = new Float64Array(recording.head.processes.length);
    this.forTimes((process) => samples[process]++);
    const order = [...samples.keys()].filter((process) => samples[process]).sort((a, b) => samples[b] - samples[a]);
    const laneOf = new Int32Array(samples.length).fill(-1);
    order.slice(0, MOST_LANES).forEach((process, lane) => (laneOf[process] = lane));
    this.lanes = order.slice(0, MOST_LANES).map((process) => ({ process, counts: new Uint32Array(bins) }));
    this.left = order.length - this.lanes.length;
    this.all = new Uint32Array(bins);
    this.forTimes((process, ms) => {
      const bin = Math.min(Math.floor(ms * perMs), bins - 1);
      this.all[bin]++;
      if (laneOf[process] >= 0) this.lanes[laneOf[process]].counts[bin]++;
    });
  }

  get perMs() {
    return this.plot / this.recording.endMs;
  }

  msAt(event) {
    const x = event.clientX - this.canvas.getBoundingClientRect().left - GUTTER;
    return Math.min(Math.max(x, 0), this.plot) / this.perMs;
  }

  stepMs(key) {
    const { endMs } = this.recording;
    const step = Math.max(Math.round(endMs / STEPS), 1);
    return { ArrowLeft: -step, ArrowRight: step, Home: -endMs, End: endMs }[key];
  }

  draw() {
    const { pen, palette, recording } = this;
    this.begin(ALL_LANE + LANE * (this.lanes.length + (this.left ? 1 : 0)) + 2);
    const most = this.all.reduce((a, b) => Math.max(a, b), 1);
    this.name("all", ALL_LANE - 6);
    pen.fillStyle = palette.accent;
    this.all.forEach((count, bin) => {
      const height = (count / most) * (ALL_LANE - 4);
      pen.fillRect(GUTTER + bin * BIN, ALL_LANE - 2 - height, BIN, height);
    });
    this.lanes.forEach((lane, number) => this.drawLane(lane, ALL_LANE + number * LANE));
    const more = `${this.left.toLocaleString("en")} more processes`;
    if (this.left) this.name(more, ALL_LANE + LANE * this.lanes.length + 11);
    pen.globalAlpha = 1;
    this.drawSelected();
  }

  drawLane({ process, counts }, y) {
    const { pen, recording, palette } = this;
    this.name(recording.head.processes[process].text, y + 11);
    pen.fillStyle = palette.accent;
    const most = counts.reduce((a, b) => Math.max(a, b), 1);
    counts.forEach((count, bin) => {
      if (!count) return;
      pen.globalAlpha = 0.25 + (0.75 * count) / most;
      pen.fillRect(GUTTER + bin * BIN, y + 1, BIN, LANE - 3);
    });
    pen.globalAlpha = 1;
  }

  name(text, y) {
    const { pen, palette } = this;
    pen.fillStyle = palette.ink;
    pen.fillText(cut(text, Math.floor((GUTTER - 10) / pen.measureText("0").width)), 2, y);
  }

  drawSelected() {
    const { pen, palette, perMs } = this;
    const height = this.canvas.clientHeight;
    if (this.selected) {
      const [from, to] = this.selected.map((ms) => GUTTER + ms * perMs);
      pen.globalAlpha = 0.65;
      pen.fillStyle = palette.paper;
      pen.fillRect(GUTTER, 0, from - GUTTER, height);
      pen.fillRect(to, 0, GUTTER + this.plot - to, height);
      pen.globalAlpha = 1;
      pen.fillStyle = palette.ink;
      pen.fillRect(from - 1, 0, 1, height);
      pen.fillRect(to, 0, 1, height);
    }
    if (this.cursor !== null) {
      pen.fillStyle = palette.ink;
      pen.fillRect(GUTTER + this.cursor * perMs, 0, 1.5, height);
    }
  }
}
