/* What is shown, as a value that the address keeps behind its #: a link shows the same, and back goes back. */

const VIEWS = ["icicle", "flame", "functions", "sandwich"];
const TIMES = ["lanes", "heat", "off"];
const COLUMNS = ["own", "total", "name", "kind"];

const START = {
  view: "icicle", time: "lanes", group: "program", order: "size", threads: false, exact: false, theme: "",
  zoom: [], terms: [], span: null, opened: [], hidden: [], fn: null, sort: "own", up: false,
  program: null, process: null, thread: null, container: null,
};

const SHORT = { zoom: "z", terms: "q", span: "t", opened: "open", hidden: "hide", fn: "f" };
const CHOICES = {
  view: VIEWS, time: TIMES, group: GROUPS, order: ["size", "name"], sort: COLUMNS, theme: ["light", "dark"],
};
const SETTLE_MS = 100;
const FLAGS = ["threads", "exact", "up"];

function toFragment(state) {
  const parts = new URLSearchParams();
  const put = (name, value) => parts.append(SHORT[name] ?? name, value);
  for (const name of Object.keys(CHOICES)) if (state[name] !== START[name]) put(name, state[name]);
  for (const name of FLAGS) if (state[name]) put(name, "1");
  for (const name of ["zoom", "opened", "hidden"]) if (state[name].length) put(name, state[name].join("."));
  for (const name of FILTERS) if (state[name]) put(name, `${state[name].not ? "!" : ""}${state[name].value}`);
  if (state.span) put("span", state.span.join("-"));
  if (state.fn !== null) put("fn", state.fn);
  for (const term of state.terms) put("terms", term);
  return parts.toString();
}

const numbersIn = (text, separator) => (text ? text.split(separator).map(Number) : []);
const isNumber = (value) => Number.isInteger(value) && value >= 0;

/* Anything may stand in an address: what is not understood is as at the start. */
function fromFragment(fragment) {
  const parts = new URLSearchParams(fragment.replace(/^#/, ""));
  const get = (name) => parts.get(SHORT[name] ?? name);
  const state = { ...START };
  for (const [name, known] of Object.entries(CHOICES)) if (known.includes(get(name))) state[name] = get(name);
  for (const name of FLAGS) state[name] = get(name) === "1";
  for (const name of ["zoom", "opened", "hidden"]) state[name] = numbersIn(get(name), ".").filter(isNumber);
  for (const name of FILTERS) {
    const [, not, value] = /^(!?)(\d{1,9})$/.exec(get(name) ?? "") ?? [];
    if (value) state[name] = { value: Number(value), not: not === "!" };
  }
  const span = numbersIn(get("span"), "-");
  if (span.length === 2 && span.every(isNumber) && span[0] < span[1]) state.span = span;
  if (/^\d{1,9}$/.test(get("fn") ?? "")) state.fn = Number(get("fn"));
  state.terms = parts.getAll("q").filter(Boolean).slice(0, MOST_TERMS);
  return state;
}

class Store {
  /* Calls `show(state)` whenever something else is to be seen. */
  constructor(show) {
    this.show = show;
    this.state = fromFragment(location.hash);
    this.unsettled = null; // an address that is about to be the present one
    window.addEventListener("hashchange", () => {
      if (location.hash.replace(/^#/, "") === toFragment(this.state)) return;
      this.state = fromFragment(location.hash);
      this.show(this.state);
    });
  }

  /* A change is a step that one can go back from, unless it `replaces` the present one. */
  change(patch, replaces = false) {
    if (!replaces) this.settle();
    this.state = { ...this.state, ...patch };
    const fragment = `#${toFragment(this.state)}`;
    if (replaces) {
      clearTimeout(this.settling);
      this.unsettled = fragment;
      this.settling = setTimeout(() => this.settle(), SETTLE_MS);
    } else if (fragment !== (location.hash || "#")) location.hash = fragment;
    this.show(this.state);
  }

  /* Browsers refuse to change the address as often as keys can be pressed. */
  settle() {
    clearTimeout(this.settling);
    if (this.unsettled !== null) location.replace(this.unsettled);
    this.unsettled = null;
  }
}
