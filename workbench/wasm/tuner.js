/* The heat map of tiles, measured on the reader's own processor while it is drawn.
   ROOT is the panel's element, GIVEN what Python wrote: rows, vectors, registers, baked, said, simd, relaxed, worker. */

const { element, colours } = PANEL;
const SHAPES = { "384 × 384": [384, 384], "384 × 1536": [1536, 384], "1536 × 384": [384, 1536] }; // of B: k × n -> [n, k]
const number = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(1));

const choose = (label, values, chosen) => {
  const select = element("select", {}, ...values.map((value) => element("option", { value }, String(value))));
  select.value = String(chosen);
  return [select, element("label", {}, label, select)];
};
const [rowsKnob, rowsLabel] = choose("Rows of A", [1, 32, 128], 128);
const [shapeKnob, shapeLabel] = choose("B", Object.keys(SHAPES), "384 × 384");
const [unrollKnob, unrollLabel] = choose("Unroll", [1, 2, 4, 8], 1);
const fusedKnob = element("input", { type: "checkbox" });
const canFuse = !PANEL.missing(GIVEN.relaxed);
const fusedLabel = element("label", {}, fusedKnob, "multiply and add in one instruction (relaxed SIMD)");
const go = element("button", { type: "button", class: "wbw-go" }, "Tune on this computer");
const status = element("p", { class: "wbw-status", role: "status", "aria-live": "polite" }, GIVEN.said);
const place = element("div", { class: "wbw-wide" });
const legend = element("p", { class: "wbw-quiet" }, `Numbers: Gflop/s. Dashed: needs more than ${GIVEN.registers} registers. Underlined: the fastest.`);
const told = element("p", { class: "wbw-quiet" });
const code = element("pre", { class: "wbw-code", tabindex: "0", "aria-label": "instructions of the innermost loop" });
const wrong = PANEL.missing(GIVEN.simd);
const worker = PANEL.background(GIVEN.worker);
let running = false, results = new Map(), chosen = null;

const shape = () => { const [n, k] = SHAPES[shapeKnob.value]; return { m: Number(rowsKnob.value), n, k }; };
const tileOf = (mr, nv) => ({ mr, nv, ku: Number(unrollKnob.value), relaxed: fusedKnob.checked });
const spills = (mr, nv) => mr * nv + nv + 1 > GIVEN.registers;
const cells = () => [...place.querySelectorAll("button")];
const key = (mr, nv) => `${mr},${nv}`;

function draw() {
  const rows = GIVEN.rows.filter((mr) => mr <= shape().m);
  const head = element("tr", {}, element("th", {}, "rows \\ vectors"), ...GIVEN.vectors.map((nv) => element("th", { scope: "col" }, String(nv))));
  const lines = rows.map((mr) => element("tr", {}, element("th", { scope: "row" }, String(mr)), ...GIVEN.vectors.map((nv) => {
    const cell = element("button", { type: "button", class: `wbw-cell${spills(mr, nv) ? " wbw-spills" : ""}`, tabindex: "-1", "data-mr": mr, "data-nv": nv, "aria-pressed": "false" });
    cell.addEventListener("click", () => pick(cell));
    return element("td", {}, cell);
  })));
  const table = element("table", { class: "wbw-map", "aria-label": "Gflop/s of every tile: rows down, vectors across; arrow keys move" }, element("thead", {}, head), element("tbody", {}, ...lines));
  place.replaceChildren(table);
  if (cells()[0]) cells()[0].tabIndex = 0;
  table.addEventListener("keydown", moved);
  paint();
}

// Arrow keys move through the map; the page gets only the keys that the map does not use.
function moved(event) {
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const step = steps[event.key];
  event.stopPropagation();
  if (!step || !event.target.matches("button")) return;
  event.preventDefault();
  const body = [...place.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("button")]);
  const line = body.findIndex((row) => row.includes(event.target));
  const next = body[line + step[0]]?.[body[line].indexOf(event.target) + step[1]];
  if (next) { event.target.tabIndex = -1; next.tabIndex = 0; next.focus(); pick(next); }
}

