/* What is said beside the picture: facts, losses, warnings, notes; what a box is; the hottest functions. */

const MOST_LOSSES = 100; // processes of which losses are listed
const HOTTEST = 20;

function showFacts(head) {
  byId("title").textContent = head.title;
  const facts = Object.fromEntries(head.facts);
  const samples = make("span", head.lossy ? { class: "loss" } : {}, facts.samples);
  byId("subtitle").replaceChildren(`${facts.started} · ${facts.for} · `, samples);
  byId("warnings").hidden = !head.warnings.length;
  byId("warnings").replaceChildren(...head.warnings.map((text) => make("li", {}, text)));
  const list = (title, texts) => texts.length
    ? [make("h2", {}, title), make("ul", {}, ...texts.map((text) => make("li", {}, text)))]
    : [];
  const losses = head.losses.slice(0, MOST_LOSSES).map(([process, ...said]) => `${process}: ${said.join("; ")}`);
  if (head.losses.length > MOST_LOSSES) losses.push(`and ${head.losses.length - MOST_LOSSES} more processes`);
  byId("about").replaceChildren(
    make("h2", {}, "The recording"),
    make("dl", {}, ...head.facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)))),
    ...list("Notes", head.notes), ...list("Losses by process", losses),
  );
}

/* What the recording says of the process or program of a label. */
function processLines(recording, label) {
  const { firstLabel, head } = recording;
  if (label >= firstLabel.process && label < firstLabel.thread) {
    return head.processes[label - firstLabel.process].about;
  }
  if (label < firstLabel.program || label >= firstLabel.process) return [];
  const program = label - firstLabel.program;
  const of = head.processes.filter((_, process) => recording.processProgram[process] === program);
  if (of.length === 1) return of[0].about;
  const lossy = of.filter((process) => process.lossy).length;
  const lost = lossy ? `; samples of ${lossy} of them were lost or are partial` : "";
  return [`${of.length.toLocaleString("en")} processes, which o opens${lost}`];
}

/* What is known of a box: its name, its shares of the whole and of what is zoomed, its own time. */
function boxLines({ recording, tree, top }, node) {
  const count = tree.total[node];
  const whole = tree.total[0];
  const lines = [
    recording.labels[tree.label[node]],
    `${samplesText(count)} · ${percent(count, whole)} of the whole (95 %: ${intervalText(count, whole)})`,
  ];
  if (top > 0 && node > top) lines.push(`${percent(count, tree.total[top])} of the view`);
  lines.push(`${samplesText(tree.own[node])} itself (${percent(tree.own[node], whole)})`);
  return [...lines, ...processLines(recording, tree.label[node])];
}

/* The tip beside the pointer, or the line below for a box that was walked to. */
function showBox(shown, node, event) {
  const tip = byId("tip");
  const lines = node < 0 ? [] : boxLines(shown, node);
  tip.hidden = node < 0 || !event;
  byId("details").textContent = lines.join(" · ") || "Point at a box, or walk with g and the arrow keys.";
  if (tip.hidden) return;
  tip.replaceChildren(...lines.map((line, at) => make(at ? "div" : "b", {}, line)));
  const room = document.documentElement;
  tip.style.left = `${Math.max(Math.min(event.clientX + 14, room.clientWidth - tip.offsetWidth - 8), 0)}px`;
  const below = event.clientY + 18;
  const fits = below + tip.offsetHeight < room.clientHeight;
  tip.style.top = `${fits ? below : Math.max(event.clientY - tip.offsetHeight - 10, 0)}px`;
}

/* For screen readers, beside the canvas: the functions that most samples are in themselves. */
function showHottest(recording, { own, total }, whole) {
  const labels = [];
  for (let label = 0; label < recording.frameCount; label++) if (own[label]) labels.push(label);
  const hottest = labels.sort((a, b) => own[b] - own[a] || a - b).slice(0, HOTTEST);
  byId("hottest").replaceChildren(...hottest.map((label) => make("li", {},
    `${recording.labels[label]}: ${percent(own[label], whole)} itself, ${percent(total[label], whole)} in total`)));
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
