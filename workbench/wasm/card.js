/* The reader's own machine as a small roofline, measured by two kernels in a worker.
   ROOT is the panel's element, GIVEN what Python wrote: simd, worker. */

const { element } = PANEL;
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 300, LEFT = 56, RIGHT = 12, TOP = 14, BOTTOM = 44;
const COLOURS = ["#009e73", "#0072b2", "#cc79a7", "#d55e00"];

const go = element("button", { type: "button", class: "wbw-go" }, "Measure this computer");
const status = element("p", { role: "status", "aria-live": "polite" }, "Two small kernels, about two seconds, nothing leaves this page.");
const stage = element("div");
let WIDTH = 560; // as wide as the page lets it, so that letters keep their size
const worker = PANEL.background(GIVEN.worker);
const wrong = PANEL.missing(GIVEN.simd);

const size = (kib) => (kib < 1024 ? `${kib} KiB` : `${kib / 1024} MiB`);
const number = (value) => Number(value.toPrecision(3));

function roofline(peaks, copies) {
  WIDTH = Math.max(280, Math.min(560, stage.clientWidth || 560));
  const top = Math.max(...peaks.map(({ gflops }) => gflops));
  const [x0, x1] = [-4, 6]; // log2 of operations per byte
  const y1 = Math.log10(top * 2), y0 = y1 - 3;
  const x = (log) => LEFT + ((log - x0) / (x1 - x0)) * (WIDTH - LEFT - RIGHT);
  const y = (log) => TOP + ((y1 - log) / (y1 - y0)) * (HEIGHT - TOP - BOTTOM);
  const svg = document.createElementNS(SVG, "svg");
  const put = (tag, attributes, text) => {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text) made.textContent = text;
    svg.append(made);
  };
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `Roofline of this computer: peak ${number(top)} Gflop/s; ${copies.map(({ kib, gbytes }) => `${number(gbytes)} GB/s within ${size(kib)}`).join(", ")}`);
  for (let log = x0; log <= x1; log += 2) put("text", { x: x(log), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, String(log < 0 ? `1/${2 ** -log}` : 2 ** log));
  for (let log = Math.ceil(y0); log <= y1; log++) put("text", { x: LEFT - 6, y: y(log) + 4, "text-anchor": "end" }, String(10 ** log));
  put("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "operations per byte");
  put("text", { transform: `translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`, "text-anchor": "middle" }, "Gflop/s");
  put("path", { d: `M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}`, fill: "none", stroke: "currentColor", opacity: 0.5 });
  copies.forEach(({ gbytes }, i) => {
    const at = (log) => Math.min(Math.log10(top), Math.log10(gbytes) + log * Math.log10(2));
    const ridge = Math.min(x1, Math.log2(top / gbytes));
    const from = Math.max(x0, (y0 - Math.log10(gbytes)) / Math.log10(2));
    put("path", { d: `M${x(from)} ${y(at(from))}L${x(ridge)} ${y(at(ridge))}`, fill: "none", stroke: COLOURS[i], "stroke-width": 2.5 });
  });
  peaks.forEach(({ gflops }, i) => {
    const level = y(Math.log10(gflops));
    put("path", { d: `M${x(Math.max(x0, Math.log2(gflops / Math.max(...copies.map(({ gbytes }) => gbytes)))))} ${level}H${WIDTH - RIGHT}`, fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": i ? "" : "5 4" });
  });
  return svg;
}

function told(peaks, copies) {
  const line = (colour, text) => element("li", {}, element("span", { "aria-hidden": "true", style: `display: inline-block; width: 1.4em; border-top: 3px solid ${colour}; vertical-align: 0.3em; margin-right: 0.5em` }), text);
  return element("ul", { style: "list-style: none; padding: 0; margin: 0.4rem 0" },
    ...peaks.map(({ fused, gflops }) => line("currentColor", `${number(gflops)} Gflop/s at most, ${fused ? "multiply and add fused (solid)" : "multiply, then add (dashed)"}`)),
    ...copies.map(({ kib, gbytes }, i) => line(COLOURS[i], `${number(gbytes)} GB/s copying within ${size(kib)}`)));
}

function measure() {
  const peaks = [], copies = [];
  go.disabled = true;
  status.textContent = "Measuring …";
  worker.ask({ job: "machine" }, (said) => {
    if (said.kind === "peak") peaks.push(said);
    if (said.kind === "copy") copies.push(said);
    if (said.kind === "peak" || said.kind === "copy") status.textContent = `Measuring … ${peaks.length + copies.length}`;
    if (said.kind === "error") { worker.stop(); go.disabled = false; status.textContent = `It stopped: ${said.message}`; }
    if (said.kind === "done") {
      stage.replaceChildren(roofline(peaks, copies), told(peaks, copies));
      status.textContent = "This computer, now, one core, in this browser, float32:";
      go.disabled = false;
      go.textContent = "Measure again";
      worker.stop();
    }
  });
}

ROOT.replaceChildren(element("div", { class: "wbw-knobs" }, go), status, stage);
ROOT.addEventListener("keydown", (event) => event.stopPropagation());
go.addEventListener("click", measure);
if (wrong) {
  go.disabled = true;
  ROOT.prepend(element("p", { class: "wbw-wrong", role: "alert" }, wrong));
}
