"""The shader: its text, and its numbers in Chromium's software adapter."""

import http.server
import os
import re
import threading
from functools import partial

import numpy as np
import pytest

from tests.browser_support import FLAGS, chromium
from workbench.errors import WorkbenchError
from workbench.wasm import Group, Product, wgsl

SHAPES = [
    (Product(8, 32, 5), Group()),
    (Product(13, 20, 7), Group(rows=3, vectors=2, width=4, height=2)),
    (Product(1, 4, 1), Group(rows=1, vectors=1, width=1, height=1)),
]
RUN = """
const [shader, a, b, size, grid, done] = arguments;
(async () => {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return "no adapter";
  const device = await adapter.requestDevice();
  const module = device.createShaderModule({ code: shader });
  const said = (await module.getCompilationInfo()).messages.map(({ message }) => message);
  if (said.length) return said.join("; ");
  const pipeline = device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffers = [a, b, Array(size).fill(9)].map((values) => {
    const buffer = device.createBuffer({ size: 4 * values.length, usage });
    device.queue.writeBuffer(buffer, 0, new Float32Array(values));
    return buffer;
  });
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(...grid);
  pass.end();
  const mapped = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
  const read = device.createBuffer({ size: 4 * size, usage: mapped });
  encoder.copyBufferToBuffer(buffers[2], 0, read, 0, 4 * size);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  return [...new Float32Array(read.getMappedRange())];
})().then(done, (error) => done(String(error)));
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *said):
        pass


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with WebGPU in software; pages have it only from a server of this machine."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "page.html").write_text('<!doctype html><link rel="icon" href="data:,"><title>t</title>')
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = [flag for flag in FLAGS if flag != "--disable-gpu" and "resolver" not in flag]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "tests.browser_support.FLAGS",
            [*flags, "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
        )
        with chromium() as driver:
            driver.get(f"http://127.0.0.1:{server.server_port}/page.html")
            yield driver
    server.shutdown()
    server.server_close()


@pytest.mark.browser
@pytest.mark.parametrize(("shape", "group"), SHAPES)
def test_the_software_adapter_computes_what_float64_does(browser, shape, group):
    rng = np.random.default_rng(shape.m)
    a = rng.normal(size=(shape.m, shape.k)).astype(np.float32)
    b = rng.normal(size=(shape.k, shape.n)).astype(np.float32)
    size, grid = shape.m * shape.n, group.grid(shape)
    told = browser.execute_async_script(
        RUN, wgsl(shape, group), a.ravel().tolist(), b.ravel().tolist(), size, list(grid)
    )
    if told == "no adapter":
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "this chromium has no WebGPU: the shader is NOT run"
        )
    truth = a.astype(np.float64) @ b
    assert np.abs(np.reshape(told, truth.shape) - truth).max() < 1e-5


@pytest.mark.parametrize(("shape", "group"), SHAPES)
def test_every_worker_has_its_sums_and_the_grid_covers_all(shape, group):
    text = wgsl(shape, group)
    across, down = group.grid(shape)
    assert len(re.findall(r"\bvar sum_", text)) == group.rows * group.vectors == text.count("= fma(")
    assert (
        (across - 1) * 4 * group.vectors * group.width < shape.n <= across * 4 * group.vectors * group.width
    )
    assert (down - 1) * group.rows * group.height < shape.m <= down * group.rows * group.height
    assert text.count("{") == text.count("}")


def test_what_the_shader_does_not_do_is_refused():
    with pytest.raises(WorkbenchError, match="multiple of 4"):
        wgsl(Product(4, 6, 4))
    with pytest.raises(WorkbenchError, match="256 workers"):
        Group(width=32, height=32)
