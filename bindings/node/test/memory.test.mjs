// Where the memory is, and when it comes back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KiB, MiB, collect, isAll, run, slabuf, turn } from './support.mjs';

/** Each in a function of its own, so that nothing of it is left on the stack. */
function hold(pool, count, length) {
  return Array.from({ length: count }, () => pool.allocUnsafeSlow(length));
}

test('the memory is the pool\'s, and the collector gives it back', async () => {
  // A limit, because the trim at the end must reach what V8's own threads have freed.
  const pool = slabuf.pool({ limit: 1024 * MiB });
  for (const [length, slot] of [[100, 112], [4096, 4096], [64 * KiB, 64 * KiB], [MiB, MiB]]) {
    let held = hold(pool, 50, length);
    const { inUse, external, arrayBuffers } = pool.usage();
    assert.equal(inUse, 50 * slot);
    assert.ok(inUse <= arrayBuffers && arrayBuffers <= external);
    assert.ok(slabuf.memoryUsage().arrayBuffers >= arrayBuffers);
    held = held.slice(0, 1);
    await collect(() => pool.usage().inUse === slot);
    assert.equal(pool.usage().inUse, slot);
    held = null;
    await collect(() => pool.usage().inUse === 0);
    assert.equal(pool.usage().inUse, 0);
  }
  assert.ok(pool.trim() > 0);
  assert.equal(pool.usage().external, 0);
});

test('a view keeps the memory, when the buffer itself is gone', async () => {
  for (const length of [100, 5000, 100_000]) {
    const pool = slabuf.pool({ zeroOnFree: true });
    let view = (() => pool.alloc(length).fill(7).subarray(10, 90))();
    await collect(undefined, 5);
    for (let i = 0; i < 100; i++) pool.allocUnsafeSlow(length).fill(1);
    assert.ok(isAll(view, 7));
    view = null;
    pool.trim();
    await collect(() => pool.usage().inUse === 0);
    assert.equal(pool.usage().inUse, 0);
  }
});

test('small buffers of allocUnsafe share a slab, which is freed with the last of them', async () => {
  const pool = slabuf.pool({ zeroFill: true });
  let held = Array.from({ length: 8 }, () => pool.allocUnsafe(1000));
  assert.equal(new Set(held.map((buffer) => buffer.buffer)).size, 1);
  assert.equal(pool.usage().inUse, 8192);
  held = held.slice(3, 4);
  pool.trim();
  await collect(undefined, 3);
  assert.equal(pool.usage().inUse, 8192);
  assert.ok(isAll(held[0], 0));
  held = null;
  await collect(() => pool.usage().inUse === 0);
  assert.equal(pool.usage().inUse, 0);
});

test('allocUnsafe shares up to half a slab; alloc and allocUnsafeSlow never share', () => {
  for (const slabSize of [4096, 8192, 65536]) {
    const pool = slabuf.pool({ slabSize });
    const [one, two] = [pool.allocUnsafe(slabSize / 2), pool.allocUnsafe(slabSize / 2)];
    assert.equal(one.buffer, two.buffer);
    assert.equal(two.byteOffset - one.byteOffset, slabSize / 2);
    assert.equal(pool.allocUnsafe(slabSize / 2 + 1).buffer.byteLength, slabSize / 2 + 1);
    for (const length of [1, 5, 100, slabSize / 2]) {
      assert.equal(pool.alloc(length).buffer.byteLength, length);
      assert.equal(pool.alloc(length, 'ab').buffer.byteLength, length);
      assert.equal(pool.allocUnsafeSlow(length).buffer.byteLength, length);
    }
  }
});

test('a pool may go before its buffers', async () => {
  let buffer = (() => slabuf.pool().alloc(100_000).fill(3))();
  await collect(undefined, 5);
  assert.ok(isAll(buffer, 3));
  const before = slabuf.memoryUsage().external;
  buffer = null;
  await collect(() => slabuf.memoryUsage().external < before);
  assert.ok(before - slabuf.memoryUsage().external >= 100_000);
});

test('V8 counts the bytes of each buffer once, as external and not as arrayBuffers', async () => {
  const pool = slabuf.pool();
  const count = 64;
  await collect(undefined, 5);
  const before = process.memoryUsage();
  let held = hold(pool, count, MiB);
  const during = process.memoryUsage();
  const grown = during.external - before.external;
  assert.ok(grown >= count * MiB && grown < (count + 1) * MiB, `external grew by ${grown}`);
  assert.ok(during.arrayBuffers - before.arrayBuffers < MiB, 'Node counts its own allocator alone there');
  assert.ok(during.heapUsed - before.heapUsed < MiB, 'and none of it is in the heap');
  held = null;
  await collect(() => process.memoryUsage().external - before.external < MiB);
  const after = process.memoryUsage().external - before.external;
  assert.ok(Math.abs(after) < MiB, `external is back to within ${after}`);
});

test('buffers that die young cause no more full collections than Node\'s own', () => {
  const collections = (maker) => {
    const { stdout, status, stderr } = run(`
      let count = 0;
      const some = () => {
        for (let i = 0; i < 8; i++) ${maker}.allocUnsafe(1 << 20)[0] = 1;
        if (++count < 100) setImmediate(some);
      };
      some();`, { flags: ['--trace-gc'] });
    assert.equal(status, 0, stderr);
    const number = (pattern) => stdout.match(pattern)?.length ?? 0;
    return { young: number(/Scavenge/g), full: number(/Mark-Compact/g) };
  };
  const [ours, nodes] = [collections('slabuf'), collections('Buffer')];
  // Some versions of V8 scavenge, others mark.
  assert.ok(ours.young + ours.full > 5 && ours.full <= 2 * nodes.full + 3, JSON.stringify({ ours, nodes }));
});

test('10,000 cycles leak nothing', async () => {
  const pool = slabuf.pool({ limit: 1024 * MiB });
  const lengths = [1, 100, 4000, 4096, 8192, 8193, 64 * KiB, 200_000];
  const cycles = async (count) => {
    for (let i = 0; i < count; i++) {
      pool.alloc(lengths[i % lengths.length]).fill(1);
      pool.allocUnsafeSlow(lengths[(i + 3) % lengths.length]).fill(2);
      if (i % 50 === 49) await turn();
    }
    pool.trim();
    await collect(() => pool.usage().inUse === 0);
    assert.equal(pool.usage().inUse, 0);
    pool.trim();
    assert.equal(pool.usage().external, 0);
    const { rss, heapUsed } = slabuf.memoryUsage();
    return { rss, heapUsed, inV8: process.memoryUsage().heapUsed };
  };
  await cycles(10_000);
  const before = await cycles(10_000);
  const after = await cycles(10_000);
  // A hundred bytes for each would be 2 MB; the buffers themselves are some 700 MB.
  for (const counter of ['heapUsed', 'inV8']) {
    assert.ok(after[counter] - before[counter] < MiB, `${counter} grew by ${after[counter] - before[counter]}`);
  }
  assert.ok(after.rss - before.rss < 32 * MiB, `rss grew by ${after.rss - before.rss}`);
});
