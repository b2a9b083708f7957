
/* ---- JupyterLab: frames come from the kernel ------------------------------------------------------------------- */

const AGAIN = 1500; // ms until a question is asked once more: the first may wait behind cells that are still to run
const SLOW = 6000; // ms until the reader is told what there is to wait for
const BUSY = "Still computing, or waiting for another cell. If the kernel was restarted: menu Run, Run All Cells.";
const GONE = "The kernel behind this Explorer has ended or was restarted. To go on: menu Run, Run All Cells.";

// plotly's script comes once a page: the first Explorer that needs it asks its kernel, the others wait for it.
// It arrives in a message, not in widget state, so that no notebook ever stores it.
function plotlyFrom(model) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  window.workbenchPlotly ??= new Promise((resolve, reject) => {
    const page = `${Date.now()} ${Math.random()}`; // the kernel answers a page once, however often it asks
    const ask = () => model.send({ kind: "plotly", page });
    const again = setTimeout(ask, AGAIN);
    const late = setTimeout(() => reject(new Error("plotly's script did not arrive: turn a knob to ask again")), 30000);
    const heard = async (message, buffers) => {
      if (message.kind !== "plotly") return;
      model.off("msg:custom", heard);
      clearTimeout(late);
      clearTimeout(again);
      const stream = new Blob([buffers[0]]).stream().pipeThrough(new DecompressionStream("deflate"));
      // a loader for AMD modules in the page would keep the script from setting window.Plotly
      const text = `{ const define = undefined, module = undefined, exports = undefined;\n${await new Response(stream).text()}\n}`;
      const script = document.createElement("script");
      script.src = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      script.onload = () => (window.Plotly ? resolve(window.Plotly) : reject(new Error("plotly's script did not start")));
      script.onerror = () => reject(new Error("plotly's script did not load"));
      document.head.append(script);
    };
    model.on("msg:custom", heard);
    ask();
  }).catch((error) => { window.workbenchPlotly = undefined; throw error; });
  return window.workbenchPlotly;
}

function render({ model, el }) {
  const descriptor = model.get("descriptor");
  const root = element("figure", { class: "wbx", "data-lm-suppress-shortcuts": "true" }); // arrows turn knobs, not cells
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(root);
  let asked = 0;
  let shown = 0;
  let timer = 0;
  let last = 0;
  let late = [];
  const answers = {};

  const send = (state) => {
    last = performance.now();
    try { model.send({ kind: "turn", ticket: ++asked, state }); }
    catch { calm(); answers.fail(GONE); } // the wire to the kernel is closed
  };
  const calm = () => { late.forEach(clearTimeout); };

  // At most one message in 40 ms while a knob is dragged; the kernel drops what was overtaken.
  const ask = (state, show, fail) => {
    Object.assign(answers, { show, fail });
    clearTimeout(timer);
    calm();
    timer = setTimeout(send, Math.max(0, 40 - (performance.now() - last)), state);
    late = [setTimeout(send, AGAIN, state), setTimeout(() => explorer.wait(BUSY), SLOW)];
  };
  // The wire was cut or mended, and we are not told which: say the worst and ask, an answer takes it back.
  const lost = () => {
    calm();
    answers.fail(GONE);
    send([...explorer.knobs.state]);
  };
  const heard = (message) => {
    if (message.ticket === undefined || message.ticket <= shown) return; // stale
    shown = message.ticket;
    if (shown === asked) calm();
    if (message.kind === "frame") answers.show(message.frame);
    if (message.kind === "error") answers.fail(message.message);
    if (shown < asked) root.setAttribute("aria-busy", "true");
  };
  model.on("msg:custom", heard);
  model.on("comm_live_update", lost);
  const tools = { plotly: () => plotlyFrom(model), templates: descriptor.templates };
  const explorer = mountExplorer(root, descriptor, ask, tools);
  explorer.knobs.put(descriptor.start); // asks for the first frame
  return () => {
    model.off("msg:custom", heard);
    model.off("comm_live_update", lost);
    clearTimeout(timer);
    calm();
    explorer.close();
  };
}

export default { render };
