/* What pages of all kinds are steered by: buttons of which one is pressed, searches, and the way to the zoom. */

const CRUMBS = 3; // at the end of the way that is always shown

/* The buttons that choose the state's part of this name: `<button data-NAME="VALUE">`. */
class Chooser {
  constructor(store, name) {
    this.name = name;
    this.buttons = [...document.querySelectorAll(`[data-${name}]`)];
    for (const button of this.buttons) {
      button.addEventListener("click", () => store.change({ [name]: button.dataset[name] }));
    }
  }

  show(state) {
    for (const button of this.buttons) press(button, button.dataset[this.name] === state[this.name]);
  }
}

class SearchField {
  constructor(store) {
    this.store = store;
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

  /* `share(term)` is what a term matches, as text. */
  show({ state, palette, search, share }) {
    press(byId("exact"), state.exact);
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
        make("span", { class: "share" }, share(term)), remove);
    }));
  }
}

class Way {
  constructor(store) {
    this.store = store;
    byId("back").addEventListener("click", () => this.stepOut());
  }

  /* The way from all to the zoom: its beginning, and its last steps. */
  show(recording, way) {
    const { store } = this;
    this.labels = way;
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
  }

  stepOut() {
    this.store.change({ zoom: this.labels.slice(0, -1) });
  }
}
