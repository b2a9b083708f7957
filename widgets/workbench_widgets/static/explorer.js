// Draws Explorers and figures. Shared by JupyterLab (as the head of live.js) and the book (as the head of book.js),
// so that what is live and what is baked cannot drift apart. Plain script: browsers block modules from file://.

const PLOTLY_OPTIONS = {
  displaylogo: false,
  displayModeBar: "hover",
  showSendToCloud: false, // plotly's default offers to upload the reader's figure
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

/* ---- light and dark ---------------------------------------------------------------------------------------- */

function isDark() {
  const theme = document.documentElement.dataset.theme; // the book
  if (theme === "dark" || theme === "light") return theme === "dark";
  const lab = document.body.dataset.jpThemeLight; // JupyterLab
  if (lab !== undefined) return lab === "false";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function onTheme(redraw) {
  const watch = new MutationObserver(redraw);
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  watch.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  const query = matchMedia("(prefers-color-scheme: dark)");
  query.addEventListener("change", redraw);
  return () => { watch.disconnect(); query.removeEventListener("change", redraw); };
}

/* ---- one part of a frame: a plotly figure, or a picture on a canvas ------------------------------------------ */

// plotly writes into what it is given: containers are made new, arrays of numbers are passed on as they are.
function fresh(tree) {
  if (Array.isArray(tree)) return tree.some((item) => item && typeof item === "object") ? tree.map(fresh) : tree;
  if (!tree || typeof tree !== "object" || ArrayBuffer.isView(tree)) return tree;
  return Object.fromEntries(Object.entries(tree).map(([key, value]) => [key, fresh(value)]));
}

const ABOVE = { orientation: "h", x: 0.5, xanchor: "center", y: 1, yanchor: "bottom", len: 1, thickness: 12, title: { side: "top" } }; // where width is short

function fitted(layout, width, templates) {
  const own = fresh(layout);
  own.template = fresh(templates[isDark() ? "dark" : "light"]);
  own.paper_bgcolor ??= "rgba(0,0,0,0)"; // figures stand on the page's own ground
  own.plot_bgcolor ??= "rgba(0,0,0,0)";
  own.modebar = { bgcolor: "rgba(0,0,0,0)", ...own.modebar };
  own.uirevision ??= "kept"; // a zoom outlives a turn
  if (own.width > width) own.height = Math.max(240, ((own.height ?? 420) * width) / own.width);
  own.width = Math.min(own.width ?? width, width); // plotly's own fitting keeps the width of the first drawing
  own.margin = { l: 56, r: 16, t: own.title?.text ? 56 : 32, b: 48, ...own.margin };
  if (width < 520) {
    // margins are for wide pages; axes make their own room
    own.margin = { ...own.margin, l: Math.min(own.margin.l, 48), r: Math.min(own.margin.r, 12) };
    if (own.showlegend !== false) own.legend = { ...own.legend, orientation: "h", x: 0, xanchor: "left", yref: "container", y: 0, yanchor: "bottom" };
    if (own.title?.text) own.title = { ...own.title, font: { ...own.title.font, size: 14 } };
    delete own.template.layout.xaxis?.title?.standoff; // plotly would measure it from where the axis was before margins grew
    const titles = (own.annotations ?? []).filter(({ yref, yanchor, y }) => yref === "paper" && yanchor === "bottom" && y > 0.98);
    const lines = Math.max(0, ...titles.map(({ text }) => text.split("<br>").length)); // of the upper panels' titles, to be cleared
    const above = { ...ABOVE, ypad: 10 + 18 * lines };
    for (const kind of ["heatmap", "contour"]) own.template.data[kind]?.forEach((trace) => Object.assign(trace.colorbar, above));
    Object.assign(own.template.layout.coloraxis?.colorbar ?? {}, above);
  }
  return own;
}

function bytesOf(pixels) {
  if (typeof pixels !== "string") return pixels;
  const text = atob(pixels);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = text.charCodeAt(i); // Uint8Array.from is ten times slower
  return bytes;
}

function paint(canvas, part) {
  const { width, height, channels } = part;
  const from = bytesOf(part.pixels);
  const image = new ImageData(width, height);
  const to = image.data;
  for (let i = 0, j = 0; j < to.length; i += channels, j += 4) {
    to[j] = from[i];
    to[j + 1] = channels === 3 ? from[i + 1] : from[i];
    to[j + 2] = channels === 3 ? from[i + 2] : from[i];
    to[j + 3] = 255;
  }
  if (part.over) lay(part.over, to);
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  canvas.style.width = `${width * part.scale}px`;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// One mark a pixel says which of a few colours lies over it, and how densely: the twin of `rgb` in views/painted.py.
function lay({ pixels, colours }, to) {
  const marks = bytesOf(pixels);
  for (let i = 0, j = 0; j < to.length; i += 1, j += 4) {
    const colour = colours[marks[i]];
    const share = colour[3] / 255;
    if (share === 0) continue;
    to[j] += (colour[0] - to[j]) * share;
    to[j + 1] += (colour[1] - to[j + 1]) * share;
    to[j + 2] += (colour[2] - to[j + 2]) * share;
  }
}

// Draws `part` into `box`; the same box may be drawn again and again.
async function drawPart(box, part, { plotly, templates }) {
  if (part.kind === "picture") {
    const canvas = box.querySelector("canvas") ?? box.appendChild(document.createElement("canvas"));
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", part.alt || "picture");
    paint(canvas, part);
    return;
  }
  const Plotly = await plotly();
  let plot = box.querySelector(".wbx-plot");
  if (!plot) {
    plot = document.createElement("div");
    plot.className = "wbx-plot";
    plot.setAttribute("role", "figure"); // no "img": plotly's buttons inside can be reached by keyboard
    box.append(plot);
  }
  plot.setAttribute("aria-label", part.alt || "figure");
  box.seenWidth = box.clientWidth || box.seenWidth || 640; // 0 while scrolled out of sight or in a hidden tab
  await Plotly.react(plot, fresh(part.data), fitted(part.layout, box.seenWidth, templates), PLOTLY_OPTIONS);
  plot.querySelectorAll(".main-svg").forEach((svg) => svg.setAttribute("aria-hidden", "true")); // the label says it
}

function captionOf(box) {
  return box.querySelector(".wbx-caption") ?? box.appendChild(element("p", { class: "wbx-caption" }));
}

// Calls `redraw` when the width of `box` has changed and come to rest.
function onWidth(box, redraw) {
  let width = box.clientWidth;
  let timer = 0;
  const watch = new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (box.clientWidth && box.clientWidth !== width) { width = box.clientWidth; redraw(); }
    }, 120);
  });
  watch.observe(box);
  return () => watch.disconnect();
}

