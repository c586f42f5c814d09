/* Colours: a hue a kind with four near shades, as in the SVG; and of the terms that are searched for. */

const TERM_COLOURS = {
  light: ["#6d28d9", "#c2410c", "#0e7490", "#be185d", "#4d7c0f", "#1d4ed8"],
  dark: ["#c4b5fd", "#fdba74", "#67e8f9", "#f9a8d4", "#bef264", "#93c5fd"],
};
const INK = { light: "#181b1f", dark: "#f3f5f9" };
const PAPER = { light: "#fcfcfd", dark: "#13161c" };
const FADED = 0.3;
const SHADES = 4; // of a kind

const dark = window.matchMedia("(prefers-color-scheme: dark)");

const themeOf = (state) => state.theme || (dark.matches ? "dark" : "light");

const lightness = (colour) => {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return 0.3 * red + 0.59 * green + 0.11 * blue;
};

/* Text on a box of this colour. */
const inkOn = (colour) => (lightness(colour) > 120 ? INK.light : INK.dark);

class Palette {
  constructor(kinds, theme) {
    this.theme = theme;
    this.fills = kinds.flatMap((kind) => kind[theme]);
    this.inks = this.fills.map(inkOn);
    this.terms = TERM_COLOURS[theme];
    this.termInks = this.terms.map(inkOn);
    this.paper = PAPER[theme];
    this.ink = INK[theme];
    this.accent = this.terms[0];
  }
}
