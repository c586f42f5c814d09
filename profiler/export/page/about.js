/* What is said beside the picture: facts, losses, warnings, notes; what a box is; the hottest functions. */

const HOTTEST = 20;

function showFacts(head) {
  byId("title").textContent = head.title;
  const facts = Object.fromEntries(head.facts);
  const samples = make("span", head.lossy ? { class: "loss" } : {}, facts.samples);
  byId("subtitle").replaceChildren(`${facts.started} · ${facts.for} · `, samples);
  showWarnings(head.warnings);
  byId("about").replaceChildren(
    heading("The recording"),
    make("dl", {}, ...head.facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text)))),
    ...listOf("Notes", head.notes), ...listOf("Losses by process", lossTexts(head.losses)),
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

function showBox(shown, node, event) {
  showLines(node < 0 ? [] : boxLines(shown, node), event);
}

/* For screen readers, beside the canvas: the functions that most samples are in themselves. */
function showHottest(recording, { own, total }, whole) {
  const labels = [];
  for (let label = 0; label < recording.frameCount; label++) if (own[label]) labels.push(label);
  const hottest = labels.sort((a, b) => own[b] - own[a] || a - b).slice(0, HOTTEST);
  byId("hottest").replaceChildren(...hottest.map((label) => make("li", {},
    `${recording.labels[label]}: ${percent(own[label], whole)} itself, ${percent(total[label], whole)} in total`)));
}
