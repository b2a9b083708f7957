"""What a reader finds where a widget was, when a notebook is opened again without the kernel behind it."""

SENTENCE = "This part sleeps: the kernel that drew it has ended. To wake it: menu Run, Run All Cells."

# JupyterLab marks an output as a widget's only where it finds no widget for it, and puts bare words of its
# own there. Our sentence stands hidden before every widget and takes the place of such words. Other front
# ends keep it hidden.
NOTE = f"""<style>
.wbx-asleep, .jp-OutputArea-child:has(> * > .wbx-asleep) {{ display: none; }}
.jp-OutputArea-child:has(> * > .wbx-asleep):has(+ * > .jupyter-widgets) {{ display: flex; }}
.jp-OutputArea-child:has(+ * > .jupyter-widgets) .wbx-asleep {{ display: block; }}
.jp-OutputArea-child:has(> * > .wbx-asleep) + .jp-OutputArea-child > .jupyter-widgets {{ display: none; }}
</style><p class="wbx-asleep">{SENTENCE}</p>"""


def put_note() -> None:
    """Puts the note into the running cell's output, before the widget that is about to be shown."""
    from IPython import get_ipython

    if shell := get_ipython():
        shell.display_pub.publish({"text/html": NOTE, "text/plain": ""})