/* ---- baked frames: the twin of `unbake` in baking.py --------------------------------------------------------- */

async function unpack(data) {
  const bytes = bytesOf(data);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const block = await new Response(stream).arrayBuffer();
  const length = new DataView(block).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, length)));
  return { ...head, raw: new Uint8Array(block, 4 + length) };
}

function unbake(first, baked, indexes) {
  const copied = new Set(); // containers on the way to a change are copied, all others shared with the first frame
  const copy = (tree) => {
    const twin = Array.isArray(tree) ? [...tree] : { ...tree };
    copied.add(twin);
    return twin;
  };
  const frame = copy(first);
  for (const [pathAt, valueAt] of baked.frames[indexes.join(",")]) {
    const path = baked.paths[pathAt];
    const last = path[path.length - 1];
    let place = frame;
    for (const step of path.slice(0, -1)) {
      if (!copied.has(place[step])) place[step] = copy(place[step]);
      place = place[step];
    }
    if (valueAt === -1) delete place[last];
    else place[last] = pixelsOr(baked.values[valueAt], baked.raw, place);
  }
  return frame;
}

function pixelsOr(value, raw, part) {
  if (!value || value.$raw === undefined) return value;
  const block = raw.slice(value.$raw, value.$raw + value.bytes);
  if (value.delta) bytesOf(part.pixels).forEach((byte, i) => { block[i] += byte; });
  return block;
}

