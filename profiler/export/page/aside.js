/* What is said beside the picture on pages of all kinds: the tip, facts in a panel that opens, help, the theme. */

const MOST_LOSSES = 100; // processes of which losses are listed

const heading = (title) => make("h2", {}, title);

/* A list with a title; nothing if there is nothing to list. */
function listOf(title, texts) {
  return texts.length ? [heading(title), make("ul", {}, ...texts.map((text) => make("li", {}, text)))] : [];
}

/* The losses of each process, given as its text and what is said of it. */
function lossTexts(losses) {
  const texts = losses.slice(0, MOST_LOSSES).map(([process, ...said]) => `${process}: ${said.join("; ")}`);
  if (losses.length > MOST_LOSSES) texts.push(`and ${losses.length - MOST_LOSSES} more processes`);
  return texts;
}

function showWarnings(warnings) {
  byId("warnings").hidden = !warnings.length;
  byId("warnings").replaceChildren(...warnings.map((text) => make("li", {}, text)));
}

/* What is to be said of a box: in the tip beside the pointer, or in the line below if it was walked to. */
function showLines(lines, event) {
  const tip = byId("tip");
  tip.hidden = !lines.length || !event;
  byId("details").textContent = lines.join(" · ") || "Point at a box, or walk with g and the arrow keys.";
  if (tip.hidden) return;
  tip.replaceChildren(...lines.map((line, at) => make(at ? "div" : "b", {}, line)));
  const room = document.documentElement;
  tip.style.left = `${Math.max(Math.min(event.clientX + 14, room.clientWidth - tip.offsetWidth - 8), 0)}px`;
  const below = event.clientY + 18;
  const fits = below + tip.offsetHeight < room.clientHeight;
  tip.style.top = `${fits ? below : Math.max(event.clientY - tip.offsetHeight - 10, 0)}px`;
}

function listenToAbout() {
  const button = byId("about-button");
  button.addEventListener("click", () => {
    byId("about").hidden = !byId("about").hidden;
    button.setAttribute("aria-expanded", String(!byId("about").hidden));
  });
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("help-close").addEventListener("click", () => byId("help").close());
}

/* The palette of the theme in use, which the page and its button show. */
function paletteFor(theme, palette, kinds) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = theme === "dark" ? "Light" : "Dark";
  return palette?.theme === theme ? palette : new Palette(kinds, theme);
}
