// Compiled by `npm run types`, if TypeScript is installed; never run. Every function is used as it
// is meant to be, and each @ts-expect-error marks a mistake that the types must refuse.

import * as slabuf from '../..';

const options: slabuf.PoolOptions = { limit: 1 << 20, slabSize: 8192, zeroOnFree: true, zeroFill: false, cacheLimit: 0 };
const pool: slabuf.Pool = slabuf.pool(options);
slabuf.pool();

const buffers: Buffer[] = [
  slabuf.alloc(5), slabuf.alloc(5, 0), slabuf.alloc(5, 'ab'), slabuf.alloc(5, '00ff', 'hex'), slabuf.alloc(5, Buffer.from('x')),
  slabuf.allocUnsafe(5), slabuf.allocUnsafeSlow(5),
  slabuf.from('text'), slabuf.from('00ff', 'hex'), slabuf.from([1, 2]), slabuf.from(new Uint8Array(5)),
  slabuf.from(new ArrayBuffer(8), 2, 4), slabuf.from(new SharedArrayBuffer(8)), slabuf.from(new String('text')),
  slabuf.concat([Buffer.alloc(1), new Uint8Array(2)]), slabuf.concat([], 0),
  pool.alloc(5, 'ab', 'latin1'), pool.allocUnsafe(5), pool.allocUnsafeSlow(5), pool.from('text'), pool.concat([]),
];

const budget: slabuf.Budget = new slabuf.Budget(64 << 20);
const tenant: slabuf.Pool = slabuf.pool({ ...options, budget });
const shared: slabuf.BudgetUsage = budget.usage();

async function waits(): Promise<Buffer> {
  const controller = new AbortController();
  await pool.allocAsync(5);
  await pool.allocAsync(5, { timeout: 100, signal: controller.signal });
  await pool.allocUnsafeAsync(5, {});
  await pool.allocTimeout(5, 100);
  return pool.allocUnsafeTimeout(5, 100);
}

const { external, arrayBuffers, inUse, cached, slabsEmpty, slabsPartial, slabsFull, largeLive, largeCached } = pool.usage();
const { externalPeak, waiters, refused, timedOut } = tenant.usage();
const { rss, heapTotal, heapUsed, leaked } = slabuf.memoryUsage();
const counters: number[] = [
  external, arrayBuffers, inUse, cached, slabsEmpty, slabsPartial, slabsFull, largeLive, largeCached,
  rss, heapTotal, heapUsed, leaked, slabuf.trim(), pool.trim(), slabuf.usage().inUse,
  externalPeak, waiters, refused, timedOut, pool.limit, tenant.available, budget.trim(), slabuf.trimAll(),
  shared.limit, shared.mapped, shared.peak, shared.pools, shared.waiters, shared.refused, shared.timedOut,
];

function scoped(): number {
  using limit = new slabuf.Budget(1 << 20);
  using scratch = slabuf.pool({ budget: limit });
  return scratch.alloc(5).length;
}
pool.close();
budget.close();

// @ts-expect-error a length is a number
slabuf.alloc('5');
// @ts-expect-error an option that does not exist
slabuf.pool({ limt: 5 });
// @ts-expect-error a budget is an object that pools share
slabuf.pool({ budget: 1 << 20 });
// @ts-expect-error what is left changes with allocations only
pool.available = 5;
// @ts-expect-error the parts are bytes
slabuf.concat(['text']);
// @ts-expect-error the global pool has no limit to wait for
slabuf.allocAsync(5);
// @ts-expect-error counters cannot be undefined
const nothing: undefined = pool.usage().inUse;

export { buffers, counters, nothing, scoped, waits };
