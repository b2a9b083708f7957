"""What a reader finds where a widget was, when a notebook is opened again without the kernel behind it."""

SENTENCE = "This part sleeps: the kernel that it was made with has ended. Run its cell again (Shift+Enter)."

# JupyterLab puts bare words of its own where it finds no widget. Our sentence stands before every widget, hidden; it
# takes the place of an output that is marked as a widget and yet holds no element. Other front ends keep it hidden.
NOTE = f"""<style>
.wbx-asleep, .jp-OutputArea-child:has(> * > .wbx-asleep) {{ display: none; }}
.jp-OutputArea-child:has(> * > .wbx-asleep):has(+ .jp-OutputArea-child > .jupyter-widgets) {{ display: flex; }}
.jp-OutputArea-child:has(> * > .wbx-asleep):has(+ .jp-OutputArea-child > .jupyter-widgets > *) {{ display: none; }}
.jp-OutputArea-child:has(+ .jp-OutputArea-child > .jupyter-widgets) .wbx-asleep {{ display: block; }}
.jp-OutputArea-child:has(> * > .wbx-asleep) + .jp-OutputArea-child > .jupyter-widgets:not(:has(*)) {{ display: none; }}
</style><p class="wbx-asleep">{SENTENCE}</p>"""


def put_note() -> None:
    """Puts the note into the running cell's output, before the widget that is about to be shown."""
    from IPython import get_ipython

    if shell := get_ipython():
        shell.display_pub.publish({"text/html": NOTE, "text/plain": ""})
