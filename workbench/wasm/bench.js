/* Runs what EMIT makes and times it: in a worker of a page, or in node.

   Two things make a clock lie here. It moves in steps (0.1 ms in Chromium), so calls are timed in batches of many
   steps. And the first calls run code that was compiled in haste while a better version is made beside, so a kernel
   is called until it gets no faster. */

const STEPS = 20; // a batch lasts at least so many steps of the clock
const SETTLED = 3; // batches without progress end the warm-up
const PROGRESS = 0.97; // of the best time so far: less is progress

const BENCH = (() => {
  const TILE = { mr: 1, nv: 1, ku: 1, relaxed: false };
  const PAGE = 65536;

  // What this engine can do, asked with modules of a few bytes that are never run.
  function features() {
    if (typeof WebAssembly !== "object") return { wasm: false, simd: false, relaxed: false };
    const takes = (code) => { try { return WebAssembly.validate(code); } catch { return false; } };
    return {
      wasm: true,
      simd: takes(EMIT.product({ m: 1, n: 4, k: 1 }, TILE)),
      relaxed: takes(EMIT.product({ m: 1, n: 4, k: 1 }, { ...TILE, relaxed: true })),
    };
  }

  function clockStep() {
    let least = Infinity;
    for (let i = 0, then = performance.now(); i < 50000 && performance.now() - then < 20; i++) {
      const before = performance.now();
      let after = before;
      while (after === before) after = performance.now();
      least = Math.min(least, after - before);
      if (i > 20) break;
    }
    return least;
  }

  function random(seed) { // from -1 to 1, the same everywhere
    let state = seed * 2654435761 + 1;
    return () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state / 2147483648;
    };
  }

  // A memory with a random A, B and bias for one shape, and room for C.
  class Work {
    constructor(shape, seed = 1) {
      const { m, n, k, lda = k, ldc = n } = shape;
      const packed = k * Math.ceil(n / 4) * 4;
      const next = random(seed);
      this.shape = { ...shape, lda, ldc };
      this.b = Float32Array.from({ length: k * n }, next);
      const floats = [m * lda, packed, m * ldc, n + 16].map((size) => Math.ceil(size / 16) * 16);
      this.at = floats.map((_, i) => 64 + 4 * floats.slice(0, i).reduce((sum, size) => sum + size, 0));
      const bytes = this.at[3] + 4 * floats[3];
      this.memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
      this.a = this.view(0, m * lda);
      this.c = this.view(2, m * ldc);
      this.bias = this.view(3, n);
      for (const array of [this.a, this.bias]) for (let i = 0; i < array.length; i++) array[i] = next();
    }
    view(part, length) { return new Float32Array(this.memory.buffer, this.at[part], length); }
    flops() { return 2 * this.shape.m * this.shape.n * this.shape.k; }

    // Emits, compiles and prepares one kernel; its parts are timed, in ms.
    kernel(tile, passes) {
      const start = performance.now();
      const code = EMIT.product(this.shape, tile, passes);
      const emitted = performance.now();
      const module = new WebAssembly.Module(code);
      const { run } = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports;
      const compiled = performance.now();
      const packed = EMIT.pack(this.b, this.shape.k, this.shape.n, tile.nv);
      const call = () => run(...this.at);
      const use = () => this.view(1, packed.length).set(packed);
      return { tile, code, call, use, bytes: code.length, emit: emitted - start, compile: compiled - emitted };
    }

    // The largest error of some entries of C against sums in float64, over the sum of the products' sizes.
    error(places = 24) {
      const { m, n, k, lda, ldc, bias } = this.shape;
      const next = random(places);
      const pick = (count) => Math.min(count - 1, Math.floor((next() + 1) / 2 * count));
      let worst = 0;
      for (let place = 0; place < places; place++) {
        const [i, j] = place === 0 ? [m - 1, n - 1] : [pick(m), pick(n)];
        let sum = bias ? this.bias[j] : 0, size = Math.abs(sum);
        for (let l = 0; l < k; l++) {
          const term = this.a[i * lda + l] * this.b[l * n + j];
          sum += term;
          size += Math.abs(term);
        }
        worst = Math.max(worst, Math.abs(this.c[i * ldc + j] - sum) / (size || 1));
      }
      return worst;
    }
    naive() { // three loops in plain JavaScript
      const { m, n, k, lda, ldc } = this.shape, { a, b, c } = this;
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) sum += a[i * lda + l] * b[l * n + j];
          c[i * ldc + j] = sum;
        }
      }
    }
  }

  // How many calls make a batch that the clock can see, after they got as fast as they get.
  function settle(call, least) {
    let calls = 1, best = Infinity, idle = 0;
    for (let batch = 0; batch < 60 && idle < SETTLED; batch++) {
      const start = performance.now();
      for (let i = 0; i < calls; i++) call();
      const spent = performance.now() - start;
      if (spent < least) { calls *= Math.max(2, Math.min(16, Math.ceil(least / Math.max(spent, least / 16)))); continue; }
      const each = spent / calls;
      idle = each < best * PROGRESS ? 0 : idle + 1;
      best = Math.min(best, each);
    }
    return { calls: Math.max(1, Math.ceil(least / best)), best };
  }
  function batch(call, calls) {
    const start = performance.now();
    for (let i = 0; i < calls; i++) call();
    return (performance.now() - start) / calls;
  }
  // ms of one call: the best of the warm-up's last batches and of `batches` more
  function timed(call, { ms = 2, batches = 3 } = {}) {
    const settled = settle(call, Math.max(ms, STEPS * clockStep()));
    let best = settled.best;
    for (let i = 0; i < batches; i++) best = Math.min(best, batch(call, settled.calls));
    return best;
  }

  // One candidate: what it costs to have and how fast it is.
  function candidate(work, tile, options = {}) {
    const kernel = work.kernel(tile, options.passes);
    kernel.use();
    work.c.fill(NaN);
    kernel.call();
    const error = work.error();
    const each = timed(kernel.call, options);
    const { emit, compile, bytes } = kernel;
    return { ...tile, emit, compile, bytes, error, ms: each, gflops: work.flops() / each / 1e6 };
  }

  return { features, clockStep, random, Work, settle, batch, timed, candidate };
})();

