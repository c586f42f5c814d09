/* What one chooses by in a recording: groups, filters, kinds and the span's ends, beside views and searches. */

const MOST_CHOICES = 1000; // of a filter, by samples

class Controls {
  constructor(recording, store) {
    this.recording = recording;
    this.store = store;
    this.filters = {};
    for (const name of FILTERS) this.addFilter(name);
    this.addKinds();
    const change = (patch) => store.change(patch);
    this.choosers = ["view", "time"].map((name) => new Chooser(store, name));
    byId("group").addEventListener("change", (event) => change({ group: event.target.value, zoom: [] }));
    byId("order").addEventListener("change", (event) => change({ order: event.target.value }));
    byId("threads").addEventListener("change", (event) => change({ threads: event.target.checked, zoom: [] }));
    byId("threads-label").hidden = !recording.hasThreads;
    byId("times").hidden = !recording.hasTimes;
    const untimed = `${samplesText(recording.untimed)} without a time: in no span`;
    byId("untimed").textContent = recording.untimed ? untimed : "";
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.readSpan());
    byId("all-times").addEventListener("click", () => change({ span: null }));
    this.field = new SearchField(store);
    this.way = new Way(store);
  }

  /* A filter: which value, and whether it is that or all others that pass. */
  addFilter(name) {
    const select = make("select", { "aria-label": `Only this ${name}` });
    const not = make("button", {
      type: "button", "aria-pressed": "false", "aria-label": `All but this ${name}`, title: `All but this ${name}`,
    }, "≠");
    const changed = () => {
      const value = select.value === "" ? null : { value: Number(select.value), not: isPressed(not) };
      this.store.change({ [name]: value, zoom: [] });
    };
    select.addEventListener("change", changed);
    not.addEventListener("click", () => {
      press(not, !isPressed(not));
      changed();
    });
    const box = make("label", {}, `${name[0].toUpperCase()}${name.slice(1)} `, select);
    const whole = make("span", { class: "filter" }, box, not);
    byId("filters").append(whole);
    this.filters[name] = { select, not, whole };
  }

  addKinds() {
    const { recording, store } = this;
    const seen = new Set(recording.frameShades.map((shade) => Math.floor(shade / SHADES)));
    this.kinds = [...seen].sort((a, b) => a - b).map((kind) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      const { title } = recording.head.kinds[kind];
      const says = `Show ${title} frames; if not, their callers have the time`;
      const button = make("button", { type: "button", title: says }, swatch, title);
      button.addEventListener("click", () => {
        const hidden = new Set(store.state.hidden);
        if (!hidden.delete(kind)) hidden.add(kind);
        store.change({ hidden: [...hidden].sort((a, b) => a - b), zoom: [] });
      });
      byId("kinds").append(button);
      return { kind, button, swatch };
    });
  }

  readSpan() {
    const { endMs } = this.recording;
    const ms = (id, otherwise) => (byId(id).value === "" ? otherwise : Math.round(1000 * Number(byId(id).value)));
    const from = Math.max(ms("from", 0), 0);
    const to = Math.min(ms("to", endMs), endMs);
    this.store.change({ span: from < to && (from > 0 || to < endMs) ? [from, to] : null });
  }

  show({ recording, state, palette, tree, top, search }) {
    for (const chooser of this.choosers) chooser.show(state);
    byId("group").value = state.group;
    byId("order").value = state.order;
    byId("threads").checked = state.threads;
    byId("from").value = state.span ? state.span[0] / 1000 : "";
    byId("to").value = state.span ? state.span[1] / 1000 : "";
    byId("all-times").disabled = !state.span;
    for (const { kind, button, swatch } of this.kinds) {
      press(button, !state.hidden.includes(kind));
      swatch.style.background = palette.fills[kind * SHADES + 1];
    }
    for (const name of FILTERS) this.showFilter(name, state);
    this.field.show({ state, palette, search, share: (term) => search.share(tree, top, term) });
    const way = tree.path(top);
    this.way.show(recording, way);
    const program = this.programOf(way);
    byId("open").hidden = program < 0;
    byId("open").textContent = state.opened.includes(program) ? "As one box" : "Open into processes";
    byId("to-sandwich").hidden = !way.length || way[way.length - 1] >= recording.frameCount;
  }

  /* The choices of a filter: of threads and processes those that the filters before it let through. */
  showFilter(name, state) {
    const { recording } = this;
    const { select, not, whole } = this.filters[name];
    const wider = { program: [], process: ["program"], thread: ["program", "process"], container: [] }[name];
    const key = JSON.stringify(wider.map((other) => state[other]));
    const chosen = state[name]?.value;
    if (select.dataset.key !== key || (chosen !== undefined && select.value !== String(chosen))) {
      select.dataset.key = key;
      const passes = recording.passing(Object.fromEntries(wider.map((other) => [other, state[other]])));
      const choices = this.choices(name, passes, chosen);
      whole.hidden = choices.length < 2 && chosen === undefined;
      select.replaceChildren(make("option", { value: "" }, "any"),
        ...choices.map(([value, text]) => make("option", { value }, text)));
    }
    select.value = chosen ?? "";
    not.disabled = chosen === undefined;
    press(not, Boolean(state[name]?.not));
  }

  choices(name, passes, chosen) {
    const { recording } = this;
    const { head } = recording;
    const texts = {
      program: head.programs,
      process: head.processes.map((process) => process.text),
      thread: head.threads.map((text) => text || "no thread"),
      container: recording.containers.map((text) => text || "none"),
    }[name];
    const samples = new Map();
    passes.forEach((pass, unit) => {
      const value = recording.valueOf(name, unit);
      if (pass) samples.set(value, (samples.get(value) ?? 0) + recording.unitSamples[unit]);
    });
    const most = [...samples].sort((a, b) => b[1] - a[1]).slice(0, MOST_CHOICES).map(([value]) => value);
    if (chosen !== undefined && !most.includes(chosen)) most.push(chosen);
    return most.map((value) => [value, texts[value] ?? "unknown"]);
  }

  /* The program of several processes that a way goes through; -1 if it goes through none. */
  programOf(way) {
    const { firstLabel, processesOf } = this.recording;
    const label = way.find((each) => each >= firstLabel.program && each < firstLabel.process);
    return label === undefined || processesOf[label - firstLabel.program] < 2 ? -1 : label - firstLabel.program;
  }

  /* Opens a program into its processes, or makes them one box; the zoom goes to it. */
  toggleProgram(way) {
    const { state } = this.store;
    const program = this.programOf(way);
    if (program < 0) return;
    const opened = new Set(state.opened);
    if (!opened.delete(program)) opened.add(program);
    const end = way.indexOf(this.recording.firstLabel.program + program) + 1;
    this.store.change({ opened: [...opened], zoom: way.slice(0, end) });
  }
}
