/* A worker of a page: it measures while the page stays awake, and tells each result at once. */

const SIZES = [8, 128, 2048, 32768]; // KiB that a copy reads and writes: from the first cache to the memory behind all
const TURNS = 20000;

const WORK = {
  // every tile in turn; the plain loops first
  *tune({ shape, tiles }) {
    const few = new BENCH.Work({ ...shape, m: Math.min(shape.m, 8) });
    yield { kind: "naive", gflops: few.flops() / BENCH.timed(() => few.naive()) / 1e6 };
    const work = new BENCH.Work(shape);
    for (const tile of tiles) yield { kind: "candidate", ...BENCH.candidate(work, tile) };
  },

  *listing({ shape, tile }) {
    const code = EMIT.product(shape, tile);
    yield { kind: "listing", lines: EMIT.listing(code, true), bytes: code.length };
  },

  // what the machine can move and compute at best, by one core
  *machine() {
    const { relaxed } = BENCH.features();
    const most = SIZES.at(-1) * 1024;
    const memory = new WebAssembly.Memory({ initial: most / 65536 + 1 });
    const loaded = (code) => new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } }).exports.run;
    for (const fused of relaxed ? [false, true] : [false]) {
      const run = loaded(EMIT.computing(TURNS, fused));
      yield { kind: "peak", fused, gflops: EMIT.computingFlops(TURNS) / BENCH.timed(() => run(64)) / 1e6 };
    }
    for (const kib of SIZES) {
      const half = kib * 512;
      const run = loaded(EMIT.copying(half / 16));
      const ms = BENCH.timed(() => run(64, 64 + half), { batches: 5 });
      yield { kind: "copy", kib, gbytes: (2 * half) / ms / 1e6 };
    }
  },
};

onmessage = ({ data: { job, ticket, ...asked } }) => {
  try {
    for (const told of WORK[job](asked)) postMessage({ ticket, ...told });
    postMessage({ ticket, kind: "done" });
  } catch (error) {
    postMessage({ ticket, kind: "error", message: String(error.message ?? error) });
  }
};
