/* Texts: numbers as people read them, and elements of which every text is text. */

const NARROW = "\u1100"; // from here on a character takes two cells
const Z_95 = 1.959964;

const samplesText = (count) => `${count.toLocaleString("en")} ${count === 1 ? "sample" : "samples"}`;

const percent = (part, whole) => `${whole ? ((100 * part) / whole).toFixed(2) : "0.00"} %`;

const secondsText = (ms) => `${(ms / 1000).toFixed(2)} s`;

/* Wilson's interval (95 %) of the share that `part` of `whole` samples show, in percent: as interval.py has it. */
function interval(part, whole) {
  if (!whole) return [0, 100];
  const share = Math.min(part / whole, 1);
  const z2 = (Z_95 * Z_95) / whole;
  const middle = (share + z2 / 2) / (1 + z2);
  const half = (Z_95 * Math.sqrt((share * (1 - share)) / whole + z2 / (4 * whole))) / (1 + z2);
  return [part > 0 ? 100 * Math.max(middle - half, 0) : 0, part < whole ? 100 * Math.min(middle + half, 1) : 100];
}

function intervalText(part, whole) {
  const [low, high] = interval(part, whole);
  return `${low.toFixed(2)} to ${high.toFixed(2)} %`;
}

/* As much of a text as fits into `cells` character cells; empty if that tells nothing. */
function cut(text, cells) {
  if (cells < 3) return "";
  let used = 0;
  for (let i = 0; i < text.length; i++) {
    used += text[i] < NARROW ? 1 : 2;
    if (used > cells) {
      const end = text.charCodeAt(i - 1) >> 10 === 0x36 ? i - 2 : i - 1; // no half of a pair
      return i > 3 ? text.slice(0, end) + "…" : "";
    }
  }
  return text;
}

/* A new element. A child that is a string becomes a text node, so no name is ever markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed));
