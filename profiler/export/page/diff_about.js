/* What is said beside the picture of a comparison: both recordings, their losses, what a box is, what changed most. */

const CHANGED_MOST = 20;
const SIDES = ["before", "after"];

function showFacts(head) {
  byId("title").textContent = head.title;
  byId("subtitle").textContent = head.summary;
  byId("sides").replaceChildren(...head.sides.map(({ line, lossy }, side) =>
    make("div", {}, make("dt", {}, SIDES[side]), make("dd", lossy ? { class: "loss" } : {}, line))));
  const told = head.sides.flatMap(({ warnings }, side) => warnings.map((text) => `${SIDES[side]}: ${text}`));
  showWarnings([...head.notes, ...told]);
  const [before, after] = head.sides.map(({ facts }) => facts);
  const rows = before.map(([name, text], at) => make("tr", { class: text === after[at][1] ? "same" : "other" },
    make("th", { scope: "row" }, name), make("td", {}, text), make("td", {}, after[at][1])));
  const heads = ["", ...SIDES].map((text) => make(text ? "th" : "td", text ? { scope: "col" } : {}, text));
  byId("about").replaceChildren(
    heading("The recordings"),
    make("table", { class: "facts" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows)),
    ...head.sides.flatMap(({ notes, losses }, side) => [
      ...listOf(`Notes, ${SIDES[side]}`, notes), ...listOf(`Losses by process, ${SIDES[side]}`, lossTexts(losses)),
    ]),
  );
}

/* What is known of a box: its name, the verdict, its shares and samples on both sides. */
function boxLines({ recording, tree }, node) {
  const difference = tree.difference[node];
  const { title, mark } = recording.verdictOf(difference);
  const at = tree.node[node];
  const own = [recording.nodeOwnBefore[at], recording.nodeOwnAfter[at]];
  const ownText = own.some(Boolean) ? ` · ${own.map((count) => count.toLocaleString("en")).join(" → ")} itself` : "";
  const change = pointsText(recording.change(difference));
  return [
    mark + recording.labels[tree.label[node]],
    `${title}, ${recording.pText(difference)}`,
    `${recording.sharesText(difference)} · ${change} points (95 %: ${recording.intervalText(difference)})`,
    `${recording.samplesText(difference)}${ownText}`,
  ];
}

function showBox(shown, node, event) {
  showLines(node < 0 ? [] : boxLines(shown, node), event);
}

/* For screen readers, beside the canvas: the functions that changed most. */
function showChanges(recording, ranked) {
  const changed = ranked.filter((label) => recording.isChange[recording.functionVerdict[label]]);
  const texts = changed.slice(0, CHANGED_MOST).map((label) => {
    const { name } = recording.verdicts[recording.functionVerdict[label]];
    const [total, own] = [recording.functionTotal[label], recording.functionOwn[label]];
    return `${recording.labels[label]}: ${name}; in total ${recording.sharesText(total)}; itself ${recording.sharesText(own)}`;
  });
  byId("changes").replaceChildren(...(texts.length ? texts : ["none"]).map((text) => make("li", {}, text)));
}
