/* The recording: its tables and rows, what filters leave of it, and the call tree of that. */

const PROCESS_KIND = 0;
const GROUPS = ["program", "process", "container", "user", "none"];
const FILTERS = ["program", "process", "thread", "container"];

class Recording {
  constructor(head) {
    const { column } = head;
    Object.assign(this, column);
    this.head = head;
    this.frameCount = head.frames.length;
    this.unitProgram = Array.from(this.unitProcess, (process) => this.processProgram[process]);
    this.containers = [...new Set(head.processes.map((process) => process.container))].sort();
    this.users = [...new Set(head.processes.map((process) => process.user))].sort();
    this.nameLabels(head);
    this.joinStacks();
    this.addUpTimes();
    this.total = this.rowCount.reduce((sum, count) => sum + count, 0);
    this.weigh();
  }

  /* Labels are one series of numbers: frames (sorted by text), then programs, processes and so on. */
  nameLabels(head) {
    const user = (uid) => (uid === null ? "user unknown" : `user ${uid}`);
    const tables = [
      head.frames, head.programs, head.processes.map((process) => process.text), head.threads,
      this.containers.map((name) => (name ? `container ${name}` : "no container")), this.users.map(user), ["all"],
    ];
    this.labels = tables.flat();
    const firsts = [];
    let first = 0;
    for (const table of tables) {
      firsts.push(first);
      first += table.length;
    }
    const [, program, process, thread, container, uid, all] = firsts;
    this.firstLabel = { program, process, thread, container, user: uid };
    this.allLabel = all;
    this.shades = new Uint8Array(this.labels.length);
    this.shades.set(this.frameShades);
    for (let label = program; label < all; label++) this.shades[label] = PROCESS_KIND + (label % SHADES);
  }

  /* The tree of all stacks: a node's caller and frame. Node 0 is the root. A stack's node is in `stackNode`. */
  joinStacks() {
    const { stackShared, stackMore, stackFrames } = this;
    this.nodeCaller = new Int32Array(stackFrames.length + 1);
    this.nodeFrame = new Int32Array(stackFrames.length + 1);
    this.stackNode = new Int32Array(stackShared.length);
    const way = [0]; // the nodes of the present stack
    let node = 0;
    for (let stack = 0; stack < stackShared.length; stack++) {
      let depth = stackShared[stack];
      for (let more = stackMore[stack]; more > 0; more--) {
        node++;
        this.nodeCaller[node] = way[depth++];
        this.nodeFrame[node] = stackFrames[node - 1];
        way[depth] = node;
      }
      this.stackNode[stack] = way[depth];
    }
  }

  /* Rows have distances between their times; from here on `times` are from the recording's start. */
  addUpTimes() {
    const rows = this.rowTimes.length;
    this.firstTime = new Int32Array(rows + 1);
    const times = new Uint32Array(this.times.length);
    let at = 0;
    let end = this.head.durationMs;
    for (let row = 0; row < rows; row++) {
      this.firstTime[row] = at;
      let time = 0;
      for (let left = this.rowTimes[row]; left > 0; left--, at++) times[at] = time += this.times[at];
      if (time >= end) end = time + 1;
    }
    this.firstTime[rows] = at;
    this.times = times;
    this.endMs = Math.max(end, 1);
    this.hasTimes = at > 0;
    this.untimed = 0; // samples
    for (let row = 0; row < rows; row++) if (!this.rowTimes[row]) this.untimed += this.rowCount[row];
    this.hasThreads = this.head.threads.length > 1;
  }

  kindOf(label) {
    return Math.floor(this.shades[label] / SHADES);
  }

  kindTitle(label) {
    return this.head.kinds[this.kindOf(label)].title;
  }

  /* Samples of each unit. */
  weigh() {
    this.unitSamples = new Float64Array(this.unitProcess.length);
    for (let row = 0; row < this.rowUnit.length; row++) this.unitSamples[this.rowUnit[row]] += this.rowCount[row];
  }

  /* The number that a filter compares, of each unit. */
  valueOf(filter, unit) {
    const process = this.unitProcess[unit];
    if (filter === "program") return this.unitProgram[unit];
    if (filter === "process") return process;
    if (filter === "thread") return this.unitThread[unit];
    return this.containers.indexOf(this.head.processes[process].container);
  }

  /* Which units the filters let through: `{program: {value, not}, …}`. */
  passing(filters) {
    const passes = new Uint8Array(this.unitProcess.length).fill(1);
    for (const name of FILTERS) {
      const filter = filters[name];
      if (!filter) continue;
      for (let unit = 0; unit < passes.length; unit++) {
        if ((this.valueOf(name, unit) === filter.value) === filter.not) passes[unit] = 0;
      }
    }
    return passes;
  }

