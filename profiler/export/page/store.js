/* What is shown, as a value that the address keeps behind its #: a link shows the same, and back goes back. */

const SETTLE_MS = 100;

const numbersIn = (text, separator) => (text ? text.split(separator).map(Number) : []);
const isNumber = (value) => Number.isInteger(value) && value >= 0;

/* How a state is written into an address. `start` is the state without one; `choices` are the known values of its
   parts, `flags` are true or false, `lists` are of numbers, and `short` are the names of parts in the address. All
   states have `terms`. */
class Form {
  constructor({ start, choices, flags, lists, short }) {
    Object.assign(this, { start, choices, flags, lists, short });
  }

  write(state) {
    const parts = new URLSearchParams();
    const put = (name, value) => parts.append(this.short[name] ?? name, value);
    for (const name of Object.keys(this.choices)) if (state[name] !== this.start[name]) put(name, state[name]);
    for (const name of this.flags) if (state[name]) put(name, "1");
    for (const name of this.lists) if (state[name].length) put(name, state[name].join("."));
    this.writeMore(state, put);
    for (const term of state.terms) put("terms", term);
    return parts.toString();
  }

  /* Anything may stand in an address: what is not understood is as at the start. */
  read(fragment) {
    const parts = new URLSearchParams(fragment.replace(/^#/, ""));
    const get = (name) => parts.get(this.short[name] ?? name);
    const state = { ...this.start };
    for (const [name, known] of Object.entries(this.choices)) if (known.includes(get(name))) state[name] = get(name);
    for (const name of this.flags) state[name] = get(name) === "1";
    for (const name of this.lists) state[name] = numbersIn(get(name), ".").filter(isNumber);
    this.readMore(state, get);
    state.terms = parts.getAll(this.short.terms).filter(Boolean).slice(0, MOST_TERMS);
    return state;
  }

  /* For the heirs: parts of other kinds. */
  writeMore() {}

  readMore() {}
}

class Store {
  /* Calls `show(state)` whenever something else is to be seen. */
  constructor(form, show) {
    this.form = form;
    this.show = show;
    this.state = form.read(location.hash);
    this.unsettled = null; // an address that is about to be the present one
    this.written = location.hash; // what the page itself has put there
    window.addEventListener("hashchange", () => {
      if (location.hash === this.written) return; // it is told later, when the state may have gone on
      this.forget();
      this.written = location.hash;
      this.state = form.read(location.hash);
      this.show(this.state);
    });
  }

  /* A change is a step that one can go back from, unless it `replaces` the present one. */
  change(patch, replaces = false) {
    if (!replaces) this.settle();
    this.state = { ...this.state, ...patch };
    const fragment = `#${this.form.write(this.state)}`;
    if (replaces) {
      this.forget();
      this.unsettled = fragment;
      this.settling = setTimeout(() => this.settle(), SETTLE_MS);
    } else if (fragment !== (location.hash || "#")) {
      location.hash = fragment;
      this.written = location.hash;
    }
    this.show(this.state);
  }

  /* Browsers refuse to change the address as often as keys can be pressed. */
  settle() {
    if (this.unsettled === null) return;
    location.replace(this.unsettled);
    this.written = location.hash;
    this.forget();
  }

  forget() {
    clearTimeout(this.settling);
    this.unsettled = null;
  }
}
