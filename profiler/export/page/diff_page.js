/* Brings the rooms of a comparison together: whenever the state changes, what depends on it is made anew. */

const FLAME_VIEWS = ["icicle", "flame"];
const PRINTED_PX = 4000;

class DiffPage {
  constructor(recording) {
    this.recording = recording;
    this.ranked = recording.ranked();
    this.search = new Search();
    this.printing = false;
    this.store = new Store(FORM, () => this.show());
    this.choosers = ["view", "width"].map((name) => new Chooser(this.store, name));
    this.field = new SearchField(this.store);
    this.way = new Way(this.store);
    this.addVerdicts();
    this.chart = new DiffChart(byId("chart"), {
      name: "Call tree of both recordings; arrow keys walk over the boxes, Enter zooms",
      onPick: (node) => this.store.change({ zoom: this.tree.path(node) }),
      onAt: (node, event) => showBox(this.shown, node, event),
    });
    this.table = new DiffTable(byId("functions"), {
      onPick: (label) => this.find(label),
      onSort: (sort) => {
        const { state } = this.store;
        this.store.change({ sort, up: state.sort === sort ? !state.up : sort === "name" }, true);
      },
    });
    showChanges(recording, this.ranked);
    this.listen();
  }

  listen() {
    const { store } = this;
    window.addEventListener("keydown", (event) => this.onKey(event));
    dark.addEventListener("change", () => this.show());
    byId("order").addEventListener("change", (event) => store.change({ order: event.target.value }));
    byId("theme").addEventListener("click", () => this.toggleTheme());
    window.addEventListener("beforeprint", () => this.print(true));
    window.addEventListener("afterprint", () => this.print(false));
  }

  toggleTheme() {
    const { store } = this;
    store.change({ theme: themeOf(store.state) === "dark" ? "light" : "dark" }, true);
  }

  /* A button for each verdict there is, with the functions that have it. */
  addVerdicts() {
    const { recording, store } = this;
    const functions = recording.verdicts.map(() => 0);
    for (const verdict of recording.functionVerdict) functions[verdict]++;
    const present = new Set([...recording.functionVerdict, ...recording.differenceVerdict]);
    this.verdictButtons = [...present].sort((a, b) => a - b).map((verdict) => {
      const { name, title, mark } = recording.verdicts[verdict];
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      const count = make("span", { class: "count" }, functions[verdict].toLocaleString("en"));
      const button = make("button", { type: "button", title: `Show this verdict: ${title}` },
        swatch, `${mark}${name} `, count);
      button.addEventListener("click", () => {
        const hidden = new Set(store.state.hidden);
        if (!hidden.delete(verdict)) hidden.add(verdict);
        store.change({ hidden: [...hidden].sort((a, b) => a - b) });
      });
      byId("kinds").append(button);
      return { verdict, button, swatch };
    });
  }

  /* Shows a function in the graph: zooms to the place where most of it is, and searches for all of them. */
  find(label) {
    const { tree, recording, store } = this;
    let best = -1;
    for (let at = 1; at < tree.count; at++) {
      if (tree.label[at] === label && (best < 0 || tree.total[at] > tree.total[best])) best = at;
    }
    const name = recording.labels[label].replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    store.change({ view: "icicle", zoom: best < 0 ? [] : tree.path(best), terms: [`^${name}$`], exact: true });
  }

  show() {
    const { recording, search } = this;
    const { state } = this.store;
    const key = `${state.width} ${state.order}`;
    if (key !== this.treeKey) this.tree = recording.tree(state.width, state.order);
    this.treeKey = key;
    search.look(state.terms, state.exact, recording.labels, 0);
    const theme = this.printing ? "light" : themeOf(state);
    this.palette = paletteFor(theme, this.palette, recording.verdicts);
    const { tree, palette, ranked } = this;
    const top = tree.find(state.zoom);
    this.shown = { recording, state, search, palette, tree, top, ranked };
    this.showParts();
    byId("message").hidden = Boolean(tree.total[0]);
    byId("message").textContent = this.whyEmpty();
  }

  whyEmpty() {
    const { recording, tree, store } = this;
    if (tree.total[0]) return "";
    return recording.head.of.some(Boolean) ? `Nothing was recorded ${store.state.width}.` : recording.head.empty;
  }

  showParts() {
    const { state, tree, top, recording, palette, search } = this.shown;
    const flame = FLAME_VIEWS.includes(state.view);
    byId("chart").hidden = !flame;
    byId("functions").hidden = flame;
    for (const id of ["graph-choices", "zoom"]) byId(id).hidden = !flame;
    for (const chooser of this.choosers) chooser.show(state);
    byId("order").value = state.order;
    for (const { verdict, button, swatch } of this.verdictButtons) {
      press(button, !state.hidden.includes(verdict));
      swatch.style.background = palette.fills[verdict * SHADES + SHADES - 1];
    }
    this.field.show({ state, palette, search, share: (term) => this.shareText(term) });
    this.way.show(recording, tree.path(top));
    if (flame) this.chart.show({ ...this.shown, up: state.view === "flame" });
    else {
      showBox(this.shown, -1, null);
      this.table.show(this.shown);
    }
  }

  /* What a search matches, of everything: before and after. */
  shareText({ bit, pattern }) {
    if (!pattern) return "not a regular expression";
    const { tree, search } = this;
    return tree.sides.map((side) => `${(100 * tree.matched(0, search.hit, bit, side)).toFixed(2)} %`).join(" → ");
  }

  /* Paper is light, and has the whole graph (at most PRINTED_PX of it) and the first rows of the table. */
  print(printing) {
    this.printing = printing;
    this.show();
    const { box, rows } = this.chart;
    const flame = FLAME_VIEWS.includes(this.shown.state.view);
    box.style.flex = printing ? "none" : "";
    box.style.height = printing ? `${Math.min(rows.length * ROW, PRINTED_PX)}px` : "";
    if (flame) this.chart.refresh();
    else if (printing) this.table.fill(PRINTED);
  }

  focusView() {
    if (FLAME_VIEWS.includes(this.store.state.view)) this.chart.canvas.focus();
    else byId("functions").querySelector('tbody button[tabindex="0"]')?.focus();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
    if (event.target.closest("input, select, textarea")) return;
    const { store } = this;
    const next = WIDTHS[(WIDTHS.indexOf(store.state.width) + 1) % WIDTHS.length];
    const keys = {
      "/": () => byId("search").select(),
      "?": () => byId("help").showModal(),
      g: () => this.focusView(),
      w: () => store.change({ width: next }),
      d: () => this.toggleTheme(),
      Backspace: () => this.way.stepOut(),
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
  new DiffPage(new Comparison(head)).show();
});