/* ---- knobs ---------------------------------------------------------------------------------------------------- */

let knobsMade = 0; // ids are unique in a page

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

class Knobs {
  // Native inputs: keyboard, touch and screen readers come with them.
  constructor(rows, start, turned) {
    this.rows = rows;
    this.state = [...start];
    this.turned = turned;
    this.root = element("div", { class: "wbx-knobs" });
    this.inputs = rows.map((row, i) => this.make(row, i));
    this.sync();
  }

  options(i) {
    const parent = this.rows.findIndex((row) => row.name === this.rows[i].parent);
    return this.rows[i].texts[parent < 0 ? 0 : this.state[parent]];
  }

  make(row, i) {
    const id = `wbx-${++knobsMade}`;
    const label = element("label", { for: id }, row.label);
    let input;
    if (row.kind === "toggle") input = element("input", { id, type: "checkbox", role: "switch" });
    else if (row.kind === "range") input = element("input", { id, type: "range", min: 0, step: 1 });
    else input = element("select", { id });
    input.addEventListener("input", () => {
      this.set(i, row.kind === "toggle" ? Number(input.checked) : Number(row.kind === "range" ? input.value : input.selectedIndex));
    });
    const knob = element("div", { class: `wbx-knob wbx-${row.kind}` }, label, input);
    if (row.kind === "range") input.shown = knob.appendChild(element("output", { for: id }));
    if (row.play) knob.append(this.player(row, i));
    this.root.append(knob);
    return input;
  }

  player(row, i) {
    const button = element("button", { type: "button", class: "wbx-play" });
    let timer = 0;
    const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = () => this.set(i, (this.state[i] + 1) % this.options(i).length);
    const label = () => {
      button.textContent = timer ? "⏸" : "▶";
      button.setAttribute("aria-label", timer ? `pause ${row.label}` : still() ? `next ${row.label}` : `play ${row.label}`);
    };
    button.addEventListener("click", () => {
      if (timer) { clearInterval(timer); timer = 0; }
      else { step(); if (!still()) timer = setInterval(() => (button.isConnected ? step() : clearInterval(timer)), 700); }
      label();
    });
    label();
    return button;
  }

  // A linked knob keeps its text when its parent turns, if that is still on offer, and else the nearest place.
  set(i, index) {
    const before = this.rows.map((row, j) => this.options(j)[this.state[j]]);
    this.state[i] = index;
    this.rows.forEach((row, j) => {
      if (row.parent !== this.rows[i].name) return;
      const options = this.options(j);
      const kept = options.indexOf(before[j]);
      this.state[j] = kept >= 0 ? kept : Math.min(this.state[j], options.length - 1);
    });
    this.sync();
    this.turned();
  }

  put(state) { this.state = [...state]; this.sync(); this.turned(); }

  sync() {
    this.rows.forEach((row, i) => {
      const input = this.inputs[i];
      const options = this.options(i);
      const text = options[this.state[i]];
      if (row.kind === "toggle") { input.checked = Boolean(this.state[i]); return; }
      if (row.kind === "range") {
        input.max = options.length - 1;
        input.value = this.state[i];
        input.setAttribute("aria-valuetext", text);
        input.style.setProperty("--share", options.length > 1 ? this.state[i] / (options.length - 1) : 0);
        input.shown.textContent = text;
        return;
      }
      if ([...input.options].map((option) => option.text).join("\n") !== options.join("\n")) {
        input.replaceChildren(...options.map((option) => element("option", {}, option)));
      }
      input.selectedIndex = this.state[i];
    });
  }

  says() { return this.rows.map((row, i) => `${row.label} ${this.options(i)[this.state[i]]}`).join(", "); }

  // name=text of every knob: readable in an address, and still right when values are added before it.
  query() { return this.rows.map((row, i) => `${row.name}=${encodeURIComponent(this.options(i)[this.state[i]])}`).join("&"); }

