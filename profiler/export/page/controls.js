/* What one chooses by: views, groups, filters, kinds, searches, the span's ends, and the way to the zoom. */

const MOST_CHOICES = 1000; // of a filter, by samples
const CRUMBS = 3; // at the end of the way that is always shown

class Controls {
  constructor(recording, store) {
    this.recording = recording;
    this.store = store;
    this.filters = {};
    for (const name of FILTERS) this.addFilter(name);
    this.addKinds();
    const change = (patch) => store.change(patch);
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => change({ view: button.dataset.view }));
    }
    for (const button of document.querySelectorAll("[data-time]")) {
      button.addEventListener("click", () => change({ time: button.dataset.time }));
    }
    byId("group").addEventListener("change", (event) => change({ group: event.target.value, zoom: [] }));
    byId("order").addEventListener("change", (event) => change({ order: event.target.value }));
    byId("threads").addEventListener("change", (event) => change({ threads: event.target.checked, zoom: [] }));
    byId("threads-label").hidden = !recording.hasThreads;
    byId("times").hidden = !recording.hasTimes;
    const untimed = `${samplesText(recording.untimed)} without a time: in no span`;
    byId("untimed").textContent = recording.untimed ? untimed : "";
    for (const id of ["from", "to"]) byId(id).addEventListener("change", () => this.readSpan());
    byId("all-times").addEventListener("click", () => change({ span: null }));
    this.listenToSearch();
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

  listenToSearch() {
    const { store } = this;
    const field = byId("search");
    this.kept = store.state.terms;
    field.addEventListener("input", () => this.searchAs(field.value, true));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && field.value && this.kept.length < MOST_TERMS - 1) {
        this.kept = store.state.terms;
        field.value = "";
        this.searchAs("", false);
      } else if (event.key === "Escape") field.blur();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    byId("exact").addEventListener("click", () => store.change({ exact: !store.state.exact }));
  }

  searchAs(source, replaces) {
    this.store.change({ terms: source ? [...this.kept, source] : this.kept }, replaces);
  }

  readSpan() {
    const { endMs } = this.recording;
    const ms = (id, otherwise) => (byId(id).value === "" ? otherwise : Math.round(1000 * Number(byId(id).value)));
    const from = Math.max(ms("from", 0), 0);
    const to = Math.min(ms("to", endMs), endMs);
    this.store.change({ span: from < to && (from > 0 || to < endMs) ? [from, to] : null });
  }

  show({ state, palette, tree, top, search }) {
    for (const choice of ["view", "time"]) {
      for (const button of document.querySelectorAll(`[data-${choice}]`)) {
        press(button, button.dataset[choice] === state[choice]);
      }
    }
    byId("group").value = state.group;
    byId("order").value = state.order;
    byId("threads").checked = state.threads;
    press(byId("exact"), state.exact);
    byId("from").value = state.span ? state.span[0] / 1000 : "";
    byId("to").value = state.span ? state.span[1] / 1000 : "";
    byId("all-times").disabled = !state.span;
    for (const { kind, button, swatch } of this.kinds) {
      press(button, !state.hidden.includes(kind));
      swatch.style.background = palette.fills[kind * SHADES + 1];
    }
    for (const name of FILTERS) this.showFilter(name, state);
    this.showTerms(state, palette, tree, top, search);
    this.showWay(state, tree, top);
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

  showTerms(state, palette, tree, top, search) {
    const field = byId("search");
    const typed = field.value && state.terms[state.terms.length - 1] === field.value;
    if (!typed) field.value = "";
    this.kept = typed ? state.terms.slice(0, -1) : state.terms;
    field.setAttribute("aria-invalid", String(Boolean(typed) && !search.terms[state.terms.length - 1].pattern));
    byId("terms").hidden = !state.terms.length;
    byId("terms").replaceChildren(...search.terms.map((term, number) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = palette.terms[number];
      const remove = make("button", { type: "button", "aria-label": `Remove the search ${term.source}` }, "×");
      remove.addEventListener("click", () => {
        if (typed && number === state.terms.length - 1) field.value = "";
        this.store.change({ terms: state.terms.filter((_, other) => other !== number) });
      });
      return make("span", { class: "term" }, swatch, make("b", {}, cut(term.source, 40)), " ",
        make("span", { class: "share" }, search.share(tree, top, term)), remove);
    }));
  }

  /* The way from all to the zoom: its beginning, and its last steps. */
  showWay(state, tree, top) {
    const { recording, store } = this;
    const way = tree.path(top);
    const steps = [[0, recording.allLabel], ...way.map((label, at) => [at + 1, label])];
    const shown = steps.length > CRUMBS + 2 ? [...steps.slice(0, 2), null, ...steps.slice(-CRUMBS)] : steps;
    byId("crumbs").replaceChildren(...shown.map((step) => {
      if (!step) return make("li", {}, "…");
      const [length, label] = step;
      const text = recording.labels[label];
      const button = make("button", { type: "button", title: text }, cut(text, 48));
      if (length === way.length) button.setAttribute("aria-current", "true");
      button.addEventListener("click", () => store.change({ zoom: way.slice(0, length) }));
      return make("li", {}, button);
    }));
    byId("back").disabled = !way.length;
    const program = this.programOf(way);
    byId("open").hidden = program < 0;
    byId("open").textContent = state.opened.includes(program) ? "As one box" : "Open into processes";
    byId("to-sandwich").hidden = !way.length || way[way.length - 1] >= recording.frameCount;
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
