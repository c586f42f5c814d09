/* Zoom, search and keys for the flame graph that this script stands in. It reads the frames from the
   picture itself, loads nothing, and turns no text into markup or code. */
(() => {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const XHTML = "http://www.w3.org/1999/xhtml";
  const MARGIN = 16;
  const MIN_WIDTH = 700;
  const TOOLS_WIDTH = 420;
  const HINT = "Click a frame to zoom · / to search · Tab and arrow keys to walk · Esc to reset";

  const svg = document.currentScript.ownerSVGElement;
  const graph = svg.querySelector(".graph");
  const head = svg.querySelector(".head");
  const details = head.querySelector(".details");
  const row = Number(graph.dataset.row);
  const cell = Number(graph.dataset.cell);
  const inset = Number(graph.dataset.inset);
  const height = svg.viewBox.baseVal.height;
  const headHeight = graph.y.baseVal.value;

  const frames = readFrames();
  const frameByElement = new Map(frames.map((frame) => [frame.element, frame]));
  const all = frames[0];
  const headTexts = [...head.querySelectorAll(".title, .line")].map((element) => ({
    element,
    text: element.textContent,
  }));
  const tools = buildTools();
  const matched = head.appendChild(document.createElementNS(SVG, "text"));
  let view = all; // the frame that fills the width
  let at = null; // the frame that the details are of
  let pattern = null;
  let width = 0; // of the picture, in px

  /* Frames come callers first, left to right, so a frame's caller is the last one seen below it. */
  function readFrames() {
    const path = [];
    const bottom = graph.height.baseVal.value;
    return [...graph.children].map((element) => {
      const rect = element.querySelector("rect");
      const [text, ...info] = element.querySelector("title").textContent.split("\n");
      const depth = Math.round((bottom - Number(rect.getAttribute("y"))) / row) - 1;
      const frame = {
        element, rect, text, depth,
        info: info.join(" · "),
        label: element.querySelector("text"),
        start: Number(element.dataset.x),
        count: Number(element.dataset.n),
        caller: depth > 0 ? path[depth - 1] : null,
        callees: [],
        visible: true,
      };
      if (frame.caller) frame.caller.callees.push(frame);
      path[depth] = frame;
      return frame;
    });
  }

  function percent(count, total) {
    return `${((100 * count) / total).toFixed(2)} %`;
  }

  /* As much of a text as fits into `cells` character cells; wide scripts take two a character. */
  function cut(text, cells) {
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
    frame.visible = frame.start < end && frame.start + frame.count > view.start;
    frame.element.classList.toggle("hidden", !frame.visible);
    if (!frame.visible) return;
    const caller = frame.depth < view.depth;
    const share = caller ? 1 : frame.count / view.count;
    const x = caller ? "0%" : `${(100 * (frame.start - view.start)) / view.count}%`;
    frame.element.classList.toggle("caller", caller);
    frame.rect.setAttribute("x", x);
    frame.rect.setAttribute("width", `${100 * share}%`);
    setLabel(frame, x, share * (width - 2 * MARGIN));
  }

  function zoom(frame) {
    view = frame;
    frames.forEach(place);
    tools.reset.disabled = view === all;
    showMatches();
    show(at);
  }

  /* Head texts are set in a proportional font: try until one fits. */
  function fit({ element, text }, pixels) {
    element.textContent = text;
    let length = text.length;
    while (length > 1 && element.getComputedTextLength() > pixels) {
      length = Math.min(length - 1, Math.floor((length * pixels) / element.getComputedTextLength()));
      element.textContent = text.slice(0, length - 1) + "…";
    }
  }

  function resize() {
    svg.setAttribute("width", "100%");
    const room = svg.getBoundingClientRect().width;
    width = Math.max(room, MIN_WIDTH);
    if (width > room) svg.setAttribute("width", width);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    graph.setAttribute("width", width - 2 * MARGIN);
    tools.box.setAttribute("x", width - MARGIN - TOOLS_WIDTH);
    matched.setAttribute("x", width - MARGIN);
    for (const line of headTexts) {
      const used = line.element.classList.contains("title") ? TOOLS_WIDTH + MARGIN : 0;
      fit(line, width - 2 * MARGIN - used);
    }
    zoom(view);
    stick();
  }

  /* The head stays in sight while a tall graph scrolls below it. */
  function stick() {
    const above = window.innerHeight > 3 * headHeight ? -svg.getBoundingClientRect().top : 0;
    head.setAttribute("transform", `translate(0 ${Math.min(Math.max(above, 0), height - headHeight)})`);
  }

  function show(frame) {
    let text = HINT;
    if (frame) {
      const part = view !== all && frame.depth > view.depth;
      const inView = part ? ` · ${percent(frame.count, view.count)} of the view` : "";
      text = `${frame.info}${inView} · ${frame.text}`;
    }
    const room = width - 2 * MARGIN - matched.getComputedTextLength() - (matched.textContent ? 16 : 0);
    details.textContent = cut(text, Math.floor(room / cell));
  }

  function frameOf(target) {
    return frameByElement.get(target.closest(".graph > g")) ?? null;
  }

  function moveTo(frame) {
    if (at) at.element.classList.remove("at");
    at = frame;
    show(at);
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
    ArrowUp: widestCallee,
    ArrowDown: (frame) => frame.caller,
    ArrowLeft: (frame) => neighbour(frame, -1),
    ArrowRight: (frame) => neighbour(frame, 1),
  };

  function onGraphKey(event) {
    const from = at && at.visible ? at : view;
    if (WALK[event.key]) walkTo(WALK[event.key](from));
    else if (event.key === "Enter" || event.key === " ") zoom(from);
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
      frame.hit = Boolean(pattern) && frame !== all && pattern.test(frame.text);
      frame.element.classList.toggle("hit", frame.hit);
    }
    svg.classList.toggle("searching", Boolean(pattern));
    showMatches();
    show(at);
  }

  /* Samples under a match in the frame `within`, each once however often its stack matches. */
  function countMatches(within) {
    let samples = 0;
    let end = within.start;
    for (const { hit, start, count } of frames) {
      if (!hit || start + count <= end || start >= within.start + within.count) continue;
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
    const inView = view === all ? "" : ` · ${percent(countMatches(view), view.count)} of the view`;
    matched.textContent = `matched ${percent(samples, all.count)} · ${samples.toLocaleString("en")} samples${inView}`;
  }

  function resetAll() {
    tools.input.value = "";
    moveTo(null);
    search();
    zoom(all);
  }

  function html(parent, name, attributes, text = "") {
    const element = parent.appendChild(document.createElementNS(XHTML, name));
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  }

  function buildTools() {
    const box = head.appendChild(document.createElementNS(SVG, "foreignObject"));
    for (const [key, value] of Object.entries({ y: 8, width: TOOLS_WIDTH, height: 36 })) {
      box.setAttribute(key, value);
    }
    const bar = html(box, "div", { class: "tools" });
    const reset = html(bar, "button", { type: "button", title: "Show everything again (Esc)" }, "Reset zoom");
    const input = html(bar, "input", {
      type: "text", placeholder: "Search (regular expression)", spellcheck: "false", autocomplete: "off",
      "aria-label": "Search by regular expression",
    });
    const exact = html(bar, "button", { type: "button", title: "Match case", "aria-pressed": "false" }, "Aa");
    return { box, reset, input, exact };
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

  matched.setAttribute("class", "matched");
  matched.setAttribute("y", details.getAttribute("y"));
  details.setAttribute("aria-live", "polite");
  graph.setAttribute("tabindex", "0");
  graph.setAttribute("role", "application");
  graph.setAttribute("aria-label", "Flame graph; arrow keys walk over the frames, Enter zooms");

  graph.addEventListener("click", (event) => {
    const frame = frameOf(event.target);
    if (frame) zoom(frame);
  });
  graph.addEventListener("pointerover", (event) => moveTo(frameOf(event.target)));
  graph.addEventListener("pointerleave", () => moveTo(null));
  graph.addEventListener("keydown", onGraphKey);
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
})();
