// Requests that wait for memory do so without blocking the event loop.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { INDEX, KiB, MiB, collect, isAll, run, slabuf, turn } from './support.mjs';

/** Fills a pool of 4 MiB with three live buffers of 1 MiB, so that no other fits. */
function full() {
  const pool = slabuf.pool({ limit: 4 * MiB });
  const held = [];
  try {
    for (;;) held.push(pool.alloc(MiB));
  } catch (error) {
    assert.equal(error.code, 'ERR_SLABUF_LIMIT');
  }
  return { pool, held };
}

test('a request that fits is granted', async () => {
  for (const pool of [slabuf.pool(), slabuf.pool({ limit: 16 * MiB })]) {
    for (const length of [0, 1, 100, 5000, MiB]) {
      for (const name of ['allocAsync', 'allocUnsafeAsync']) assert.equal((await pool[name](length)).length, length);
      for (const name of ['allocTimeout', 'allocUnsafeTimeout']) assert.equal((await pool[name](length, 0)).length, length);
    }
    assert.ok(isAll(await pool.allocAsync(5000), 0));
  }
});

test('a request waits until memory is freed, and the event loop goes on', async () => {
  const { pool, held } = full();
  let granted = null;
  const request = pool.allocAsync(MiB).then((buffer) => (granted = buffer));
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(granted, null);
  held.pop();
  await collect(() => granted !== null);
  await request;
  assert.ok(granted.length === MiB && isAll(granted, 0));
});

test('a pool full of garbage serves a request without gc()', async () => {
  const pool = slabuf.pool({ limit: 4 * MiB });
  for (let i = 0; i < 1000; i++) (await pool.allocAsync(64 * KiB))[0] = 1;
});

test('requests are served in their order', async () => {
  const { pool, held } = full();
  const order = [];
  const requests = [1, 2, 3, 4].map((number) => pool.allocUnsafeAsync(MiB).then((buffer) => {
    order.push(number);
    // Not kept, so that the next request gets its turn.
    return buffer.length;
  }));
  held.length = 0;
  await collect(() => order.length === 4, 500);
  assert.deepEqual(await Promise.all(requests), [MiB, MiB, MiB, MiB]);
  assert.deepEqual(order, [1, 2, 3, 4]);
});

test('a request whose time is over rejects, and leaves the queue', async () => {
  const { pool, held } = full();
  await assert.rejects(pool.allocTimeout(MiB, 20), (error) => {
    assert.equal(error.code, 'ERR_SLABUF_TIMEOUT');
    assert.match(error.message, /1048576 bytes.*20 ms/);
    return true;
  });
  await assert.rejects(pool.allocAsync(MiB, { timeout: 0 }), { code: 'ERR_SLABUF_TIMEOUT' });
  held.length = 0;
  let granted = null;
  const request = pool.allocAsync(MiB).then((buffer) => (granted = buffer));
  await collect(() => granted !== null);
  await request;
});

test('a request can be aborted', async () => {
  const { pool } = full();
  const controller = new AbortController();
  const request = pool.allocAsync(MiB, { signal: controller.signal });
  setImmediate(() => controller.abort(new Error('enough')));
  await assert.rejects(request, /enough/);
  await assert.rejects(pool.allocAsync(MiB, { signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('a length that can never fit rejects at once', async () => {
  const pool = slabuf.pool({ limit: 4 * MiB });
  await assert.rejects(pool.allocAsync(5 * MiB), { code: 'ERR_SLABUF_LIMIT' });
  await assert.rejects(pool.allocTimeout(5 * MiB, 1e9), { code: 'ERR_SLABUF_LIMIT' });
});

test('close rejects what waits', async () => {
  const { pool } = full();
  const requests = [pool.allocAsync(MiB), pool.allocTimeout(MiB, 1e6)];
  setImmediate(() => pool.close());
  for (const request of requests) await assert.rejects(request, { code: 'ERR_SLABUF_CLOSED' });
  await assert.rejects(pool.allocAsync(5), { code: 'ERR_SLABUF_CLOSED' });
});

test('a waiting request keeps the process running, a finished one does not', () => {
  const { stdout, status, stderr } = run(`
    const pool = slabuf.pool({ limit: 4 << 20 });
    globalThis.held = [pool.alloc(3 << 20)];
    pool.allocTimeout(2 << 20, 50).catch((error) => {
      console.log(error.code);
      held.length = 0;
      return pool.allocAsync(2 << 20);
    }).then((buffer) => console.log(buffer.length));`);
  assert.equal(`${stdout}${status}`, 'ERR_SLABUF_TIMEOUT\n2097152\n0', stderr);
});

test('waiting workers of one process do not disturb each other', async () => {
  const body = `
    const slabuf = require(${INDEX});
    (async () => {
      const pool = slabuf.pool({ limit: 1 << 20 });
      for (let i = 0; i < 100; i++) (await pool.allocAsync(200_000)).fill(i);
      require('worker_threads').parentPort.postMessage('done');
    })();`;
  const workers = [1, 2, 3].map(() => new Worker(body, { eval: true }));
  await Promise.all(workers.map(async (worker) => {
    const exited = once(worker, 'exit');
    const [message] = await once(worker, 'message');
    assert.equal(message, 'done');
    assert.equal((await exited)[0], 0);
  }));
});
