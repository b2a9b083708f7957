"""Whether somebody looks on: live front ends get widgets, runs get what can be stored."""

import os

BAKE = "WORKBENCH_BAKE"  # set while lessons are executed for the book


def front_end_listens() -> bool:
    """Whether the running cell was sent by a front end that draws widgets.

    Front ends tag their requests (JupyterLab with the cell's id); papermill and nbclient send bare ones.
    Environment variables would not do: a notebook run from a notebook's terminal inherits them.
    """
    if os.environ.get(BAKE):
        return False
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(kernel.get_parent().get("metadata"))
