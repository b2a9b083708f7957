
/* ---- the book: frames come out of the page itself ---------------------------------------------------------------- */

const HERE = new URL(".", document.currentScript.src);
let loading = null;

// plotly's script is shared by all pages and fetched by the first figure that comes near.
function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = element("script", { src: new URL("plotly.min.js", HERE).href });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("_static/plotly.min.js is missing beside this page"));
    document.head.append(script);
  });
  return loading;
}

const TOOLS = { plotly, templates: TEMPLATES };

// What a figure shows, as a table for spreadsheets: one row a point, one column a coordinate.
function csv(parts) {
  const quote = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value ?? ""));
  const rows = [["figure", "trace", "x", "y", "z"]];
  parts.forEach((part, p) => (part.data ?? []).forEach((trace, t) => {
    const name = trace.name ?? t + 1;
    const { x, y, z } = trace;
    if (Array.isArray(z?.[0])) z.forEach((row, i) => row.forEach((value, j) => rows.push([p + 1, name, x?.[j] ?? j, y?.[i] ?? i, value])));
    else (y ?? x ?? trace.values ?? []).forEach((value, i) => rows.push([p + 1, name, x ? x[i] : i, y ? y[i] : "", z ? z[i] : ""]));
  }));
  return rows.map((row) => row.map(quote).join(",")).join("\n");
}

function csvButton(parts) {
  const button = element("button", { type: "button", class: "wbx-tool" }, "Data (CSV)");
  button.addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([csv(parts())], { type: "text/csv" }));
    element("a", { href: url, download: "figure.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  });
  return button;
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

function startFigure(figure) {
  const part = JSON.parse(figure.querySelector("script").textContent);
  const stage = figure.querySelector(".wb-stage");
  const draw = () => drawPart(stage, part, TOOLS).then(
    () => { figure.classList.add("wb-drawn"); },
    (error) => { console.error(error); },
  );
  const tools = element("div", { class: "wbx-tools" }, csvButton(() => [part]));
  figure.append(tools);
  onTheme(draw);
  onWidth(stage, draw);
  return draw();
}

/* ---- Explorers --------------------------------------------------------------------------------------------------- */

const mounted = new Map(); // id of the figure → its knobs

function startExplorer(figure) {
  const [described, packed] = [...figure.querySelectorAll("script")].map((script) => script.textContent);
  const descriptor = JSON.parse(described);
  let baked = null;
  let newest = 0;
  let shown = descriptor.frame;

  const ask = async (state, show, fail) => {
    const ticket = ++newest;
    try {
      baked ??= unpack(packed);
      const frame = unbake(descriptor.frame, await baked, state);
      if (ticket === newest) show((shown = frame));
    } catch (error) {
      fail(`This Explorer's frames could not be read: ${error.message}`);
    }
  };
  const link = element("a", { class: "wbx-tool" }, "Link");
  const remember = (knobs) => { link.href = `#${figure.id}&${knobs.query()}`; };
  const tools = {
    ...TOOLS,
    onTurn: remember,
    buttons: () => [link, ...(shown.some((part) => part.data) ? [csvButton(() => shown)] : [])],
  };
  const explorer = mountExplorer(figure, descriptor, ask, tools);
  remember(explorer.knobs);
  mounted.set(figure.id, explorer.knobs);
  figure.classList.add("wb-drawn");
  return explorer.show(shown);
}

// #explorer-1a2b&kernel_size=7&depth=4 names an Explorer and the state of its knobs
function followLink() {
  const [id, ...query] = location.hash.slice(1).split("&");
  const figure = query.length && document.getElementById(id);
  if (!figure) return;
  start(figure);
  mounted.get(id)?.read(query.join("&"));
  figure.scrollIntoView({ block: "center" });
}

/* ---- drawing when a figure comes near, and all of them before printing -------------------------------------------- */

const started = new Map();

function start(figure) {
  if (!started.has(figure)) started.set(figure, figure.matches(".wbx") ? startExplorer(figure) : startFigure(figure));
  return started.get(figure);
}

const figures = document.querySelectorAll("figure.wb-figure, figure.wb-explorer");
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) { near.unobserve(entry.target); start(entry.target); }
  }
}, { rootMargin: "600px" });
figures.forEach((figure) => near.observe(figure));
window.addEventListener("beforeprint", () => figures.forEach(start));
window.addEventListener("hashchange", followLink);
followLink();

/* ---- small comforts ------------------------------------------------------------------------------------------------ */

// Long commands are copied, not typed. Without a clipboard (some browsers from file://) there is no button.
if (navigator.clipboard) {
  document.querySelectorAll("pre.wb-command").forEach((pre) => {
    const button = element("button", { type: "button", class: "wbx-tool" }, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(pre.querySelector("code").textContent);
      button.textContent = "Copied";
    });
    pre.append(button);
  });
}
