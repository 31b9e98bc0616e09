// Budgets: a limit that several pools share.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Worker } from 'node:worker_threads';
import { INDEX, KiB, MiB, backingStores, collect, isAll, run, slabuf, turn } from './support.mjs';

/** A budget of 4 MiB and two of its pools. The first holds 3 MiB. */
function filled() {
  const budget = new slabuf.Budget(4 * MiB);
  const [first, second] = [slabuf.pool({ budget }), slabuf.pool({ budget })];
  return { budget, first, second, held: [first.alloc(3 * MiB)] };
}

test('beyond the budget an allocation is an Error that names both numbers', () => {
  const { budget, second, held } = filled();
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow']) {
    assert.throws(() => second[name](2 * MiB), (error) => {
      assert.ok(error instanceof Error && !(error instanceof RangeError));
      assert.equal(error.code, 'ERR_SLABUF_BUDGET');
      assert.match(error.message, /2097152 bytes.*budget.*4194304 bytes.*in use/);
      return true;
    });
  }
  assert.equal(second.alloc(MiB / 2).length, MiB / 2);
  assert.equal(slabuf.pool().alloc(8 * MiB).length, 8 * MiB);
  assert.equal(budget.usage().refused, 3);
  assert.equal(held[0].length, 3 * MiB);
});

test('the counters of the budget and its pools', async () => {
  const { budget, first, second, held } = filled();
  assert.throws(() => second.alloc(2 * MiB), { code: 'ERR_SLABUF_BUDGET' });
  await assert.rejects(second.allocTimeout(2 * MiB, 5), { code: 'ERR_SLABUF_TIMEOUT' });
  const { waiters, refused, timedOut, externalPeak } = second.usage();
  assert.deepEqual({ waiters, refused, timedOut, externalPeak }, { waiters: 0, refused: 1, timedOut: 1, externalPeak: 0 });
  assert.equal(first.usage().timedOut, 0);
  assert.ok(first.usage().externalPeak >= 3 * MiB);
  const { mapped, peak, ...others } = budget.usage();
  assert.deepEqual(others, { limit: 4 * MiB, pools: 2, waiters: 0, refused: 1, timedOut: 1 });
  assert.ok(mapped === first.usage().external && peak >= mapped && peak <= 4 * MiB);

  const controller = new AbortController();
  const requests = [second.allocAsync(2 * MiB, { signal: controller.signal }), first.allocAsync(2 * MiB, { signal: controller.signal })];
  assert.equal(budget.usage().waiters, 2);
  assert.deepEqual([first.usage().waiters, second.usage().waiters], [1, 1]);
  controller.abort(new Error('enough'));
  for (const request of requests) await assert.rejects(request, /enough/);
  // A request that the program gave up has not timed out.
  assert.deepEqual([budget.usage().waiters, budget.usage().timedOut], [0, 1]);
  assert.equal(held[0].length, 3 * MiB);
});

test('limit and available', async () => {
  const budget = new slabuf.Budget(4 * MiB);
  const [limited, other] = [slabuf.pool({ budget, limit: MiB }), slabuf.pool({ budget })];
  const free = slabuf.pool();
  assert.deepEqual([limited.limit, other.limit, free.limit], [MiB, Infinity, Infinity]);
  assert.deepEqual([limited.available, other.available, free.available], [MiB, 4 * MiB, Infinity]);
  let held = other.alloc(7 * MiB / 2);
  assert.deepEqual([limited.available, other.available], [MiB / 2, MiB / 2]);
  assert.equal(held.length, 7 * MiB / 2);
  held = null;
  await collect(() => other.available === 4 * MiB);
  assert.deepEqual([limited.available, other.available], [MiB, 4 * MiB]);
});

test('what one pool caches is released for another', async () => {
  const { budget, first, second, held } = filled();
  held.length = 0;
  await collect(() => first.usage().inUse === 0);
  assert.ok(first.usage().cached >= 3 * MiB);
  assert.equal(second.alloc(3 * MiB).length, 3 * MiB);
  assert.equal(first.usage().cached, 0);
  assert.ok(budget.usage().peak <= 4 * MiB);
});

test('trim of a budget, and of all pools', async () => {
  const { budget, first, second, held } = filled();
  const other = slabuf.pool();
  held.push(second.alloc(100_000), other.alloc(100_000));
  const kept = held.pop();
  held.length = 0;
  await collect(() => budget.usage().mapped > 0 && first.usage().inUse + second.usage().inUse === 0);
  assert.ok(budget.trim() >= 3 * MiB);
  assert.equal(budget.usage().mapped, 0);
  first.alloc(100_000);
  await collect(() => first.usage().inUse === 0);
  assert.ok(slabuf.trimAll() >= 100_000);
  assert.equal(budget.usage().mapped, 0);
  assert.equal(other.usage().inUse, kept.length);
});

