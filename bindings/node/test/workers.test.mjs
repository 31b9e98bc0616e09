// Worker threads: one process, one global pool, one module for each.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { INDEX, KiB, MiB, backingStores, collect, isAll, run, slabuf } from './support.mjs';

function worker(body) {
  const head = `const { parentPort } = require('node:worker_threads'); const slabuf = require(${INDEX});`;
  const thread = new Worker(`${head}\n${body}`, { eval: true });
  // Waited for from the start: a last message and the exit may come without a turn between them.
  return Object.assign(thread, { exited: once(thread, 'exit').then(([code]) => code) });
}

test('eight workers at once, each checks every byte of what it holds', async () => {
  const body = `
    const all = (buffer, byte) => buffer.equals(Buffer.alloc(buffer.length, byte));
    const held = [];
    for (let i = 0; i < 5000; i++) {
      const buffer = slabuf.alloc(1 + (i * 7919) % 20000);
      if (!all(buffer, 0)) throw new Error('not zero');
      held[i % 100] = { buffer: buffer.fill(i), byte: i & 0xff };
      const other = held[(i * 31) % held.length];
      if (!all(other.buffer, other.byte)) throw new Error('overwritten');
    }`;
  const codes = await Promise.all(Array.from({ length: 8 }, () => worker(body).exited));
  assert.deepEqual(codes, Array(8).fill(0));
});

test('what a worker holds is freed when it ends, and when it is terminated', { skip: !backingStores }, async () => {
  await collect(undefined, 5);
  const before = slabuf.memoryUsage().arrayBuffers;
  const hold = 'globalThis.held = Array.from({ length: 64 }, () => slabuf.alloc(1 << 20).fill(1));';
  const ends = worker(`${hold} parentPort.postMessage(slabuf.memoryUsage().arrayBuffers);`);
  const [during] = await once(ends, 'message');
  assert.ok(during - before >= 64 * MiB);
  assert.equal(await ends.exited, 0);
  assert.ok(slabuf.memoryUsage().arrayBuffers - before < MiB);

  const ended = worker(`${hold} parentPort.postMessage(1); setInterval(() => {}, 1000);`);
  await once(ended, 'message');
  assert.ok(slabuf.memoryUsage().arrayBuffers - before >= 64 * MiB);
  await ended.terminate();
  assert.ok(slabuf.memoryUsage().arrayBuffers - before < MiB);
  assert.equal(slabuf.memoryUsage().leaked, 0);
});

/** Terminates workers in the middle of `body`, and prints what each left behind. */
const TERMINATE = (body, count) => `
  const { Worker } = require('worker_threads');
  const { once } = require('events');
  async function one() {
    const head = "const slabuf = require(${INDEX.replaceAll('"', "'")}); require('worker_threads').parentPort.postMessage(1);";
    const worker = new Worker(head + ${JSON.stringify(body)}, { eval: true });
    await once(worker, 'message');
    await new Promise((resolve) => setTimeout(resolve, 5));
    await worker.terminate();
  }
  async function counters() {
    for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
    slabuf.trim();
    return slabuf.memoryUsage();
  }
  (async () => {
    for (let i = 0; i < 5; i++) await one();
    const before = await counters();
    for (let i = 0; i < ${count}; i++) await one();
    const after = await counters();
    const grown = (name) => Math.round((after[name] - before[name]) / ${count});
    console.log(JSON.stringify({ heap: grown('heapUsed'), buffers: grown('arrayBuffers'), leaked: grown('leaked') }));
  })();`;

const BODIES = {
  'that allocates large buffers': 'for (;;) slabuf.alloc(100_000);',
  'that allocates small buffers': 'for (;;) slabuf.alloc(100);',
  'with a pool of its own': 'const pool = slabuf.pool(); for (;;) pool.alloc(100_000);',
  'that waits for memory': `
    const pool = slabuf.pool({ limit: 1 << 20 });
    globalThis.held = pool.alloc(900_000);
    for (let i = 0; i < 10; i++) pool.allocAsync(500_000).catch(() => {});`,
};
for (const [name, body] of Object.entries(BODIES)) {
  test(`a terminated worker ${name} leaks next to nothing`, { skip: !backingStores }, () => {
    const { stdout, stderr } = run(TERMINATE(body, 25), { flags: ['--expose-gc'] });
    assert.notEqual(stdout, '', stderr);
    const { heap, buffers, leaked } = JSON.parse(stdout);
    assert.ok(heap < 16 * KiB && buffers < 16 * KiB && leaked === 0, stdout);
  });
}

test('with Node-API, a terminated worker leaks at most what it held, and counts it', () => {
  const body = 'globalThis.held = slabuf.alloc(1 << 20); setInterval(() => {}, 1000);';
  const { stdout, stderr } = run(TERMINATE(body, 10), { owner: 'Node-API', flags: ['--expose-gc'] });
  assert.notEqual(stdout, '', stderr);
  const { heap, buffers, leaked } = JSON.parse(stdout);
  // A worker may be terminated before it has allocated.
  assert.ok(leaked > 0 && leaked <= MiB && Math.abs(buffers - leaked) < 64 * KiB && heap < 64 * KiB, stdout);
});

test('a posted buffer is a copy', async () => {
  for (const length of [100, 100_000]) {
    const buffer = slabuf.alloc(length).fill(5);
    const echo = worker("parentPort.once('message', (bytes) => parentPort.postMessage(bytes.fill(6)));");
    echo.postMessage(buffer);
    const [back] = await once(echo, 'message');
    await echo.exited;
    assert.ok(back.length === length && isAll(back, 6));
    assert.ok(isAll(buffer, 5));
  }
});

test('a pool of a worker is closed with it', { skip: !backingStores }, async () => {
  await collect(undefined, 5);
  const before = slabuf.memoryUsage().external;
  const body = `const pool = slabuf.pool({ limit: 8 << 20 }); globalThis.held = [pool.alloc(100), pool.alloc(${64 * KiB})];`;
  for (let i = 0; i < 10; i++) assert.equal(await worker(body).exited, 0);
  assert.ok(slabuf.memoryUsage().external - before < MiB);
});
