/* The call tree of a comparison: a box has the colour of its difference, what is new or gone an outline, and what a
   search finds a line below. */

const OUTLINES = {
  light: { new: "#7f1d1d", gone: "#1e3a8a" },
  dark: { new: "#fecaca", gone: "#bfdbfe" },
};
const DASHES = { new: [], gone: [4, 2] };
const LEAST_OUTLINED = 3; // px
const FOUND = 3; // px of a box have the colour of the search

class DiffChart extends Chart {
  verdictOf(node) {
    return this.recording.verdictOf(this.tree.difference[node]);
  }

  textOf(node) {
    return this.verdictOf(node).mark + super.textOf(node);
  }

  isFaded(node, term) {
    return super.isFaded(node, term) || this.hidden.has(this.recording.differenceVerdict[this.tree.difference[node]]);
  }

  coloursOf(node) {
    const shade = this.recording.shadeOf(this.tree.difference[node]);
    return [this.palette.fills[shade], this.palette.inks[shade]];
  }

  decorate(node, term, [x, y, width]) {
    const { pen, palette } = this;
    const { name } = this.verdictOf(node);
    if (name in DASHES && width >= LEAST_OUTLINED) {
      pen.strokeStyle = OUTLINES[palette.theme][name];
      pen.setLineDash(DASHES[name]);
      pen.strokeRect(x + 0.5, y + 0.5, width - 1, ROW - 2);
    }
    if (term < 0) return;
    pen.fillStyle = palette.terms[term];
    pen.fillRect(x, y + ROW - 1 - FOUND, width, FOUND);
  }

  show(shown) {
    this.hidden = new Set(shown.state.hidden);
    super.show(shown);
  }
}
