/* The state of the page of a comparison. */

const VIEWS = ["icicle", "flame", "functions"];
const COLUMNS = [
  "totalBefore", "totalAfter", "totalChange", "ownBefore", "ownAfter", "ownChange", "verdict", "name",
];

const FORM = new Form({
  start: {
    view: "icicle", width: "both", order: "size", exact: false, theme: "", zoom: [], terms: [], hidden: [],
    sort: "verdict", up: false,
  },
  choices: {
    view: VIEWS, width: WIDTHS, order: ["size", "change", "name"], sort: COLUMNS, theme: ["light", "dark"],
  },
  flags: ["exact", "up"],
  lists: ["zoom", "hidden"],
  short: { zoom: "z", terms: "q", hidden: "hide" },
});
