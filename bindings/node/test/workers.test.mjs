// Worker threads: one process, one global pool, one module for each.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { KiB, MiB, collect, isAll, neverTransfers, slabuf } from './support.mjs';

const INDEX = JSON.stringify(new URL('../index.js', import.meta.url).pathname);

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

test('what a worker holds comes back when it ends, and when it is ended', async () => {
  await collect(undefined, 5);
  slabuf.pool().trim();
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
});

test('a buffer goes to a worker as a copy, never by transfer', async () => {
  for (const length of [100, 100_000]) {
    const buffer = slabuf.alloc(length).fill(5);
    const echo = worker("parentPort.once('message', (bytes) => parentPort.postMessage(bytes.fill(6)));");
    neverTransfers(() => echo.postMessage(buffer, [buffer.buffer]));
    assert.ok(isAll(buffer, 5));
    echo.postMessage(buffer);
    const [back] = await once(echo, 'message');
    await echo.exited;
    assert.ok(back.length === length && isAll(back, 6));
    assert.ok(isAll(buffer, 5));
  }
});

test('a pool of a worker is closed with it', async () => {
  await collect(undefined, 5);
  const before = slabuf.memoryUsage().external;
  const body = `const pool = slabuf.pool({ limit: 8 << 20 }); globalThis.held = [pool.alloc(100), pool.alloc(${64 * KiB})];`;
  for (let i = 0; i < 10; i++) assert.equal(await worker(body).exited, 0);
  assert.ok(slabuf.memoryUsage().external - before < MiB);
});
