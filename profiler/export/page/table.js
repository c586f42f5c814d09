/* The table of functions of a recording. */

class FunctionTable extends Rows {
  /* `figures` are `Tree.functions` of what is in view, `whole` the samples of it. */
  show({ recording, figures, whole, search, sort, up, palette }) {
    Object.assign(this, { recording, figures, whole, search, palette });
    this.showRows([figures, search.key, sort, up], () => this.sorted(sort, up), sort, up);
  }

  sorted(column, up) {
    const { own, total } = this.figures;
    const { recording, search } = this;
    const labels = [];
    for (let label = 0; label < recording.frameCount; label++) {
      if (total[label] && (!search.active || search.hit[label])) labels.push(label);
    }
    const orders = {
      own: (a, b) => own[b] - own[a] || total[b] - total[a] || a - b,
      total: (a, b) => total[b] - total[a] || own[b] - own[a] || a - b,
      name: (a, b) => b - a, // labels are sorted by text
      kind: (a, b) => recording.kindOf(b) - recording.kindOf(a) || own[b] - own[a] || a - b,
    };
    labels.sort(orders[column]);
    return up ? labels.reverse() : labels;
  }

  row(number) {
    const label = this.labels[number];
    const { own, total } = this.figures;
    const { recording, whole } = this;
    const figure = (count) => [
      make("td", { class: "number" }, count.toLocaleString("en")),
      make("td", { class: "number", title: `95 %: ${intervalText(count, whole)}` }, percent(count, whole)),
    ];
    const mark = make("span", { class: "swatch", "aria-hidden": "true" });
    const term = this.search.active ? this.search.termOf(label) : -1;
    mark.style.background = term < 0 ? this.palette.fills[recording.shades[label]] : this.palette.terms[term];
    const button = this.nameButton(number, recording.labels[label]);
    return make("tr", { "aria-rowindex": number + 2 }, ...figure(own[label]), ...figure(total[label]),
      make("td", {}, mark, recording.kindTitle(label)), make("th", { scope: "row" }, button));
  }
}