test('a request waits for memory of another pool, and the event loop goes on', async () => {
  for (const name of ['allocAsync', 'allocUnsafeAsync', 'allocTimeout', 'allocUnsafeTimeout']) {
    const { budget, first, second, held } = filled();
    let granted = null;
    const wait = name.endsWith('Timeout') ? [1e6] : [];
    const request = second[name](2 * MiB, ...wait).then((buffer) => (granted = buffer));
    for (let i = 0; i < 20; i++) await turn();
    assert.equal(granted, null);
    assert.deepEqual([budget.usage().waiters, first.usage().waiters, second.usage().waiters], [1, 0, 1]);
    held.length = 0;
    await collect(() => granted !== null);
    await request;
    assert.equal(granted.length, 2 * MiB);
    if (!name.includes('Unsafe')) assert.ok(isAll(granted, 0));
    assert.equal(budget.usage().waiters, 0);
  }
});

test('requests of several pools are served in their order', async () => {
  const { first, second, held } = filled();
  const order = [];
  const requests = [second, first, second, first].map((pool, number) => pool.allocAsync(3 * MiB).then((buffer) => {
    order.push(number);
    return buffer.length;
  }));
  held.length = 0;
  await collect(() => order.length === 4, 500);
  assert.deepEqual(await Promise.all(requests), Array(4).fill(3 * MiB));
  assert.deepEqual(order, [0, 1, 2, 3]);
});

test('a length that can never fit rejects at once', async () => {
  const { second } = filled();
  await assert.rejects(second.allocAsync(5 * MiB), { code: 'ERR_SLABUF_BUDGET' });
  await assert.rejects(second.allocTimeout(5 * MiB, 1e9), { code: 'ERR_SLABUF_BUDGET' });
});

test('a budget full of garbage serves its pools without gc()', async () => {
  const budget = new slabuf.Budget(4 * MiB);
  const pools = [slabuf.pool({ budget }), slabuf.pool({ budget }), slabuf.pool({ budget, limit: MiB })];
  for (let i = 0; i < 600; i++) (await pools[i % 3].allocAsync(64 * KiB))[0] = 1;
  assert.ok(budget.usage().peak <= 4 * MiB && budget.usage().peak > 3 * MiB);
});

test('close rejects what waits in a pool, and the next pool is served', async () => {
  const { first, second, held } = filled();
  const third = first.allocAsync(3 * MiB);
  const fourth = second.allocAsync(2 * MiB);
  first.close();
  await assert.rejects(third, { code: 'ERR_SLABUF_CLOSED' });
  held.length = 0;
  let granted = null;
  fourth.then((buffer) => (granted = buffer));
  await collect(() => granted !== null);
  assert.equal((await fourth).length, 2 * MiB);
});

test('a budget closed before its pools still holds for them', async () => {
  const { budget, first, second, held } = filled();
  budget.close();
  budget.close();
  assert.throws(() => second.alloc(2 * MiB), { code: 'ERR_SLABUF_BUDGET' });
  const closed = { code: 'ERR_SLABUF_CLOSED' };
  assert.throws(() => budget.usage(), closed);
  assert.throws(() => budget.trim(), closed);
  assert.throws(() => slabuf.pool({ budget }), closed);
  assert.equal(inspect(budget), 'Budget { closed }');
  assert.match(inspect(first), /budget: 4 MiB/);
  held.length = 0;
  let granted = null;
  const request = second.allocAsync(2 * MiB).then((buffer) => (granted = buffer));
  await collect(() => granted !== null);
  await request;
});

test('a budget that was collected before its pools still holds for them', async () => {
  const withoutBudget = () => {
    const budget = new slabuf.Budget(4 * MiB);
    return [new WeakRef(budget), slabuf.pool({ budget }), slabuf.pool({ budget })];
  };
  const [collected, first, second] = withoutBudget();
  // Without a condition, because deref keeps its object until the end of the turn.
  await collect(undefined, 10);
  assert.equal(collected.deref(), undefined);
  const held = first.alloc(3 * MiB);
  assert.throws(() => second.alloc(2 * MiB), { code: 'ERR_SLABUF_BUDGET' });
  assert.equal(held.length, 3 * MiB);
});

test('Symbol.dispose closes a budget', { skip: typeof Symbol.dispose !== 'symbol' }, () => {
  const budget = new slabuf.Budget(MiB);
  budget[Symbol.dispose]();
  assert.throws(() => budget.usage(), { code: 'ERR_SLABUF_CLOSED' });
});

