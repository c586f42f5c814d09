/* Call trees as arrays of numbers: one that grows, and one in its order for everything that is shown. */

/* A tree that grows. Node 0 is the root; a caller's number is lower than its callees'. */
class Growing {
  constructor(rootLabel, room = 1024) {
    this.count = 1;
    this.allocate(room);
    this.caller[0] = -1;
    this.label[0] = rootLabel;
    this.found = 0; // nodes that `callee` finds again
    this.slots = new Int32Array(1024); // their numbers, by hash; 0 where empty
  }

  allocate(room) {
    const moved = (Type, old) => {
      const array = new Type(room);
      if (old) array.set(old);
      return array;
    };
    this.caller = moved(Int32Array, this.caller);
    this.label = moved(Int32Array, this.label);
    this.own = moved(Float64Array, this.own);
  }

  /* A new node, which must be the caller's only one of this label; `callee` does not find it. */
  add(caller, label) {
    if (this.count === this.caller.length) this.allocate(2 * this.count);
    this.caller[this.count] = caller;
    this.label[this.count] = label;
    return this.count++;
  }

  /* The callee of a node that has this label; it is made unless it is there. */
  callee(caller, label) {
    let slot = this.slotOf(caller, label);
    for (let node = this.slots[slot]; node; node = this.slots[slot]) {
      if (this.caller[node] === caller && this.label[node] === label) return node;
      slot = (slot + 1) & (this.slots.length - 1);
    }
    this.slots[slot] = this.add(caller, label);
    if (2 * ++this.found > this.slots.length) this.rehash();
    return this.count - 1;
  }

  /* Open addressing: the slot where to begin. */
  slotOf(caller, label) {
    let hash = Math.imul(caller, 0x9e3779b1) ^ Math.imul(label + 1, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return (hash ^ (hash >>> 13)) & (this.slots.length - 1);
  }

  rehash() {
    const old = this.slots;
    this.slots = new Int32Array(4 * old.length);
    for (const node of old) {
      if (!node) continue;
      let slot = this.slotOf(this.caller[node], this.label[node]);
      while (this.slots[slot]) slot = (slot + 1) & (this.slots.length - 1);
      this.slots[slot] = node;
    }
  }

  totals() {
    const total = this.own.slice(0, this.count);
    for (let node = this.count - 1; node > 0; node--) total[this.caller[node]] += total[node];
    return total;
  }
}

/* The callees of every node, in order: those of `node` are `list[first[node]]` to `list[first[node + 1] - 1]`. */
function siblings(growing, before) {
  const { count, caller } = growing;
  const first = new Int32Array(count + 1);
  for (let node = 1; node < count; node++) first[caller[node] + 1]++;
  for (let node = 0; node < count; node++) first[node + 1] += first[node];
  const list = new Int32Array(Math.max(count - 1, 0));
  const next = first.slice();
  for (let node = 1; node < count; node++) list[next[caller[node]]++] = node;
  for (let node = 0; node < count; node++) {
    if (first[node + 1] - first[node] > 1) sortPart(list, first[node], first[node + 1], before);
  }
  return { first, list };
}

function sortPart(list, from, to, before) {
  if (to - from > 12) {
    list.subarray(from, to).sort(before);
    return;
  }
  for (let i = from + 1; i < to; i++) {
    const node = list[i];
    let j = i;
    for (; j > from && before(list[j - 1], node) > 0; j--) list[j] = list[j - 1];
    list[j] = node;
  }
}

/* A tree that is done: callers before callees, left before right. `total` and `own` are in samples, `start`
   is where a node begins on the line of all samples, and a node's callees end before `end`. */
class Tree {
  /* Callees are in the order of their totals if `bySize`, of their `sizes` if there are any, else of their labels. */
  constructor(growing, bySize, sizes = null) {
    this.bySize = bySize && !sizes;
    const totals = growing.totals();
    const { label } = growing;
    const key = sizes ?? totals;
    const before = bySize ? (a, b) => key[b] - key[a] || label[a] - label[b] : (a, b) => label[a] - label[b];
    this.arrange(growing, totals, siblings(growing, before));
  }

  arrange(growing, totals, { first, list }) {
    const count = growing.count;
    this.count = count;
    for (const name of ["caller", "label", "depth", "end", "placeOf"]) this[name] = new Int32Array(count);
    for (const name of ["total", "own", "start"]) this[name] = new Float64Array(count);
    const { caller, label, depth, end, total, own, start, placeOf } = this;
    const filled = new Float64Array(count); // how much of a node's width its callees have so far
    const waiting = new Int32Array(count);
    let left = 1;
    for (let at = 0; left > 0; at++) {
      const node = waiting[--left];
      placeOf[node] = at;
      label[at] = growing.label[node];
      total[at] = totals[node];
      own[at] = growing.own[node];
      const above = node ? placeOf[growing.caller[node]] : -1;
      caller[at] = above;
      if (node) {
        depth[at] = depth[above] + 1;
        start[at] = start[above] + filled[above];
        filled[above] += total[at];
      }
      for (let i = first[node + 1] - 1; i >= first[node]; i--) waiting[left++] = list[i];
    }
    for (let at = count - 1; at >= 0; at--) {
      end[at] = Math.max(end[at], at + 1);
      if (at) end[caller[at]] = Math.max(end[caller[at]], end[at]);
    }
  }

  /* The labels from the root's callee to a node. */
  path(node) {
    const labels = [];
    for (let at = node; at > 0; at = this.caller[at]) labels.push(this.label[at]);
    return labels.reverse();
  }

  /* The node at the end of a path, or the last one on it that holds samples. */
  find(labels) {
    let at = 0;
    for (const label of labels) {
      let callee = at + 1;
      while (callee < this.end[at] && this.label[callee] !== label) callee = this.end[callee];
      if (callee >= this.end[at] || !this.total[callee]) break;
      at = callee;
    }
    return at;
  }

  /* Own and total samples of each label below `top`; a function that calls itself counts once. */
  functions(top, labels) {
    const own = new Float64Array(labels);
    const total = new Float64Array(labels);
    const under = new Int32Array(labels); // how many nodes of a label are on the way from `top`
    const way = [];
    for (let at = top; at < this.end[top]; at++) {
      while (way.length && this.end[way[way.length - 1]] <= at) under[this.label[way.pop()]]--;
      const label = this.label[at];
      own[label] += this.own[at];
      if (under[label]++ === 0) total[label] += this.total[at];
      way.push(at);
    }
    return { own, total };
  }

  /* The samples below `top` that show a label for which `hit[label]` has the bit `which`, each once; or what else
     `total` has of each node. */
  matched(top, hit, which, total = this.total) {
    let samples = 0;
    for (let at = top; at < this.end[top]; ) {
      if (hit[this.label[at]] & which) {
        samples += total[at];
        at = this.end[at];
      } else at++;
    }
    return samples;
  }
}
