/* What the panels of a page share: elements, and a worker made of text, which also works from a folder. */

const PANEL = (() => {
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // Why nothing can be measured here, in a sentence; empty if it can.
  function missing(simd) {
    if (typeof WebAssembly !== "object") return "This browser runs no WebAssembly, so nothing can be measured here.";
    if (!WebAssembly.validate(new Uint8Array(simd))) return "This browser has WebAssembly, but without vectors (SIMD), so these kernels do not run in it.";
    if (typeof Worker !== "function") return "This browser lets no script work in the background, so nothing is measured here.";
    return "";
  }

  // ask(job, tell) starts a job; each result goes to tell; stop() ends whatever runs
  function background(source) {
    let worker = null, address = "", ticket = 0, tell = () => {};
    const stop = () => {
      worker?.terminate();
      if (address) URL.revokeObjectURL(address);
      worker = null;
      address = "";
    };
    const start = () => {
      address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      worker = new Worker(address);
      worker.onmessage = ({ data }) => { if (data.ticket === ticket) tell(data); };
      worker.onerror = (event) => tell({ kind: "error", message: event.message || "the worker did not start" });
    };
    const ask = (job, next) => {
      tell = next;
      ticket += 1;
      try {
        if (!worker) start();
        worker.postMessage({ ...job, ticket });
      } catch (error) { next({ kind: "error", message: String(error.message ?? error) }); }
    };
    return { ask, stop };
  }

  // cividis from 0 to 1, and an ink that can be read on it
  const STOPS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];
  function colours(share) {
    const place = Math.max(0, Math.min(1, share)) * (STOPS.length - 1);
    const low = Math.min(STOPS.length - 2, Math.floor(place));
    const mixed = STOPS[low].map((from, i) => Math.round(from + (STOPS[low + 1][i] - from) * (place - low)));
    return { background: `rgb(${mixed.join(", ")})`, color: place < 2.6 ? "#fff" : "#000" };
  }

  return { element, missing, background, colours };
})();
