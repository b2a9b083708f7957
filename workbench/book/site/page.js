
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
  let resting = 0;
  const turned = (knobs) => {
    remember(knobs);
    clearTimeout(resting); // browsers limit how often an address may change: it does when the knob rests
    resting = setTimeout(() => history.replaceState(history.state, "", link.hash), 400);
  };
  const tools = {
    ...TOOLS,
    onTurn: turned,
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
window.addEventListener("hashchange", followLink);
followLink();

// When there is time all others are drawn too: what is printed may never have been near the window.
function drawWhenIdle(left) {
  const [next, ...others] = left;
  if (!next) return;
  const idle = window.requestIdleCallback ?? ((then) => setTimeout(then, 200));
  idle(() => { near.unobserve(next); start(next); drawWhenIdle(others); });
}
window.addEventListener("load", () => setTimeout(() => drawWhenIdle([...figures]), 1000));

// Paper is white, also for a reader in the dark.
window.addEventListener("beforeprint", () => {
  const root = document.documentElement;
  const theme = root.dataset.theme;
  figures.forEach(start);
  root.dataset.theme = "light";
  window.addEventListener("afterprint", () => { root.dataset.theme = theme; }, { once: true });
});

/* ---- words of the glossary: what they mean, on hover and on focus, until Escape ------------------------------------ */

const meaning = element("div", { class: "wb-meaning", role: "tooltip", id: "wb-meaning", hidden: true });
document.body.append(meaning);
let leaving = 0;

function tell(word) {
  clearTimeout(leaving);
  document.querySelector("[aria-describedby='wb-meaning']")?.removeAttribute("aria-describedby");
  meaning.textContent = word.dataset.meaning;
  word.setAttribute("aria-describedby", meaning.id);
  meaning.hidden = false;
  const box = word.getBoundingClientRect();
  const most = document.documentElement.clientWidth - meaning.offsetWidth - 8;
  meaning.style.left = `${scrollX + Math.max(8, Math.min(box.left, most))}px`;
  meaning.style.top = `${scrollY + box.bottom + 6}px`;
}
const hush = () => { meaning.hidden = true; };
const hushSoon = () => { leaving = setTimeout(hush, 150); }; // time enough to move the pointer onto the meaning

document.querySelectorAll("a.wb-term[title]").forEach((word) => {
  word.dataset.meaning = word.title; // without script the browser shows the title by itself
  word.removeAttribute("title");
  for (const event of ["mouseenter", "focus"]) word.addEventListener(event, () => tell(word));
  for (const event of ["mouseleave", "blur"]) word.addEventListener(event, hushSoon);
});
meaning.addEventListener("mouseenter", () => clearTimeout(leaving));
meaning.addEventListener("mouseleave", hushSoon);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hush(); });

/* ---- for those who do not use a mouse ---------------------------------------------------------------------------- */

// The theme names its search button by less than what stands on it (the narrow one is an icon and keeps its name).
document.querySelectorAll(".navbar-persistent--container .search-button-field").forEach((button) => button.removeAttribute("aria-label"));

// A formula wider than the page scrolls, and so the keyboard has to reach it.
function reachFormulas() {
  document.querySelectorAll("mjx-container[display='true']").forEach((formula) => {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  });
}
window.addEventListener("load", () => { window.MathJax?.startup?.promise?.then(reachFormulas); });
window.addEventListener("resize", reachFormulas);

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
