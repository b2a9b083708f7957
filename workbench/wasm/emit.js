/* The emitter of encode.py, products.py, rows.py and probes.py once more, for pages: the same bytes.
   OPCODES comes before this script: instruction -> [its bytes, what follows]. */

const EMIT = (() => {
  const I32 = 0x7f, F32 = 0x7d, V128 = 0x7b, VOID = 0x40;
  const VECTOR = 16, FLOAT = 4, LANES = 4;

  /* ---- the binary format ---- */

  const unsigned = (value) => {
    const out = [];
    do {
      out.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
      value >>>= 7;
    } while (value);
    return out;
  };
  const signed = (value) => {
    for (const out = []; ;) {
      const group = value & 0x7f;
      value >>= 7;
      const done = value === (group & 0x40 ? -1 : 0);
      out.push(done ? group : group | 0x80);
      if (done) return out;
    }
  };
  const float = (value) => [...new Uint8Array(new Float32Array([value]).buffer)];
  const words = (...values) => [...new Uint8Array(new Int32Array(values).buffer)];
  const vector = (items) => [...unsigned(items.length), ...items.flat()];
  const text = (word) => [word.length, ...[...word].map((letter) => letter.charCodeAt(0))];
  const section = (number, content) => [number, ...unsigned(content.length), ...content];
  const range = (from, count) => Array.from({ length: count }, (_, i) => from + i);

  const FOLLOWS = {
    u: unsigned,
    s: signed,
    m: (offset) => [2, ...unsigned(offset)],
    b: (byte) => [byte],
    f: float,
    v: (value) => (typeof value === "number" ? Array(4).fill(float(value)).flat() : value),
  };

  class Function {
    constructor(params, { i32 = 0, f32 = 0, v128 = 0 } = {}) {
      Object.assign(this, { params, counts: [[I32, i32], [F32, f32], [V128, v128]], code: [] });
      this.i32 = range(params, i32);
      this.f32 = range(params + i32, f32);
      this.v128 = range(params + i32 + f32, v128);
    }
    op(name, ...values) {
      const [bytes, follows] = OPCODES[name];
      this.code.push(...bytes);
      [...follows].forEach((kind, i) => this.code.push(...FOLLOWS[kind](values[i])));
    }
    get(local) { this.op("local.get", local); }
    set(local) { this.op("local.set", local); }
    const(value) { this.op("i32.const", value); }
    move(local, other) { this.get(other); this.set(local); }
    advance(local, by) { this.get(local); this.const(by); this.op("i32.add"); this.set(local); }
    loop(counter, times, body) {
      if (times === 1) { body(); return; }
      this.const(times);
      this.set(counter);
      this.op("loop", VOID);
      body();
      this.get(counter);
      this.const(1);
      this.op("i32.sub");
      this.op("local.tee", counter);
      this.op("br_if", 0);
      this.op("end");
    }
    module() {
      const takes = [0x60, ...vector(Array(this.params).fill([I32])), ...vector([])];
      const memory = [...text("env"), ...text("memory"), 2, 0, 0];
      const grouped = this.counts.filter(([, n]) => n).map(([kind, n]) => [...unsigned(n), kind]);
      const body = [...vector(grouped), ...this.code, 11];
      return new Uint8Array([
        0, 97, 115, 109, 1, 0, 0, 0,
        ...section(1, vector([takes])),
        ...section(2, vector([memory])),
        ...section(3, vector([[0]])),
        ...section(7, vector([[...text("run"), 0, 0]])),
        ...section(10, vector([[...unsigned(body.length), ...body]])),
      ]);
    }
  }

  const parts = (total, step) => [[step, Math.floor(total / step)], [total % step, 1]].filter(([n, times]) => n && times);

  /* ---- products ---- */

  const PASSES = { offsets: true, fold: true, share: true, accumulators: true };

  // shape {m, n, k, lda, ldc, bias}, tile {mr, nv, ku, relaxed}, passes as above
  function product(shape, tile, passes = PASSES) {
    const { m, n, k, lda = shape.k, ldc = shape.n, bias = false } = shape;
    const { mr, nv, ku, relaxed = false } = tile;
    const f = new Function(4, { i32: 7, v128: mr * nv + nv + 1 });
    const [A, B, C, BIAS] = [0, 1, 2, 3];
    const [panels, groups, turns, aRow, cRow, a, b] = f.i32;
    const number = f.v128[mr * nv + nv];
    const line = f.v128.slice(mr * nv, -1);
    const sum = (row, v) => f.v128[row * nv + v];

    const load = (instruction, address, ...distances) => {
      const far = distances.reduce((total, [count, size]) => total + count * size, 0);
      f.get(address);
      if (passes.offsets) { f.op(instruction, far); return; }
      if (passes.fold) { f.const(far); f.op("i32.add"); }
      else for (const [count, size] of distances) { f.const(count); f.const(size); f.op("i32.mul"); f.op("i32.add"); }
      f.op(instruction, 0);
    };
    const store = (row, v, lanes) => {
      const far = row * ldc * FLOAT + v * VECTOR;
      if (lanes === LANES) { f.get(cRow); f.get(sum(row, v)); f.op("v128.store", far); return; }
      if (lanes >= 2) { f.get(cRow); f.get(sum(row, v)); f.op("v128.store64_lane", far, 0); }
      if (lanes % 2) { f.get(cRow); f.get(sum(row, v)); f.op("v128.store32_lane", far + (lanes - 1) * FLOAT, lanes - 1); }
    };
    const step = (rows, vectors, at) => {
      for (let row = 0; row < rows; row++) {
        if (row === 0 || !passes.share) {
          for (let v = 0; v < vectors; v++) { load("v128.load", b, [at * vectors + v, VECTOR]); f.set(line[v]); }
        }
        load("v128.load32_splat", a, [row, lda * FLOAT], [at, FLOAT]);
        f.set(number);
        for (let v = 0; v < vectors; v++) {
          const total = sum(row, v);
          if (!passes.accumulators) { f.get(cRow); f.op("v128.load", row * ldc * FLOAT + v * VECTOR); f.set(total); }
          if (!relaxed) f.get(total);
          f.get(number);
          f.get(line[v]);
          if (relaxed) { f.get(total); f.op("f32x4.relaxed_madd"); }
          else { f.op("f32x4.mul"); f.op("f32x4.add"); }
          f.set(total);
          if (!passes.accumulators) store(row, v, LANES);
        }
      }
    };
    const whole = (rows, vectors, columns) => {
      for (let row = 0; row < rows; row++) {
        for (let v = 0; v < vectors; v++) {
          if (bias) { f.get(BIAS); f.op("v128.load", v * VECTOR); } else f.op("v128.const", 0);
          f.set(sum(row, v));
          if (!passes.accumulators) store(row, v, LANES);
        }
      }
      f.move(a, aRow);
      f.move(b, B);
      for (const [steps, times] of parts(k, ku)) {
        f.loop(turns, times, () => {
          for (let at = 0; at < steps; at++) step(rows, vectors, at);
          f.advance(a, steps * FLOAT);
          f.advance(b, steps * vectors * VECTOR);
        });
      }
      if (passes.accumulators) {
        for (let row = 0; row < rows; row++) {
          for (let v = 0; v < vectors; v++) store(row, v, Math.min(LANES, columns - v * LANES));
        }
      }
    };

    for (const [columns, times] of parts(n, LANES * nv)) {
      const vectors = Math.ceil(columns / LANES);
      f.loop(panels, times, () => {
        f.move(aRow, A);
        f.move(cRow, C);
        for (const [rows, count] of parts(m, mr)) {
          f.loop(groups, count, () => {
            whole(rows, vectors, columns);
            f.advance(aRow, rows * lda * FLOAT);
            f.advance(cRow, rows * ldc * FLOAT);
          });
        }
        f.advance(B, k * vectors * VECTOR);
        f.advance(C, vectors * VECTOR);
        f.advance(BIAS, vectors * VECTOR);
      });
    }
    return f.module();
  }

  // B [k, n] as panels of nv vectors, as `pack` of products.py
  function pack(values, k, n, nv) {
    const packed = new Float32Array(k * Math.ceil(n / LANES) * LANES);
    let at = 0;
    for (let from = 0; from < n; from += LANES * nv) {
      const width = Math.min(LANES * nv, Math.ceil((n - from) / LANES) * LANES);
      for (let row = 0; row < k; row++, at += width) {
        for (let j = 0; j < width && from + j < n; j++) packed[at + j] = values[row * n + from + j];
      }
    }
    return packed;
  }

  /* ---- rows ---- */

  const EXP = [1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1, 1];
  const ERF = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const FIRST_LANE = words(-1, 0, 0, 0);
  const ALL_BUT_SIGN = words(...Array(4).fill(0x7fffffff));
  const EXPONENT_BIAS = words(...Array(4).fill(127));

  const lanesOf = (f, width) => ({
    load(address) { f.get(address); f.op(width === LANES ? "v128.load" : "v128.load32_splat", 0); },
    store(address, value) {
      f.get(address);
      f.get(value);
      if (width === LANES) f.op("v128.store", 0); else f.op("v128.store32_lane", 0, 0);
    },
    once() { if (width !== LANES) { f.op("v128.const", FIRST_LANE); f.op("v128.and"); } },
  });
  function along(f, counter, n, ats, starts, body) {
    ats.forEach((at, i) => f.move(at, starts[i]));
    for (const [width, times] of [[LANES, Math.floor(n / LANES)], [1, n % LANES]]) {
      if (!times) continue;
      f.loop(counter, times, () => {
        body(lanesOf(f, width));
        ats.forEach((at) => f.advance(at, width * FLOAT));
      });
    }
  }
  function across(f, from, total, one, instruction) {
    f.get(from);
    f.op("f32x4.extract_lane", 0);
    f.set(total);
    for (let lane = 1; lane < LANES; lane++) {
      f.get(from);
      f.op("f32x4.extract_lane", lane);
      f.set(one);
      f.get(total);
      f.get(one);
      f.op(instruction);
      f.set(total);
    }
  }
  function horner(f, x, [first, ...others]) {
    f.op("v128.const", first);
    for (const coefficient of others) { f.get(x); f.op("f32x4.mul"); f.op("v128.const", coefficient); f.op("f32x4.add"); }
  }
  function exp(f, x, power) {
    f.get(x);
    f.op("v128.const", -87);
    f.op("f32x4.max");
    f.op("v128.const", 88);
    f.op("f32x4.min");
    f.op("local.tee", x);
    f.op("v128.const", 1.4426950408889634);
    f.op("f32x4.mul");
    f.op("f32x4.nearest");
    f.set(power);
    for (const part of [0.693359375, -2.1219444e-4]) {
      f.get(x);
      f.get(power);
      f.op("v128.const", part);
      f.op("f32x4.mul");
      f.op("f32x4.sub");
      f.set(x);
    }
    horner(f, x, EXP);
    f.get(power);
    f.op("i32x4.trunc_sat_f32x4_s");
    f.op("v128.const", EXPONENT_BIAS);
    f.op("i32x4.add");
    f.const(23);
    f.op("i32x4.shl");
    f.op("f32x4.mul");
  }

  function softmax(rows, columns, stride = columns, scale = 1) {
    const f = new Function(1, { i32: 3, f32: 2, v128: 5 });
    const x = 0, [row, column, at] = f.i32, [total, one] = f.f32;
    const [sums, value, power, most, factor] = f.v128;
    f.loop(row, rows, () => {
      f.get(x);
      f.op("v128.load32_splat", 0);
      f.set(most);
      along(f, column, columns, [at], [x], (lanes) => { f.get(most); lanes.load(at); f.op("f32x4.max"); f.set(most); });
      across(f, most, total, one, "f32.max");
      f.get(total);
      f.op("f32x4.splat");
      f.set(most);
      f.op("v128.const", 0);
      f.set(sums);
      along(f, column, columns, [at], [x], (lanes) => {
        lanes.load(at);
        f.get(most);
        f.op("f32x4.sub");
        f.op("v128.const", scale);
        f.op("f32x4.mul");
        f.set(value);
        exp(f, value, power);
        f.op("local.tee", value);
        lanes.once();
        f.get(sums);
        f.op("f32x4.add");
        f.set(sums);
        lanes.store(at, value);
      });
      across(f, sums, total, one, "f32.add");
      f.op("f32.const", 1);
      f.get(total);
      f.op("f32.div");
      f.op("f32x4.splat");
      f.set(factor);
      along(f, column, columns, [at], [x], (lanes) => {
        lanes.load(at);
        f.get(factor);
        f.op("f32x4.mul");
        f.set(value);
        lanes.store(at, value);
      });
      f.advance(x, stride * FLOAT);
    });
    return f.module();
  }

  function layerNorm(rows, columns, eps = 1e-12) {
    const f = new Function(5, { i32: 7, f32: 2, v128: 4 });
    const [x, residual, weight, bias, out] = range(0, 5);
    const [row, column, atX, atResidual, atWeight, atBias, at] = f.i32;
    const [total, one] = f.f32, [sums, value, mean, factor] = f.v128;
    const average = () => {
      across(f, sums, total, one, "f32.add");
      f.get(total);
      f.op("f32.const", columns);
      f.op("f32.div");
    };
    const summed = (lanes) => { lanes.once(); f.get(sums); f.op("f32x4.add"); f.set(sums); };
    f.loop(row, rows, () => {
      f.op("v128.const", 0);
      f.set(sums);
      along(f, column, columns, [atX, atResidual, at], [x, residual, out], (lanes) => {
        lanes.load(atX);
        lanes.load(atResidual);
        f.op("f32x4.add");
        f.op("local.tee", value);
        summed(lanes);
        lanes.store(at, value);
      });
      average();
      f.op("f32x4.splat");
      f.set(mean);
      f.op("v128.const", 0);
      f.set(sums);
      along(f, column, columns, [at], [out], (lanes) => {
        lanes.load(at);
        f.get(mean);
        f.op("f32x4.sub");
        f.op("local.tee", value);
        f.get(value);
        f.op("f32x4.mul");
        summed(lanes);
      });
      f.op("f32.const", 1);
      average();
      f.op("f32.const", eps);
      f.op("f32.add");
      f.op("f32.sqrt");
      f.op("f32.div");
      f.op("f32x4.splat");
      f.set(factor);
      along(f, column, columns, [at, atWeight, atBias], [out, weight, bias], (lanes) => {
        lanes.load(at);
        f.get(mean);
        f.op("f32x4.sub");
        f.get(factor);
        f.op("f32x4.mul");
        lanes.load(atWeight);
        f.op("f32x4.mul");
        lanes.load(atBias);
        f.op("f32x4.add");
        f.set(value);
        lanes.store(at, value);
      });
      for (const start of [x, residual, out]) f.advance(start, columns * FLOAT);
    });
    return f.module();
  }

  function gelu(n) {
    const f = new Function(1, { i32: 2, v128: 6 });
    const [count, at] = f.i32, [x, z, t, value, power, sign] = f.v128;
    along(f, count, n, [at], [0], (lanes) => {
      lanes.load(at);
      f.op("local.tee", x);
      f.op("v128.const", Math.SQRT1_2);
      f.op("f32x4.mul");
      f.op("local.tee", sign);
      f.op("v128.const", ALL_BUT_SIGN);
      f.op("v128.and");
      f.set(z);
      f.op("v128.const", 1);
      f.get(z);
      f.op("v128.const", 0.3275911);
      f.op("f32x4.mul");
      f.op("v128.const", 1);
      f.op("f32x4.add");
      f.op("f32x4.div");
      f.set(t);
      f.op("v128.const", 0);
      f.get(z);
      f.get(z);
      f.op("f32x4.mul");
      f.op("f32x4.sub");
      f.set(value);
      exp(f, value, power);
      horner(f, t, ERF);
      f.get(t);
      f.op("f32x4.mul");
      f.op("f32x4.mul");
      f.set(value);
      f.op("v128.const", 1);
      f.get(value);
      f.op("f32x4.sub");
      f.get(sign);
      f.get(z);
      f.op("v128.xor");
      f.op("v128.or");
      f.op("v128.const", 1);
      f.op("f32x4.add");
      f.get(x);
      f.op("f32x4.mul");
      f.op("v128.const", 0.5);
      f.op("f32x4.mul");
      f.set(value);
      lanes.store(at, value);
    });
    return f.module();
  }

  function packing(k, n, nv, row, column = 1) {
    const f = new Function(2, { i32: 5, v128: 1 });
    const b = 0, packed = 1, [panels, steps, lanes, line, at] = f.i32, [nothing] = f.v128;
    for (const [columns, times] of parts(n, LANES * nv)) {
      f.loop(panels, times, () => {
        f.move(line, b);
        f.loop(steps, k, () => {
          f.move(at, line);
          for (let v = 0; v < Math.ceil(columns / LANES); v++) { f.get(packed); f.get(nothing); f.op("v128.store", v * VECTOR); }
          f.loop(lanes, columns, () => {
            f.get(packed);
            f.get(at);
            f.op("v128.load32_splat", 0);
            f.op("v128.store32_lane", 0, 0);
            f.advance(at, column * FLOAT);
            f.advance(packed, FLOAT);
          });
          if (columns % LANES) f.advance(packed, (LANES - (columns % LANES)) * FLOAT);
          f.advance(line, row * FLOAT);
        });
        f.advance(b, columns * column * FLOAT);
      });
    }
    return f.module();
  }

  /* ---- probes ---- */

  const CHAINS = 12, UNROLL = 8;

  function copying(vectors) {
    const f = new Function(2, { i32: 1 });
    f.loop(f.i32[0], Math.floor(vectors / UNROLL), () => {
      for (let step = 0; step < UNROLL; step++) { f.get(1); f.get(0); f.op("v128.load", step * VECTOR); f.op("v128.store", step * VECTOR); }
      f.advance(0, UNROLL * VECTOR);
      f.advance(1, UNROLL * VECTOR);
    });
    return f.module();
  }
  function computing(turns, relaxed = false) {
    const f = new Function(1, { i32: 1, v128: CHAINS + 1 });
    const sums = f.v128.slice(0, -1), factor = f.v128[CHAINS];
    f.op("v128.const", 0.999);
    f.set(factor);
    f.loop(f.i32[0], turns, () => {
      for (const total of sums) {
        f.get(total);
        f.get(factor);
        if (relaxed) { f.get(factor); f.op("f32x4.relaxed_madd"); }
        else { f.op("f32x4.mul"); f.get(factor); f.op("f32x4.add"); }
        f.set(total);
      }
    });
    for (const total of sums.slice(1)) { f.get(total); f.get(sums[0]); f.op("f32x4.add"); f.set(sums[0]); }
    f.get(0);
    f.get(sums[0]);
    f.op("v128.store", 0);
    return f.module();
  }
  const computingFlops = (turns) => 2 * LANES * CHAINS * turns;

  /* ---- bytes back into words, as disassembly.py ---- */

  function listing(code, innermost = false) {
    const names = new Map(Object.entries(OPCODES).map(([name, [bytes, follows]]) => [String(bytes), [name, follows]]));
    let at = 8;
    const number = (sign = false) => {
      let value = 0, shift = 0, byte;
      do {
        byte = code[at++];
        value |= (byte & 0x7f) << shift;
        shift += 7;
      } while (byte >= 0x80);
      return sign && byte & 0x40 && shift < 32 ? value | (-1 << shift) : sign ? value | 0 : value >>> 0;
    };
    const floats = (size) => {
      const taken = code.slice(at, at += size);
      const hex = [...taken].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const [first, ...others] = hex.match(/.{8}/g);
      if (others.some((other) => other !== first)) return hex;
      const value = new DataView(taken.buffer).getFloat32(0, true);
      return Number.isNaN(value) ? first : String(Number(value.toPrecision(6)));
    };
    const value = {
      u: () => String(number()),
      s: () => String(number(true)),
      m: () => { number(); const offset = number(); return offset ? `offset=${offset}` : ""; },
      b: () => { const byte = code[at++]; return byte === VOID ? "" : String(byte); },
      f: () => floats(4),
      v: () => floats(16),
    };
    while (code[at] !== 10) { at += 1; const length = number(); at += length; }
    at += 1;
    for (let i = 0; i < 3; i++) number(); // lengths, and how many functions
    for (let types = number(); types > 0; types--) { number(); at += 1; }
    const lines = [];
    let depth = 0;
    while (at < code.length) {
      const first = at++;
      if (code[first] === 0xfd) number();
      const [name, follows] = names.get(String([...code.slice(first, at)]));
      const said = [...follows].map((kind) => value[kind]()).filter(Boolean);
      if (name === "end") depth -= 1;
      if (depth >= 0) lines.push("  ".repeat(depth) + [name, ...said].join(" "));
      if (name === "loop") depth += 1;
    }
    const deep = (line) => line.length - line.trimStart().length;
    const loops = lines.filter((line) => line.trim() === "loop");
    if (!innermost || !loops.length) return lines;
    const deepest = Math.max(...loops.map(deep));
    const after = lines.slice(lines.findIndex((line) => line.trim() === "loop" && deep(line) === deepest) + 1);
    const until = after.findIndex((line) => deep(line) <= deepest);
    return after.slice(0, until).map((line) => line.trim());
  }

  return { Function, listing, product, pack, softmax, layerNorm, gelu, packing, copying, computing, computingFlops };
})();
