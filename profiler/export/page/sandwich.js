/* A function between all its callers and all its callees, as two call trees that begin at it. */

/* Its nodes that have none of its own above them: a sample is in one of these at most. */
function outermost(tree, label) {
  const nodes = [];
  for (let node = 0; node < tree.count; ) {
    if (tree.label[node] === label && tree.total[node]) {
      nodes.push(node);
      node = tree.end[node];
    } else node++;
  }
  return nodes;
}

function calleesOf(tree, label, nodes) {
  const growing = new Growing(label);
  const way = [0]; // the grown node at each depth below the present node
  for (const node of nodes) {
    growing.own[0] += tree.own[node];
    for (let at = node + 1; at < tree.end[node]; at++) {
      if (!tree.total[at]) continue;
      const depth = tree.depth[at] - tree.depth[node];
      way[depth] = growing.callee(way[depth - 1], tree.label[at]);
      growing.own[way[depth]] += tree.own[at];
    }
  }
  return new Tree(growing, tree.bySize);
}

function callersOf(tree, label, nodes) {
  const growing = new Growing(label);
  for (const node of nodes) {
    let grown = 0;
    for (let at = tree.caller[node]; at > 0; at = tree.caller[at]) grown = growing.callee(grown, tree.label[at]);
    growing.own[grown] += tree.total[node];
  }
  return new Tree(growing, tree.bySize);
}

class Sandwich {
  /* `onPick(label)` when a caller or callee is chosen. */
  constructor({ onPick, onAt }) {
    const part = (id, name) => {
      const chart = new Chart(byId(id), {
        name,
        onPick: (node) => onPick(chart.tree.label[node]),
        onAt: (node, event) => onAt(chart, node, event),
      });
      return chart;
    };
    this.callers = part("callers", "Callers; arrow keys walk over the boxes, Enter puts one in the middle");
    this.callees = part("callees", "Callees; arrow keys walk over the boxes, Enter puts one in the middle");
  }

  show(shown, label) {
    const { tree, recording } = shown;
    if (this.tree !== tree || this.label !== label) {
      const nodes = outermost(tree, label);
      Object.assign(this, { tree, label });
      this.callerTree = callersOf(tree, label, nodes);
      this.calleeTree = calleesOf(tree, label, nodes);
    }
    const { total, own } = this.calleeTree;
    byId("sandwich-name").textContent = recording.labels[label];
    const whole = tree.total[0];
    const share = `${percent(total[0], whole)} (95 %: ${intervalText(total[0], whole)})`;
    byId("sandwich-share").textContent = `${samplesText(total[0])} · ${share} · ${samplesText(own[0])} itself`;
    this.callers.show({ ...shown, tree: this.callerTree, top: 0, up: true });
    this.callees.show({ ...shown, tree: this.calleeTree, top: 0, up: false });
  }
}
