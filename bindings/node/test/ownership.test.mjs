// An ArrayBuffer's memory lives as long as the last user of its backing store, wherever that moves.
//
// Each program runs in a process of its own, because its failure is a crash.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INDEX, OWNERS, run } from './support.mjs';

/** Moves a buffer's backing store to a new ArrayBuffer, as a byte stream does and by transfer(). */
const MOVE = `
  async function move(buffer) {
    if (typeof buffer.buffer.transfer === 'function') return new Uint8Array(buffer.buffer.transfer());
    const stream = new ReadableStream({ type: 'bytes', pull(controller) { controller.byobRequest.respond(1); } });
    const { value } = await stream.getReader({ mode: 'byob' }).read(buffer);
    return new Uint8Array(value.buffer);
  }`;

const WORKER = (send) => `
  const { parentPort } = require('worker_threads');
  const slabuf = require(${INDEX});
  ${MOVE}
  (async () => {
    for (const length of [100, 5000, 100_000, 3_000_000]) {
      const moved = await move(slabuf.alloc(length).fill(7));
      ${send}
    }
  })();`;

const MAIN = (send) => `
  const { Worker } = require('worker_threads');
  const held = [];
  const worker = new Worker(${JSON.stringify(WORKER(send))}, { eval: true });
  worker.on('message', (bytes) => held.push(bytes));
  worker.on('exit', () => {
    // Another owner must not get the same memory, and its pages must stay mapped.
    const others = held.flatMap((bytes) => Array.from({ length: 20 }, () => slabuf.alloc(bytes.length).fill(9)));
    slabuf.trim();
    const whole = held.every((bytes) => bytes.every((byte) => byte === 7));
    others.forEach((buffer) => buffer.fill(1));
    console.log(held.map((bytes) => bytes.length).join(), whole, held.every((bytes) => bytes[0] === 7));
    held.length = 0;
    for (let i = 0; i < 5; i++) gc();
  });`;

for (const owner of OWNERS) {
  test(`${owner}: memory that a worker has moved to the main thread outlives the worker`, () => {
    const { stdout, stderr, status, signal } = run(
      MAIN('parentPort.postMessage(moved, [moved.buffer]);'), { owner, flags: ['--expose-gc'] });
    assert.equal(`${stdout}${status}${signal}`, '100,5000,100000,3000000 true true\n0null', stderr);
  });

  test(`${owner}: a moved store that stays with its worker harms no other owner`, () => {
    const { stdout, stderr, status, signal } = run(
      MAIN('globalThis.held = moved; parentPort.postMessage(Uint8Array.from(moved));'), { owner, flags: ['--expose-gc'] });
    assert.equal(`${stdout}${status}${signal}`, '100,5000,100000,3000000 true true\n0null', stderr);
  });

  test(`${owner}: within one thread too, a moved store keeps its memory`, () => {
    const { stdout, stderr, status } = run(`${MOVE}
      (async () => {
        const moved = [];
        for (const length of [100, 100_000]) moved.push(await move(slabuf.alloc(length).fill(7)));
        for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate); }
        slabuf.trim();
        const others = moved.map((bytes) => slabuf.alloc(bytes.length).fill(9));
        console.log(moved.every((bytes) => bytes.every((byte) => byte === 7)), others.length);
      })();`, { owner, flags: ['--expose-gc'] });
    assert.equal(`${stdout}${status}`, 'true 2\n0', stderr);
  });

  test(`${owner}: a process ends well while buffers are alive`, () => {
    for (const end of ['', 'process.exit(0);', 'process.reallyExit(0);']) {
      const { stderr, status, signal } = run(`
        globalThis.held = [1, 100, 5000, 100_000].flatMap((n) => [slabuf.alloc(n), slabuf.allocUnsafe(n)]);
        ${end}`, { owner });
      assert.deepEqual([status, signal], [0, null], stderr);
    }
  });
}

test('a process ends well while buffers that are marked as untransferable are alive', { skip: OWNERS.length === 1 }, () => {
  const { stderr, status, signal } = run(`
    const { markAsUntransferable } = require('worker_threads');
    globalThis.held = [1, 100, 5000, 100_000].flatMap((n) => [slabuf.alloc(n), slabuf.allocUnsafe(n)]);
    held.forEach((buffer) => markAsUntransferable(buffer.buffer));`);
  assert.deepEqual([status, signal], [0, null], stderr);
});

test('a worker ends well while buffers that are marked as untransferable are alive', { skip: OWNERS.length === 1 }, () => {
  const { stdout, stderr, status } = run(`
    const { Worker } = require('worker_threads');
    new Worker(\`
      globalThis.held = [1, 100, 5000].map(require(${INDEX}).alloc);
      held.forEach((buffer) => require('worker_threads').markAsUntransferable(buffer.buffer));
    \`, { eval: true }).on('exit', (code) => console.log('exit', code));`);
  assert.equal(`${stdout}${status}`, 'exit 0\n0', stderr);
});

for (const owner of OWNERS) {
  test(`${owner}: what a byte stream detaches is one buffer of alloc, and no other`, () => {
    const { stdout, stderr } = run(`
      (async () => {
        for (const make of ['alloc', 'allocUnsafeSlow']) {
          const buffers = Array.from({ length: 3 }, () => slabuf[make](100).fill(5));
          let source;
          const stream = new ReadableStream({ type: 'bytes', start(controller) { source = controller; } });
          const reader = stream.getReader({ mode: 'byob' });
          const read = reader.read(buffers[0]);
          source.enqueue(buffers[1]);
          const { value } = await read;
          console.log(value.length, value[0], buffers.map((buffer) => buffer.length).join());
        }
      })();`, { owner });
    assert.equal(stdout, '100 5 0,0,100\n100 5 0,0,100\n', stderr);
  });

  test(`${owner}: after a shared slab was detached, allocUnsafe goes on with another`, () => {
    const { stdout, stderr } = run(`
      const first = slabuf.allocUnsafe(100);
      try { first.buffer.transfer?.(); } catch {}
      try { structuredClone(first, { transfer: [first.buffer] }); } catch {}
      console.log(slabuf.allocUnsafe(100).fill(1).length, slabuf.from('text').toString());`, { owner });
    assert.equal(stdout, '100 text\n', stderr);
  });
}
