/* Brings the rooms together: whenever the state changes, what depends on it is made anew and shown. */

const FLAME_VIEWS = ["icicle", "flame"];
const PRINTED_PX = 4000;

class Page {
  constructor(recording) {
    this.recording = recording;
    this.search = new Search();
    this.version = 0; // of the labels' texts
    this.printing = false;
    this.store = new Store(FORM, () => this.show());
    this.controls = new Controls(recording, this.store);
    const say = (text) => (byId("said").textContent = text);
    const hear = { onSpan: (span, replaces) => this.store.change({ span }, replaces), onSay: say };
    const how = "arrow keys move, with Shift they select";
    this.lanes = new Lanes(byId("lanes"), `Timeline; ${how}`, hear);
    this.heat = new Heat(byId("heat"), `Heat map of the recording's seconds; ${how}`, hear);
    this.chart = new Chart(byId("chart"), {
      name: "Call tree; arrow keys walk over the boxes, Enter zooms",
      onPick: (node) => this.zoomTo(node),
      onAt: (node, event) => showBox(this.shown, node, event),
    });
    this.sandwich = new Sandwich({
      onPick: (label) => this.middle(label),
      onAt: (chart, node, event) => showBox({ recording, tree: chart.tree, top: 0 }, node, event),
    });
    this.table = new FunctionTable(byId("functions"), {
      onPick: (label) => this.middle(label),
      onSort: (sort) => {
        const { state } = this.store;
        this.store.change({ sort, up: state.sort === sort ? !state.up : sort === "name" }, true);
      },
    });
    this.listen();
  }

  listen() {
    const { store } = this;
    window.addEventListener("keydown", (event) => this.onKey(event));
    window.addEventListener("resize", () => this.showTimes());
    dark.addEventListener("change", () => this.show());
    byId("theme").addEventListener("click", () => this.toggleTheme());
    byId("open").addEventListener("click", () => this.controls.toggleProgram(this.way));
    byId("to-sandwich").addEventListener("click", () => this.middle(this.way[this.way.length - 1]));
    window.addEventListener("beforeprint", () => this.print(true));
    window.addEventListener("afterprint", () => this.print(false));
    this.toggleTheme = () => store.change({ theme: themeOf(store.state) === "dark" ? "light" : "dark" }, true);
  }

  get way() {
    return this.shown.tree.path(this.shown.top);
  }

  zoomTo(node) {
    this.store.change({ zoom: this.shown.tree.path(node) });
  }

  /* Puts a function in the middle of the sandwich. */
  middle(label) {
    if (label < this.recording.frameCount) this.store.change({ view: "sandwich", fn: label });
  }

  /* The tree and where the zoom is; what the state does not change is kept. */
  build(state) {
    const { recording } = this;
    const filters = Object.fromEntries(FILTERS.map((name) => [name, state[name]]));
    const grownKey = JSON.stringify([filters, state.group, state.threads, state.opened, state.hidden]);
    if (grownKey !== this.grownKey) {
      const options = { filters, group: state.group, threads: state.threads };
      this.grown = recording.grow({ ...options, opened: new Set(state.opened), hidden: new Set(state.hidden) });
      this.grownKey = grownKey;
      this.version++;
    }
    const treeKey = JSON.stringify([grownKey, state.span, state.order]);
    if (treeKey !== this.treeKey) {
      this.tree = recording.tree(this.grown, state.span, state.order === "size");
      this.treeKey = treeKey;
    }
  }

  show() {
    const { recording, search } = this;
    const { state } = this.store;
    this.build(state);
    search.look(state.terms, state.exact, recording.labels, this.version);
    const theme = this.printing ? "light" : themeOf(state);
    this.palette = paletteFor(theme, this.palette, recording.head.kinds);
    const { tree, palette } = this;
    const top = tree.find(state.zoom);
    const { rowPlace } = this.grown;
    this.shown = { recording, state, search, palette, tree, top, rowPlace, span: state.span };
    this.showParts();
    const none = !tree.total[0];
    byId("message").hidden = !none;
    const why = recording.total ? "No sample passes the filters." : recording.head.empty;
    byId("message").textContent = none ? why : "";
  }

