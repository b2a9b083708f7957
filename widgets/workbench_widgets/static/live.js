
/* ---- JupyterLab: frames come from the kernel ------------------------------------------------------------------- */

// plotly's script comes once a page: the first Explorer that needs it asks its kernel, the others wait for it.
// It arrives in a message, not in widget state, so that no notebook ever stores it.
function plotlyFrom(model) {
  if (window.Plotly) return Promise.resolve(window.Plotly);
  window.workbenchPlotly ??= new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("plotly's script did not arrive: turn a knob to ask again")), 30000);
    const heard = async (message, buffers) => {
      if (message.kind !== "plotly") return;
      model.off("msg:custom", heard);
      clearTimeout(late);
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
    model.send({ kind: "plotly" });
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
  const answers = {};

  // At most one message in 40 ms while a knob is dragged; the kernel drops what was overtaken.
  const ask = (state, show, fail) => {
    Object.assign(answers, { show, fail });
    clearTimeout(timer);
    const send = () => {
      last = performance.now();
      model.send({ kind: "turn", ticket: ++asked, state });
    };
    const wait = 40 - (performance.now() - last);
    if (wait <= 0) send();
    else timer = setTimeout(send, wait);
  };
  const heard = (message) => {
    if (message.ticket === undefined || message.ticket <= shown) return; // stale
    shown = message.ticket;
    if (message.kind === "frame") answers.show(message.frame);
    if (message.kind === "error") answers.fail(message.message);
    if (shown < asked) root.setAttribute("aria-busy", "true");
  };
  model.on("msg:custom", heard);
  const tools = { plotly: () => plotlyFrom(model), templates: descriptor.templates };
  const explorer = mountExplorer(root, descriptor, ask, tools);
  explorer.knobs.put(descriptor.start); // asks for the first frame
  return () => { model.off("msg:custom", heard); clearTimeout(timer); explorer.close(); };
}

export default { render };
