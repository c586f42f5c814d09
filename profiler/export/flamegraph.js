/* Zoom, search and keys for the flame graph that this script stands in. It reads the frames from the
   picture itself, loads nothing, and turns no text into markup or code. */
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const XHTML = "http://www.w3.org/1999/xhtml";
  const MARGIN = 16;
  const MIN_WIDTH = 0.1; // of a frame that is shown, in px
  const MIN_WIDTH_FOR_HEIGHT = 0.5; // of one that the picture has a row for
  const MERGED = "by-program";
  const APART = "by-process";
  const Z = 1.959964; // standard deviations that 95 % lie within
  const HINT = "Click a frame to zoom · / to search · Tab and arrow keys to walk · Esc to reset";

  const svg = document.currentScript.ownerSVGElement;
  const graph = svg.querySelector(".graph");
  const head = svg.querySelector(".head");
  const row = Number(graph.dataset.row);
  const cell = Number(graph.dataset.cell);
  const inset = Number(graph.dataset.inset);
  const isDiff = svg.classList.contains("diff"); // its boxes are as wide as shares, not counts

  const frames = readFrames();
  const frameByElement = new Map(frames.map((frame) => [frame.element, frame]));
  const all = frames[0];
  const panel = buildPanel();
  const { details, matched, tools } = panel;
  let view = all; // the frame that fills the width
  let at = null; // the frame that the details are of
  let mode = MERGED; // which of two groups is shown where a program has several processes
  let pattern = null;
  let width = 0; // of the picture, in px
  let height = 0;

  /* Frames come callers first, left to right, so a frame's caller is the last one seen above it. */
  function readFrames() {
    const path = [];
    return [...graph.querySelectorAll("rect")].map((rect) => {
      const element = rect.parentNode;
      const title = element.querySelector("title");
      const [text, ...info] = title.textContent.split("\n");
      const depth = Math.round(Number(rect.getAttribute("y")) / row);
      const frame = {
        element, rect, title, text, info, depth,
        label: element.querySelector("text"),
        start: Number(element.dataset.x),
        count: Number(element.dataset.n),
        mode: element.parentNode === graph ? null : element.parentNode.getAttribute("class"),
        caller: depth > 0 ? path[depth - 1] : null,
        callees: [],
        classes: {},
        visible: true,
      };
      if (frame.caller) frame.caller.callees.push(frame);
      path[depth] = frame;
      return frame;
    });
  }

  function percent(share) {
    return (100 * share).toFixed(2);
  }

  /* The share of `count` in `total`, and the ends of Wilson's interval for it. */
  function shareText(count, total) {
    const share = count / total;
    const spread = (Z * Z) / total;
    const half = Math.sqrt(spread * (share * (1 - share) + spread / 4));
    const [low, high] = [-half, half].map((side) => (share + spread / 2 + side) / (1 + spread));
    return `${percent(share)} % of the view (95 % sure: ${percent(Math.max(low, 0))} to ${percent(Math.min(high, 1))})`;
  }

  /* As much of a text as fits into `cells` character cells; wide scripts take two a character. */
  function cut(text, cells) {
    if (cells < 4) return "";
    const characters = [...text];
    let used = 0;
    for (let i = 0; i < characters.length; i++) {
      used += characters[i] < "\u1100" ? 1 : 2;
      if (used > cells) return i > 3 ? characters.slice(0, i - 1).join("") + "…" : "";
    }
    return text;
  }

  function setLabel(frame, x, pixels) {
    const text = cut(frame.text, Math.floor((pixels - 2 * inset) / cell));
    if (!frame.label) {
      if (!text) return;
      frame.label = frame.element.appendChild(document.createElementNS(SVG, "text"));
      frame.label.setAttribute("dx", inset);
      frame.label.setAttribute("y", Number(frame.rect.getAttribute("y")) + 13);
    }
    frame.label.setAttribute("x", x);
    if (frame.label.textContent !== text) frame.label.textContent = text;
  }

  function place(frame) {
    const end = view.start + view.count;
    const caller = frame.depth < view.depth;
    const share = caller ? 1 : frame.count / view.count;
    const inMode = !frame.mode || frame.mode === mode;
    frame.pixels = share * (width - 2 * MARGIN);
    frame.visible = inMode && frame.pixels >= MIN_WIDTH
      && frame.start < end && frame.start + frame.count > view.start;
    if (!inMode) return; // its group is hidden
    toggle(frame, "hidden", !frame.visible);
    if (!frame.visible) return;
    const x = caller ? "0%" : `${(100 * (frame.start - view.start)) / view.count}%`;
    toggle(frame, "caller", caller);
    frame.rect.setAttribute("x", x);
    frame.rect.setAttribute("width", `${100 * share}%`);
    setLabel(frame, x, frame.pixels);
  }

  /* Most classes stay as they are, and to ask the document takes longer. */
  function toggle(frame, name, on) {
    if (Boolean(frame.classes[name]) === on) return;
    frame.classes[name] = on;
    frame.element.classList.toggle(name, on);
  }

  /* Deep stacks that are too narrow to see get no rows. */
  function fitHeight() {
    let depth = view.depth;
    for (const frame of frames) {
      if (frame.visible && frame.pixels >= MIN_WIDTH_FOR_HEIGHT) depth = Math.max(depth, frame.depth);
    }
    const rows = (depth + 1) * row;
    height = panel.height + rows + MARGIN;
    graph.setAttribute("height", rows);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  function zoom(frame) {
    view = frame;
    frames.forEach(place);
    fitHeight();
    tools.reset.disabled = view === all;
    showMatches();
    show(at);
    stick();
  }

  /* The frame that fills the width opens once more, if it is a program of several processes. */
  function open(frame) {
    const isProgram = frame.callees.some((callee) => callee.mode);
    if (frame === view && isProgram) setMode(mode === MERGED ? APART : MERGED);
    else zoom(frame);
  }

  function setMode(name) {
    mode = name;
    svg.classList.toggle("apart", mode === APART);
    tools.apart.setAttribute("aria-pressed", String(mode === APART));
    while (view.mode && view.mode !== mode) view = view.caller;
    if (at && at.mode && at.mode !== mode) moveTo(null);
    zoom(view);
  }

  function resize() {
    svg.setAttribute("width", "100%");
    width = Math.max(svg.getBoundingClientRect().width, 8 * MARGIN);
    panel.object.setAttribute("width", width);
    panel.box.style.width = `${width}px`;
    show(null); // longer details than the hint's room cover a part of the graph
    panel.height = Math.ceil(panel.box.offsetHeight);
    panel.barHeight = panel.bar.offsetHeight;
    panel.object.setAttribute("height", panel.height);
    graph.setAttribute("y", panel.height);
    graph.setAttribute("width", width - 2 * MARGIN);
    zoom(view);
  }

  /* The bar stays in sight while a tall graph scrolls below it. */
  function stick() {
    const above = -svg.getBoundingClientRect().top - (panel.height - panel.barHeight);
    const most = height - panel.height;
    head.setAttribute("transform", `translate(0 ${Math.min(Math.max(above, 0), most)})`);
  }

  function infoOf(frame) {
    const part = !isDiff && view !== all && frame.depth > view.depth;
    const [counts, ...rest] = frame.info;
    return part ? [counts, shareText(frame.count, view.count), ...rest] : frame.info;
  }

  function show(frame) {
    details.name.textContent = frame ? frame.text : "";
    details.info.textContent = frame ? ` · ${infoOf(frame).join(" · ")}` : HINT;
  }

  function frameOf(target) {
    return frameByElement.get(target.closest("g")) ?? null;
  }

  function moveTo(frame) {
    if (at) at.element.classList.remove("at");
    at = frame;
    show(at);
    if (at) at.title.textContent = [at.text, ...infoOf(at)].join("\n");
  }

  function walkTo(frame) {
    if (!frame) return;
    moveTo(frame);
    frame.element.classList.add("at");
    const box = frame.rect.getBoundingClientRect();
    const top = head.getBoundingClientRect().bottom;
    if (box.top < top) window.scrollBy(0, box.top - top - row);
    else if (box.bottom > window.innerHeight) window.scrollBy(0, box.bottom - window.innerHeight + row);
  }

  function neighbour(frame, step) {
    const level = frames.filter((other) => other.visible && other.depth === frame.depth);
    return level[level.indexOf(frame) + step];
  }

  function widestCallee(frame) {
    const seen = frame.callees.filter((callee) => callee.visible);
    return seen.reduce((best, callee) => (best && best.count >= callee.count ? best : callee), null);
  }

  const WALK = {
    ArrowDown: widestCallee,
    ArrowUp: (frame) => frame.caller,
    ArrowLeft: (frame) => neighbour(frame, -1),
    ArrowRight: (frame) => neighbour(frame, 1),
  };

  function onGraphKey(event) {
    const from = at && at.visible ? at : view;
    if (WALK[event.key]) walkTo(WALK[event.key](from));
    else if (event.key === "Enter" || event.key === " ") open(from);
    else return;
    event.preventDefault();
  }

  function isPressed(button) {
    return button.getAttribute("aria-pressed") === "true";
  }

  function search() {
    const source = tools.input.value;
    let valid = true;
    try {
      pattern = source ? new RegExp(source, isPressed(tools.exact) ? "" : "i") : null;
    } catch {
      pattern = null;
      valid = false;
    }
    tools.input.setAttribute("aria-invalid", String(!valid));
    for (const frame of frames) {
      toggle(frame, "hit", Boolean(pattern) && frame !== all && pattern.test(frame.text));
    }
    svg.classList.toggle("searching", Boolean(pattern));
    showMatches();
    show(at);
  }

  /* Samples under a match in the frame `within`, each once however often its stack matches. */
  function countMatches(within) {
    let samples = 0;
    let end = within.start;
    for (const { classes, start, count, mode: shown } of frames) {
      if (!classes.hit || (shown && shown !== mode)) continue;
      if (start + count <= end || start >= within.start + within.count) continue;
      const last = Math.min(start + count, within.start + within.count);
      samples += last - Math.max(start, end);
      end = last;
    }
    return samples;
  }

  function showMatches() {
    if (!pattern) {
      matched.textContent = tools.input.value ? "not a regular expression" : "";
      return;
    }
    const samples = countMatches(all);
    const inView = view === all ? "" : ` · ${percent(countMatches(view) / view.count)} % of the view`;
    const counted = isDiff ? "" : ` · ${samples.toLocaleString("en")} samples`;
    matched.textContent = `matched ${percent(samples / all.count)} %${counted}${inView}`;
  }

  function resetAll() {
    tools.input.value = "";
    moveTo(null);
    search();
    view = all;
    setMode(MERGED);
  }

  function html(parent, name, attributes, text = "") {
    const element = parent.appendChild(document.createElementNS(XHTML, name));
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  }

  /* The head once more as text that wraps, so that nothing is cut in a narrow window. */
  function buildPanel() {
    const object = document.createElementNS(SVG, "foreignObject");
    const box = html(object, "div", { class: "panel" });
    html(box, "h1", {}, svg.querySelector("title").textContent);
    for (const line of head.querySelectorAll(".line")) {
      html(box, "p", { class: line.getAttribute("class") }, line.textContent);
    }
    const legend = html(box, "ul", { class: "legend" });
    for (const kind of head.querySelectorAll(".legend > g")) {
      const item = html(legend, "li", { class: kind.getAttribute("class") });
      const swatch = item.appendChild(document.createElementNS(SVG, "svg"));
      const rect = swatch.appendChild(document.createElementNS(SVG, "rect"));
      for (const each of [swatch, rect]) {
        each.setAttribute("width", 12);
        each.setAttribute("height", 12);
      }
      html(item, "span", {}, kind.textContent);
    }
    const bar = html(box, "div", { class: "bar" });
    const tools = buildTools(bar);
    const text = html(bar, "div", { class: "about" });
    const line = html(text, "p", { class: "details", "aria-live": "polite" });
    const built = {
      object, box, bar, tools, height: 0, barHeight: 0,
      details: { name: html(line, "b", {}), info: html(line, "span", {}) },
      matched: html(text, "p", { class: "matched" }),
    };
    head.replaceChildren(object);
    return built;
  }

  function buildTools(parent) {
    const bar = html(parent, "div", { class: "tools" });
    const button = (title, text, more = {}) => html(bar, "button", { type: "button", title, ...more }, text);
    const apart = button("Show each process of a program", "By process", { "aria-pressed": "false" });
    apart.hidden = !frames.some((frame) => frame.mode);
    const reset = button("Show everything again (Esc)", "Reset zoom");
    const input = html(bar, "input", {
      type: "text", placeholder: "Search (regex)", spellcheck: "false", autocomplete: "off",
      "aria-label": "Search by regular expression",
    });
    const exact = button("Match case", "Aa", { "aria-pressed": "false" });
    return { apart, reset, input, exact };
  }

  function onKey(event) {
    const find = event.key === "/" || (event.key.toLowerCase() === "f" && (event.ctrlKey || event.metaKey));
    if (event.key === "Escape") {
      resetAll();
    } else if (find && document.activeElement !== tools.input) {
      tools.input.focus();
      tools.input.select();
      event.preventDefault(); // pressed once more, Ctrl-F is the browser's own
    }
  }

  graph.setAttribute("tabindex", "0");
  graph.setAttribute("role", "application");
  graph.setAttribute("aria-label", "Flame graph; arrow keys walk over the frames, Enter zooms");

  graph.addEventListener("click", (event) => {
    const frame = frameOf(event.target);
    if (frame) open(frame);
  });
  graph.addEventListener("pointerover", (event) => moveTo(frameOf(event.target)));
  graph.addEventListener("pointerleave", () => moveTo(null));
  graph.addEventListener("keydown", onGraphKey);
  tools.apart.addEventListener("click", () => setMode(isPressed(tools.apart) ? MERGED : APART));
  tools.reset.addEventListener("click", () => zoom(all));
  tools.input.addEventListener("input", search);
  tools.exact.addEventListener("click", () => {
    tools.exact.setAttribute("aria-pressed", String(!isPressed(tools.exact)));
    search();
  });
  window.addEventListener("keydown", onKey);
  window.addEventListener("resize", resize);
  window.addEventListener("scroll", stick, { passive: true });

  resize();
  if (svg.getBoundingClientRect().width !== width) resize(); // there is a scroll bar now
})();