  /* How many samples of a row are in a span of ms; one without times is in none. */
  samplesIn(row, span) {
    if (!span) return this.rowCount[row];
    return this.timesBefore(row, span[1]) - this.timesBefore(row, span[0]);
  }

  timesBefore(row, ms) {
    let low = this.firstTime[row];
    let high = this.firstTime[row + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /* The labels above a unit's stacks. `opened` holds the programs whose processes are shown. */
  unitPath(unit, { group, threads, opened }) {
    const process = this.unitProcess[unit];
    const program = this.unitProgram[unit];
    const { container, user } = this.head.processes[process];
    const { firstLabel } = this;
    const path = [];
    if (group === "container") path.push(firstLabel.container + this.containers.indexOf(container));
    if (group === "user") path.push(firstLabel.user + this.users.indexOf(user));
    if (["program", "container", "user"].includes(group)) path.push(firstLabel.program + program);
    const alone = this.processesOf[program] === 1 && group !== "process";
    if (group === "process" || (group !== "none" && opened.has(program) && !alone)) {
      path.push(firstLabel.process + process);
    }
    if (threads && this.unitThread[unit]) path.push(firstLabel.thread + this.unitThread[unit]);
    return path;
  }

  /* A program's text tells how many of its processes pass; a single one has its pid. */
  namePrograms(passes) {
    const { head, firstLabel } = this;
    const seen = new Set();
    const last = [];
    this.processesOf = new Float64Array(head.programs.length);
    passes.forEach((pass, unit) => {
      const process = this.unitProcess[unit];
      if (!pass || seen.has(process)) return;
      seen.add(process);
      this.processesOf[this.unitProgram[unit]] += this.processCount[process];
      last[this.unitProgram[unit]] = process;
    });
    head.programs.forEach((name, program) => {
      const count = this.processesOf[program];
      const text = count > 1 ? `${name} × ${count.toLocaleString("en")}` : head.processes[last[program]]?.text;
      this.labels[firstLabel.program + program] = text ?? name;
    });
  }

  /* The call tree's nodes for all times; `rowPlace[row]` is the node of a row's stack, -1 if it is left out. */
  grow(options) {
    const passes = this.passing(options.filters);
    this.namePrograms(passes);
    const growing = new Growing(this.allLabel, 2 * this.nodeCaller.length + 1024);
    const rowPlace = new Int32Array(this.rowUnit.length).fill(-1);
    const ways = this.unitWays(growing, passes, options);
    const hidden = Uint8Array.from({ length: this.frameCount }, (_, frame) => options.hidden.has(this.kindOf(frame)));
    const grower = {
      growing, hidden,
      merges: options.hidden.size > 0, // what comes below a hidden frame may be there already
      place: new Int32Array(this.nodeCaller.length), // of a stack's node below the present group
      placedFor: new Int32Array(this.nodeCaller.length).fill(-1),
      way: [],
    };
    for (const { group, first, end } of ways) {
      grower.placedFor[0] = group;
      grower.place[0] = group;
      for (let row = first; row < end; row++) {
        rowPlace[row] = this.growStack(grower, this.stackNode[this.rowStack[row]], group);
      }
    }
    return { growing, rowPlace };
  }

  /* The rows of each unit that passes, with the node that they grow from; units of one node in a row. */
  unitWays(growing, passes, options) {
    const ways = [];
    for (let row = 0; row < this.rowUnit.length; ) {
      const first = row;
      const unit = this.rowUnit[row];
      while (row < this.rowUnit.length && this.rowUnit[row] === unit) row++;
      if (!passes[unit]) continue;
      const group = this.unitPath(unit, options).reduce((node, label) => growing.callee(node, label), 0);
      ways.push({ group, first, end: row });
    }
    return ways.sort((a, b) => a.group - b.group);
  }

  growStack({ growing, hidden, merges, place, placedFor, way }, node, group) {
    let at = node;
    while (placedFor[at] !== group) {
      way.push(at);
      at = this.nodeCaller[at];
    }
    let grown = place[at];
    while (way.length) {
      at = way.pop();
      const frame = this.nodeFrame[at];
      if (!hidden[frame]) grown = merges ? growing.callee(grown, frame) : growing.add(grown, frame);
      place[at] = grown;
      placedFor[at] = group;
    }
    return grown;
  }

  /* The tree of what a span of times shows. */
  tree({ growing, rowPlace }, span, bySize) {
    growing.own.fill(0);
    for (let row = 0; row < rowPlace.length; row++) {
      if (rowPlace[row] >= 0) growing.own[rowPlace[row]] += this.samplesIn(row, span);
    }
    return new Tree(growing, bySize);
  }
}