  read(query) {
    const wanted = new URLSearchParams(query);
    const state = [...this.state];
    this.rows.forEach((row, i) => {
      const parent = this.rows.findIndex((other) => other.name === row.parent);
      const options = row.texts[parent < 0 ? 0 : state[parent]];
      const at = options.indexOf(wanted.get(row.name));
      state[i] = at >= 0 ? at : Math.min(state[i], options.length - 1);
    });
    this.put(state);
  }
}

/* ---- an Explorer ------------------------------------------------------------------------------------------------ */

// `ask(state, show, fail)` calls back with a frame or a sentence, now or later; `tools.plotly` promises plotly.
// Returns { knobs, show, fail, wait, redraw, close }; `wait` says beside the old frame why the new one is not there yet. Whoever calls must see to it that stale answers stay away.
function mountExplorer(root, descriptor, ask, tools) {
  const stage = element("div", { class: "wbx-stage" });
  const wrong = element("p", { class: "wbx-wrong", role: "alert", hidden: true });
  const patience = element("p", { class: "wbx-wait", role: "status", hidden: true });
  const isFigure = root.tagName === "FIGURE"; // which has its role already, and may have a figcaption
  const caption = element(isFigure ? "figcaption" : "p", { class: "wbx-caption" });
  const says = element("p", { class: "wbx-says", "aria-live": "polite" });
  let frame = null;
  let first = null;
  let drawing = null;
  let queued = false;
  let speak = 0;

  const draw = async () => {
    while (queued) { // the newest frame is drawn; those that came meanwhile are skipped
      queued = false;
      const now = frame;
      while (stage.children.length > now.length) stage.lastChild.remove();
      while (stage.children.length < now.length) stage.append(element("div", { class: "wbx-part" }));
      now.forEach((part, i) => stage.children[i].classList.toggle("wbx-wide", part.kind === "plotly")); // all widths first
      for (const [i, part] of now.entries()) await drawPart(stage.children[i], part, tools);
      const several = now.filter((part) => part.caption).length > 1; // then each stands below its own part
      caption.textContent = several ? "" : now.map((part) => part.caption).join("");
      for (const [i, part] of now.entries()) captionOf(stage.children[i]).textContent = several ? part.caption : "";
      clearTimeout(speak); // one announcement when the knob rests, not one a step; none for what a page begins with
      if (now !== first) speak = setTimeout(() => { says.textContent = [knobs.says(), ...now.map((part) => part.alt)].filter(Boolean).join(". "); }, 350);
    }
  };
  const redraw = () => {
    if (!frame) return drawing;
    queued = true;
    drawing ??= draw().catch((error) => fail(String(error.message ?? error))).finally(() => { drawing = null; });
    return drawing;
  };
  const show = async (next) => {
    frame = next;
    first ??= next;
    wrong.hidden = patience.hidden = true;
    stage.classList.remove("wbx-stale");
    await redraw();
    if (frame === next) root.removeAttribute("aria-busy");
  };
  const fail = (message) => {
    clearTimeout(speak);
    wrong.textContent = message;
    wrong.hidden = false;
    patience.hidden = true;
    stage.classList.add("wbx-stale"); // what is still to be seen belongs to another state
    root.removeAttribute("aria-busy");
  };
  const wait = (message) => {
    patience.textContent = message;
    patience.hidden = false;
  };
  const turned = () => {
    root.setAttribute("aria-busy", "true");
    ask([...knobs.state], show, fail);
    tools.onTurn?.(knobs);
  };

  const knobs = new Knobs(descriptor.knobs, descriptor.start, turned);
  const reset = element("button", { type: "button", class: "wbx-tool" }, "Reset");
  reset.addEventListener("click", () => knobs.put(descriptor.start));
  knobs.root.append(element("div", { class: "wbx-tools" }, reset, ...(tools.buttons?.(knobs) ?? [])));
  if (!isFigure) root.setAttribute("role", "group");
  root.setAttribute("aria-label", descriptor.title);
  root.replaceChildren(knobs.root, patience, wrong, stage, caption, says);
  const stops = [onTheme(redraw), onWidth(stage, redraw)];
  return { knobs, show, fail, wait, redraw, close: () => stops.forEach((stop) => stop()) };
}