function paint() {
  const most = Math.max(1e-9, ...[...results.values()].map(({ gflops }) => gflops));
  for (const cell of cells()) {
    const { mr, nv } = cell.dataset;
    const found = results.get(key(mr, nv));
    const speaks = `${mr} rows, ${nv} vectors, ${spills(Number(mr), Number(nv)) ? "more than the registers hold" : "fits the registers"}`;
    cell.classList.toggle("wbw-best", found?.gflops === most);
    cell.setAttribute("aria-label", found ? `${speaks}: ${number(found.gflops)} Gflop/s` : `${speaks}: not measured`);
    cell.textContent = found ? number(found.gflops) : "";
    Object.assign(cell.style, found ? colours(found.gflops / most) : { background: "", color: "" });
  }
}

function pick(cell) {
  for (const other of cells()) other.setAttribute("aria-pressed", String(other === cell));
  chosen = [Number(cell.dataset.mr), Number(cell.dataset.nv)];
  if (!running && !wrong) show();
}

function show() {
  if (!chosen) return;
  const [mr, nv] = chosen;
  worker.ask({ job: "listing", shape: shape(), tile: tileOf(mr, nv) }, (said) => {
    if (said.kind !== "listing") return;
    const found = results.get(key(mr, nv));
    told.textContent = `${mr} rows, ${nv} vectors: ${said.bytes} bytes of WebAssembly${found?.emit === undefined ? "" : `, emitted in ${found.emit.toFixed(2)} ms, compiled in ${found.compile.toFixed(2)} ms, error ${found.error.toExponential(1)}`}. Its innermost loop:`;
    code.textContent = said.lines.join("\n");
  });
}

function finish(words) {
  running = false;
  go.textContent = "Tune on this computer";
  status.textContent = words;
  const best = cells().find((cell) => cell.classList.contains("wbw-best"));
  if (best) pick(best);
}

function tune() {
  if (running) { worker.stop(); finish("Stopped."); return; }
  const began = performance.now();
  const tiles = GIVEN.rows.filter((mr) => mr <= shape().m).flatMap((mr) => GIVEN.vectors.map((nv) => tileOf(mr, nv)));
  let naive = 0, faults = 0;
  running = true;
  results = new Map();
  go.textContent = "Stop";
  status.textContent = "Plain JavaScript first …";
  told.textContent = code.textContent = "";
  draw();
  worker.ask({ job: "tune", shape: shape(), tiles }, (said) => {
    if (said.kind === "naive") naive = said.gflops;
    if (said.kind === "candidate") {
      faults += !(said.error < 1e-5);
      results.set(key(said.mr, said.nv), said);
      status.textContent = `${results.size} of ${tiles.length} kernels written, compiled, checked and timed`;
      paint();
    }
    if (said.kind === "error") { worker.stop(); finish(`It stopped: ${said.message}`); }
    if (said.kind === "done") {
      const all = [...results.values()];
      const best = all.reduce((a, b) => (b.gflops > a.gflops ? b : a));
      const one = results.get(key(1, 1));
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      finish(`This computer, now: best ${number(best.gflops)} Gflop/s with ${best.mr} × ${best.nv}; one sum at a time ${number(one.gflops)}; plain JavaScript ${number(naive)}. ${all.length} kernels in ${seconds} s, ${faults ? `${faults} WRONG` : "all right"}.`);
    }
  });
}

function changed() {
  if (running) worker.stop();
  running = false;
  go.textContent = "Tune on this computer";
  results = new Map();
  told.textContent = code.textContent = "";
  status.textContent = "Not measured yet.";
  draw();
}

ROOT.replaceChildren(
  element("div", { class: "wbw-knobs" }, rowsLabel, shapeLabel, unrollLabel, ...(canFuse ? [fusedLabel] : []), go),
  status, place, legend, told, code,
);
for (const knob of [rowsKnob, shapeKnob, unrollKnob, fusedKnob]) knob.addEventListener("change", changed);
ROOT.addEventListener("keydown", (event) => event.stopPropagation()); // keys of a notebook stay out
go.addEventListener("click", tune);
for (const [mr, nv, gflops] of GIVEN.baked) results.set(key(mr, nv), { gflops });
draw();
if (wrong) {
  go.disabled = true;
  ROOT.prepend(element("p", { class: "wbw-wrong", role: "alert" }, wrong));
}
