/* Two recordings compared: texts, differences, and one call tree of both, in the widths that one chooses. */

const FRACTION = 1e8; // as in diff_html_data.py
const WIDTHS = ["both", "before", "after", "larger"];
const WIDTH_OF = {
  both: (before, after) => (before + after) / 2,
  before: (before) => before,
  after: (before, after) => after,
  larger: Math.max,
};
const SETTLED = ["noise", "unsteady", "doubtful"]; // verdicts that are no change

function pointsText(share) {
  const text = Math.abs(100 * share).toFixed(2);
  return Number(text) ? `${share < 0 ? "−" : "+"}${text}` : text;
}

const pText = (p) => (p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(p < 0.05 ? 3 : 2)}`);

class Comparison {
  constructor(head) {
    Object.assign(this, head.column);
    this.head = head;
    this.frameCount = head.functions.length;
    this.labels = [...head.functions, ...head.programs, "all"];
    this.allLabel = this.labels.length - 1;
    this.verdicts = head.verdicts;
    this.isChange = head.verdicts.map(({ name }) => !SETTLED.includes(name));
    this.share = [this.differenceBefore, this.differenceAfter].map((counts, side) =>
      Float64Array.from(counts, (count) => head.unit * this.part(count, side)));
    this.grow();
  }

  /* The share, of everything that was recorded on a side, of so many samples. */
  part(count, side) {
    return count / (this.head.of[side] || 1);
  }

  change(difference) {
    return this.share[1][difference] - this.share[0][difference];
  }

  /* The tree without widths, and how much of each node no node below it has, as parts of both sides. */
  grow() {
    const { nodeCaller, nodeLabel, nodeDifference, differenceBefore, differenceAfter } = this;
    const count = nodeLabel.length;
    this.growing = new Growing(this.allLabel, count + 1);
    for (let node = 1; node < count; node++) this.growing.add(nodeCaller[node], nodeLabel[node]);
    this.rest = [differenceBefore, differenceAfter].map((counts, side) => {
      const rest = Float64Array.from(nodeDifference, (difference) => counts[difference]);
      for (let node = 1; node < count; node++) rest[nodeCaller[node]] -= counts[nodeDifference[node]];
      return rest.map((samples) => this.part(samples, side));
    });
    this.sizes = {
      size: Float64Array.from(nodeDifference, (each) => this.share[0][each] + this.share[1][each]),
      change: Float64Array.from(nodeDifference, (each) => Math.abs(this.change(each))),
      name: null,
    };
  }

  /* A tree whose totals are widths. The order is the same for all widths, so that a box stays where it is.
     `difference` has that of each place, `sides` its shares before and after. */
  tree(width, order) {
    const widthOf = WIDTH_OF[width];
    const [before, after] = this.rest;
    this.growing.own.set(before.map((part, node) => widthOf(part, after[node])));
    const tree = new Tree(this.growing, order !== "name", this.sizes[order]);
    tree.node = new Int32Array(tree.count);
    for (let node = 0; node < tree.count; node++) tree.node[tree.placeOf[node]] = node;
    tree.difference = tree.node.map((node) => this.nodeDifference[node]);
    tree.sides = this.share.map((share) => Float64Array.from(tree.difference, (each) => share[each]));
    return tree;
  }

  verdictOf(difference) {
    return this.verdicts[this.differenceVerdict[difference]];
  }

  shadeOf(difference) {
    return this.differenceVerdict[difference] * SHADES + this.differenceStrength[difference];
  }

  sharesText(difference) {
    return this.share.map((share) => `${(100 * share[difference]).toFixed(2)} %`).join(" → ");
  }

  intervalText(difference) {
    const end = (part) => pointsText(this.head.unit * (part / FRACTION - 1));
    return `${end(this.differenceLow[difference])} to ${end(this.differenceHigh[difference])}`;
  }

  samplesText(difference) {
    const counts = [this.differenceBefore, this.differenceAfter].map((each) => each[difference].toLocaleString("en"));
    return `${counts.join(" → ")} samples`;
  }

  pText(difference) {
    return pText(this.differenceP[difference] / FRACTION);
  }

  /* The functions, those that changed most first: as the table on a terminal has them. */
  ranked() {
    const { functionOwn, functionTotal, functionVerdict } = this;
    const size = (difference) => Math.abs(this.change(difference));
    const own = Float64Array.from(functionOwn, (each) => (this.verdictOf(each).name === "noise" ? 0 : size(each)));
    const group = (label) => {
      const { name } = this.verdicts[functionVerdict[label]];
      return this.isChange[functionVerdict[label]] ? 0 : name === "noise" ? 2 : 1;
    };
    return [...functionOwn.keys()].sort((a, b) =>
      group(a) - group(b) || own[b] - own[a] || size(functionTotal[b]) - size(functionTotal[a]) || a - b);
  }
}
