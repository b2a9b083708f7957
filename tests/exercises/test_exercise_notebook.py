"""A check in a real notebook: rich output, the cell's own line, and no process left behind."""

import nbclient
import nbformat
import pytest


def run(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    return notebook.cells


@pytest.mark.slow
def test_a_check_in_a_notebook(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("WORKBENCH_LEDGER", str(tmp_path / "ledger.sqlite"))
    cells = run(
        "import numpy as np\nfrom workbench import exercise\nhelper = lambda v: np.abs(v)",
        "def radius(field, share):\n    mass = helper(field)\n    return mass.nothing",
        "exercise('receptive-fields/radius').check(radius)",
        "exercise('receptive-fields/radius').hint()",
        "import psutil; psutil.Process().children(recursive=True)",
    )
    (output,) = cells[2].outputs
    assert output.output_type == "display_data"
    text, html = output.data["text/plain"], output.data["text/html"]
    assert "AttributeError" in text
    assert "in line 3: `return mass.nothing`" in text
    assert "ipykernel" not in text
    assert html.startswith("<div")
    assert "Hint 1 of 3" in cells[3].outputs[0].data["text/plain"]
    assert cells[4].outputs[0].data["text/plain"] == "[]"
