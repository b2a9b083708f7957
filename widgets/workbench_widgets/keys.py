"""Keys that stay with a form: without this JupyterLab takes arrows and Enter for moving between cells."""

import anywidget


class KeepKeys(anywidget.AnyWidget):
    """Put into a box of widgets, invisible, it keeps the keys that are pressed in the box from JupyterLab."""

    _esm = """
    export default {
      render({ el }) {
        const keep = () => {
          const box = el.parentElement;
          if (!box) { requestAnimationFrame(keep); return; }
          box.dataset.lmSuppressShortcuts = "true";
          box.addEventListener("keydown", (event) => event.stopPropagation());
          el.hidden = true;
        };
        keep();
      },
    };
    """
