/* Search for several expressions at once. Each has a bit, and a colour of its own. */

const MOST_TERMS = 6;

class Search {
  constructor() {
    this.terms = [];
    this.key = "";
  }

  /* Looks in `labels`; `version` changes when their texts do. */
  look(sources, exact, labels, version) {
    const key = JSON.stringify([sources, exact, version]);
    if (key === this.key) return;
    this.key = key;
    this.terms = sources.map((source, number) => ({ source, bit: 1 << number, ...compile(source, exact) }));
    this.hit = new Uint8Array(labels.length);
    const all = labels.length - 1; // the whole matches nothing
    for (const { bit, pattern } of this.terms) {
      if (!pattern) continue;
      for (let label = 0; label < all; label++) if (pattern.test(labels[label])) this.hit[label] |= bit;
    }
  }

  get active() {
    return this.terms.some((term) => term.pattern);
  }

  /* The number of the first term that a label matches; -1 if none. */
  termOf(label) {
    const bits = this.hit[label];
    return bits ? 31 - Math.clz32(bits & -bits) : -1;
  }

  /* What a term matches below `top`, as text. */
  share(tree, top, { bit, pattern }) {
    if (!pattern) return "not a regular expression";
    const samples = tree.matched(0, this.hit, bit);
    const whole = `${percent(samples, tree.total[0])} · ${samplesText(samples)}`;
    if (!top) return whole;
    return `${whole} · ${percent(tree.matched(top, this.hit, bit), tree.total[top])} of the view`;
  }
}

function compile(source, exact) {
  try {
    return { pattern: new RegExp(source, exact ? "u" : "iu") };
  } catch {
    return { pattern: null };
  }
}