/* ---- what node is asked for ---- */

const JOBS = {
  features: () => ({ ...BENCH.features(), engine: typeof process === "object" ? process.versions.v8 : "" }),

  // bytes as numbers: [what, arguments of EMIT]
  emit: (calls) => calls.map(([what, args]) => [...EMIT[what](...args)]),

  // the words of modules given as numbers: [bytes, only the innermost loop]
  listings: (codes) => codes.map(([code, innermost]) => EMIT.listing(new Uint8Array(code), innermost)),

  // C of one product, and its error against float64
  multiply: (shape, tile, seed) => {
    const work = new BENCH.Work(shape, seed);
    const kernel = work.kernel(tile);
    kernel.use();
    work.c.fill(NaN);
    kernel.call();
    return { error: work.error(200), valid: WebAssembly.validate(kernel.code) };
  },

  // every tile by itself, one after the other
  tune: (shape, tiles, options) => {
    const work = new BENCH.Work(shape);
    return tiles.map((tile) => BENCH.candidate(work, tile, options));
  },

  // ms of emitting, compiling and the first call of a small product: what a candidate costs before it is timed
  costs: (shape, tiles) => {
    const work = new BENCH.Work(shape);
    return tiles.map((tile) => {
      const kernel = work.kernel(tile);
      kernel.use();
      const start = performance.now();
      kernel.call();
      return kernel.emit + kernel.compile + performance.now() - start;
    });
  },

  // the same candidates in turns, in an order drawn anew each round; ms of a call, [rounds][candidates]
  compare: (shape, candidates, { rounds = 9, ms = 2, seed = 1, naive = false } = {}) => {
    const work = new BENCH.Work(shape);
    const kernels = candidates.map(({ tile, passes }) => work.kernel(tile, passes));
    const calls = kernels.map((kernel) => ({ use: kernel.use, call: kernel.call }));
    if (naive) calls.push({ use: () => {}, call: () => work.naive() });
    const counts = calls.map(({ use, call }) => { use(); return BENCH.settle(call, ms).calls; });
    const next = BENCH.random(seed);
    return Array.from({ length: rounds }, () => {
      const order = calls.map((_, i) => [next(), i]).sort(([a], [b]) => a - b);
      const row = Array(calls.length);
      for (const [, i] of order) { calls[i].use(); row[i] = BENCH.batch(calls[i].call, counts[i]); }
      return row;
    });
  },
};