test('a budget shows its counters with units', () => {
  const { budget, first, held } = filled();
  const text = inspect(budget);
  for (const part of [/^Budget \{/, /limit: 4 MiB/, /mapped: 3 MiB/, /peak: 3 MiB/, /pools: 2/, /waiters: 0/, /refused: 0/, /timedOut: 0/]) {
    assert.match(text, part);
  }
  assert.match(inspect(budget.usage()), /^BudgetUsage \{[^]*limit: 4 MiB/);
  assert.match(inspect(first.usage()), /externalPeak: 3 MiB[^]*refused: 0/);
  assert.match(inspect(first), /limit: none[^]*budget: 4 MiB/);
  assert.ok(Object.values(budget.usage()).every((value) => typeof value === 'number'));
  assert.equal(held[0].length, 3 * MiB);
});

test('bad budgets', () => {
  for (const bytes of [undefined, null, '5', 5n, {}]) assert.throws(() => new slabuf.Budget(bytes), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
  for (const bytes of [-1, 1.5, NaN, Infinity]) assert.throws(() => new slabuf.Budget(bytes), { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' });
  assert.throws(() => slabuf.Budget(MiB), TypeError);
  for (const budget of [null, 5, 'x', {}, slabuf.pool(), Object.create(slabuf.Budget.prototype)]) {
    assert.throws(() => slabuf.pool({ budget }), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE', message: /budget must be a Budget/ });
  }
  const config = { name: 'RangeError', code: 'ERR_SLABUF_CONFIG' };
  assert.throws(() => slabuf.pool({ budget: new slabuf.Budget(32767) }), { ...config, message: /32768.*32767/ });
  const budget = new slabuf.Budget(MiB);
  assert.throws(() => slabuf.pool({ budget, limit: 2 * MiB }), { ...config, message: /1048576.*2097152/ });
  assert.throws(() => slabuf.pool({ budget, cacheLimit: 2 * MiB }), config);
  assert.equal(slabuf.pool({ budget, limit: MiB }).alloc(5).length, 5);
  assert.equal(slabuf.pool({ budget: undefined }).available, Infinity);
});

test('a worker that ends returns the memory that was sent to it, and a request gets it', { skip: !backingStores }, async () => {
  const { budget, first, second, held } = filled();
  const worker = new Worker(`
    const { parentPort } = require('node:worker_threads');
    parentPort.once('message', (memory) => {
      globalThis.held = memory;
      parentPort.postMessage(memory.byteLength);
      parentPort.once('message', () => {});
    });`, { eval: true });
  const exited = once(worker, 'exit');
  const { buffer } = held.pop();
  worker.postMessage(buffer, [buffer]);
  const [length] = await once(worker, 'message');
  assert.deepEqual([length, buffer.byteLength], [3 * MiB, 0]);
  let granted = null;
  const request = second.allocAsync(2 * MiB).then((memory) => (granted = memory));
  await collect(undefined, 10);
  assert.deepEqual([granted, budget.usage().waiters, first.usage().inUse], [null, 1, 3 * MiB]);
  worker.postMessage('end');
  await exited;
  await request;
  assert.equal(granted.length, 2 * MiB);
});

test('a budget of a worker is closed with it', { skip: !backingStores }, async () => {
  const body = (end) => `
    const slabuf = require(${INDEX});
    const budget = new slabuf.Budget(4 << 20);
    const pools = [slabuf.pool({ budget }), slabuf.pool({ budget })];
    globalThis.held = [budget, pools, pools[0].alloc(3 << 20)];
    pools[1].allocAsync(2 << 20).catch(() => {});
    require('worker_threads').parentPort.postMessage(budget.usage().waiters);
    ${end}`;
  await collect(undefined, 5);
  const before = slabuf.memoryUsage().external;
  for (const terminate of [false, true]) {
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(body(terminate ? '' : 'process.exit(0);'), { eval: true });
      const exited = once(worker, 'exit');
      const [waiters] = await once(worker, 'message');
      assert.equal(waiters, 1);
      if (terminate) await worker.terminate();
      await exited;
    }
  }
  assert.ok(slabuf.memoryUsage().external - before < MiB);
});

test('with Node-API, a request waits for memory of another pool', () => {
  const { stdout, stderr } = run(`
    const budget = new slabuf.Budget(4 << 20);
    const [first, second] = [slabuf.pool({ budget }), slabuf.pool({ budget })];
    globalThis.held = first.alloc(3 << 20);
    second.allocTimeout(2 << 20, 10).catch((error) => {
      console.log(error.code, budget.usage().timedOut);
      globalThis.held = null;
      return second.allocAsync(2 << 20);
    }).then((buffer) => console.log(buffer.length));`, { owner: 'Node-API' });
  assert.equal(stdout, 'ERR_SLABUF_TIMEOUT 1\n2097152\n', stderr);
});
