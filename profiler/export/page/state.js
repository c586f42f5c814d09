/* The state of the page of a recording. */

const VIEWS = ["icicle", "flame", "functions", "sandwich"];
const TIMES = ["lanes", "heat", "off"];
const COLUMNS = ["own", "total", "name", "kind"];

class RecordingForm extends Form {
  writeMore(state, put) {
    for (const name of FILTERS) if (state[name]) put(name, `${state[name].not ? "!" : ""}${state[name].value}`);
    if (state.span) put("span", state.span.join("-"));
    if (state.fn !== null) put("fn", state.fn);
  }

  readMore(state, get) {
    for (const name of FILTERS) {
      const [, not, value] = /^(!?)(\d{1,9})$/.exec(get(name) ?? "") ?? [];
      if (value) state[name] = { value: Number(value), not: not === "!" };
    }
    const span = numbersIn(get("span"), "-");
    if (span.length === 2 && span.every(isNumber) && span[0] < span[1]) state.span = span;
    if (/^\d{1,9}$/.test(get("fn") ?? "")) state.fn = Number(get("fn"));
  }
}

const FORM = new RecordingForm({
  start: {
    view: "icicle", time: "lanes", group: "program", order: "size", threads: false, exact: false, theme: "",
    zoom: [], terms: [], span: null, opened: [], hidden: [], fn: null, sort: "own", up: false,
    program: null, process: null, thread: null, container: null,
  },
  choices: {
    view: VIEWS, time: TIMES, group: GROUPS, order: ["size", "name"], sort: COLUMNS, theme: ["light", "dark"],
  },
  flags: ["threads", "exact", "up"],
  lists: ["zoom", "opened", "hidden"],
  short: { zoom: "z", terms: "q", span: "t", opened: "open", hidden: "hide", fn: "f" },
});