  showParts() {
    const { state, tree, top, recording } = this.shown;
    const flame = FLAME_VIEWS.includes(state.view);
    byId("chart").hidden = !flame;
    byId("functions").hidden = state.view !== "functions";
    byId("sandwich").hidden = state.view !== "sandwich";
    this.controls.show(this.shown);
    this.showTimes();
    if (flame) this.chart.show({ ...this.shown, up: state.view === "flame" });
    else showBox(this.shown, -1, null);
    if (state.view === "functions") {
      const { sort, up } = state;
      this.table.show({ ...this.shown, figures: this.figures(), whole: tree.total[top], sort, up });
    } else if (state.view === "sandwich") this.sandwich.show(this.shown, this.inMiddle);
    clearTimeout(this.later);
    this.later = setTimeout(() => showHottest(recording, this.figures(), tree.total[top]), this.ready ? 50 : 0);
    this.ready = true;
  }

  /* The functions of what is zoomed. */
  figures() {
    const { tree, top, recording } = this.shown;
    if (this.figuresOf?.tree !== tree || this.figuresOf.top !== top) {
      this.figuresOf = { tree, top, figures: tree.functions(top, recording.labels.length) };
    }
    return this.figuresOf.figures;
  }

  hottest() {
    const { own } = this.figures();
    let best = 0;
    for (let label = 1; label < this.recording.frameCount; label++) if (own[label] > own[best]) best = label;
    return best;
  }

  get inMiddle() {
    const { fn } = this.shown.state;
    return fn !== null && fn < this.recording.frameCount ? fn : this.hottest();
  }

  showTimes() {
    if (!this.shown || !this.recording.hasTimes) return;
    const { time } = this.shown.state;
    byId("lanes").hidden = time !== "lanes";
    byId("heat").hidden = time !== "heat";
    if (time !== "off") this[time].show(this.shown);
  }

  /* Paper is light, and has the whole graph (at most PRINTED_PX of it) and the first rows of the table. */
  print(printing) {
    this.printing = printing;
    this.show();
    const { box, rows } = this.chart;
    box.style.flex = printing ? "none" : "";
    box.style.height = printing ? `${Math.min(rows.length * ROW, PRINTED_PX)}px` : "";
    if (FLAME_VIEWS.includes(this.shown.state.view)) this.chart.refresh();
    if (printing && this.shown.state.view === "functions") this.table.fill(PRINTED);
  }

  /* The part that one walks in. */
  focusView() {
    const { view, fn } = this.store.state;
    if (FLAME_VIEWS.includes(view)) this.chart.canvas.focus();
    else if (view === "sandwich") (fn === null ? this.sandwich.callees : this.sandwich.callers).canvas.focus();
    else byId("functions").querySelector('tbody button[tabindex="0"]')?.focus();
  }

  /* The way to the box that one is at, or else to the zoom. */
  get wayAt() {
    const { node } = this.chart;
    return FLAME_VIEWS.includes(this.store.state.view) && node >= 0 ? this.shown.tree.path(node) : this.way;
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target.closest("input, select, textarea")) return;
    const { store } = this;
    const keys = {
      "/": () => byId("search").select(),
      "?": () => byId("help").showModal(),
      g: () => this.focusView(),
      t: () => this[store.state.time === "off" ? "lanes" : store.state.time].canvas.focus(),
      s: () => this.middle(this.wayAt[this.wayAt.length - 1] ?? this.hottest()),
      o: () => this.controls.toggleProgram(this.wayAt),
      d: () => this.toggleTheme(),
      Backspace: () => this.controls.way.stepOut(),
      Escape: () => store.change({ zoom: [], terms: [] }),
    };
    const view = VIEWS[Number(event.key) - 1];
    if (view) store.change({ view });
    else if (Object.hasOwn(keys, event.key)) keys[event.key]();
    else return;
    event.preventDefault();
  }
}

open((head) => {
  showFacts(head);
  new Page(new Recording(head)).show();
});
