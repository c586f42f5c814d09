/* The heat map: a column a second (more, where seconds would not fit), and down it the instants within. Work
   that comes back every second, or never, shows as a pattern. The idea is that of Netflix's FlameScope. */

const CELLS = 50; // down a column
const CELL_HEIGHT = 3;
const LEAST_COLUMN = 3; // px
const MOST_COLUMN = 40;

class Heat extends Times {
  count() {
    const { recording } = this;
    const room = Math.max(Math.floor((this.width - GUTTER) / LEAST_COLUMN), 1);
    this.periodMs = 1000;
    while (Math.ceil(recording.endMs / this.periodMs) > room) this.periodMs *= 2;
    this.columns = Math.ceil(recording.endMs / this.periodMs);
    this.column = Math.min(Math.floor((this.width - GUTTER) / this.columns), MOST_COLUMN);
    this.cellMs = this.periodMs / CELLS;
    this.counts = new Uint32Array(this.columns * CELLS);
    this.forTimes((_, ms) => this.counts[this.cellAt(ms)]++);
  }

  cellAt(ms) {
    return Math.min(Math.floor(ms / this.cellMs), this.counts.length - 1);
  }

  /* Within the cell, so that a span has both of the cells at which a drag begins and ends. */
  msAt(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - bounds.left - GUTTER) / this.column);
    const cell = Math.floor((event.clientY - bounds.top) / CELL_HEIGHT);
    const within = (value, count) => Math.min(Math.max(value, 0), count - 1);
    return (within(column, this.columns) * CELLS + within(cell, CELLS) + 0.5) * this.cellMs;
  }

  spanOf(a, b) {
    const from = Math.floor(Math.min(a, b) / this.cellMs) * this.cellMs;
    const to = (Math.floor(Math.max(a, b) / this.cellMs) + 1) * this.cellMs;
    return super.spanOf(from, to);
  }

  stepMs(key) {
    const { endMs } = this.recording;
    return {
      ArrowLeft: -this.periodMs, ArrowRight: this.periodMs, ArrowUp: -this.cellMs, ArrowDown: this.cellMs,
      Home: -endMs, End: endMs,
    }[key];
  }

  draw() {
    const { pen, palette, counts } = this;
    this.begin(CELLS * CELL_HEIGHT + 2);
    const most = counts.reduce((a, b) => Math.max(a, b), 1);
    pen.fillStyle = palette.ink;
    pen.fillText(`↓ ${secondsText(this.periodMs)}`, 2, 12);
    pen.fillText(`→ ${secondsText(this.periodMs)} a column`, 2, 28);
    pen.fillText(`darkest: ${samplesText(most)}`, 2, 44);
    const selected = this.selected;
    for (let cell = 0; cell < counts.length; cell++) {
      const ms = cell * this.cellMs;
      const outside = selected && (ms + this.cellMs <= selected[0] || ms >= selected[1]);
      pen.globalAlpha = (counts[cell] ? 0.15 + 0.85 * Math.sqrt(counts[cell] / most) : 0.05) * (outside ? 0.25 : 1);
      this.fillCell(cell, palette.terms[1]);
    }
    pen.globalAlpha = 1;
    if (this.cursor !== null) this.fillCell(this.cellAt(this.cursor), palette.ink);
  }

  fillCell(cell, colour) {
    this.pen.fillStyle = colour;
    const x = GUTTER + Math.floor(cell / CELLS) * this.column;
    this.pen.fillRect(x, (cell % CELLS) * CELL_HEIGHT, this.column - 0.5, CELL_HEIGHT - 0.5);
  }
}
