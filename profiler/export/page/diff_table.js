/* The table of functions of a comparison. */

class DiffTable extends Rows {
  show({ recording, ranked, search, state, palette }) {
    Object.assign(this, { recording, ranked, search, palette });
    const { sort, up, hidden } = state;
    this.showRows([search.key, sort, up, hidden.join()], () => this.sorted(sort, up, new Set(hidden)), sort, up);
  }

  sorted(column, up, hidden) {
    const { recording, search } = this;
    const { functionOwn, functionTotal, functionVerdict, share } = recording;
    const keys = {
      totalBefore: (label) => share[0][functionTotal[label]],
      totalAfter: (label) => share[1][functionTotal[label]],
      totalChange: (label) => recording.change(functionTotal[label]),
      ownBefore: (label) => share[0][functionOwn[label]],
      ownAfter: (label) => share[1][functionOwn[label]],
      ownChange: (label) => recording.change(functionOwn[label]),
      name: (label) => label, // labels are sorted by name
    };
    const labels = this.ranked.filter((label) =>
      !hidden.has(functionVerdict[label]) && (!search.active || search.hit[label]));
    const key = keys[column];
    if (key) labels.sort((a, b) => key(b) - key(a)); // those of one key stay in the order of the verdicts
    return up ? labels.reverse() : labels;
  }

  row(number) {
    const { recording, palette, search } = this;
    const label = this.labels[number];
    const verdict = recording.verdicts[recording.functionVerdict[label]];
    const [total, own] = [recording.functionTotal[label], recording.functionOwn[label]];
    // The verdict is on the total, unless that of the function's own samples tells more.
    const judged = recording.verdictOf(total) === verdict ? total : own;
    const term = search.active ? search.termOf(label) : -1;
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = term < 0 ? palette.fills[recording.shadeOf(judged)] : palette.terms[term];
    return make("tr", { "aria-rowindex": number + 2 }, ...this.figures(total), ...this.figures(own),
      make("td", { title: verdict.title }, swatch, verdict.mark, verdict.name),
      make("td", { class: "number quiet" }, recording.pText(judged)),
      make("th", { scope: "row" }, this.nameButton(number, recording.labels[label])));
  }

  figures(difference) {
    const { recording } = this;
    const title = recording.samplesText(difference);
    const share = (side) => `${(100 * recording.share[side][difference]).toFixed(2)} %`;
    const isChange = recording.isChange[recording.differenceVerdict[difference]];
    const change = recording.change(difference);
    return [
      make("td", { class: "number", title }, share(0)),
      make("td", { class: "number", title }, share(1)),
      make("td", { class: "number change" },
        make("b", { class: isChange ? (change > 0 ? "more" : "less") : "quiet" }, pointsText(change)), " ",
        make("span", { class: "quiet" }, recording.intervalText(difference))),
    ];
  }
}
