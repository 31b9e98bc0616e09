'use strict';

// The module's functions: the global pool's, and those that are no pool's.

const native = require('./lib/native.js');
const { checkOptions } = require('./lib/arguments.js');
const { Budget, nativeOf } = require('./lib/budget.js');
const { MemoryUsage } = require('./lib/inspect.js');
const { Pool } = require('./lib/pool.js');

const DEFAULT_SLAB_SIZE = 8192;

const globalPool = new Pool(native.globalPool(), {}, DEFAULT_SLAB_SIZE);

function pool(options = {}) {
  const { budget, ...given } = checkOptions(options);
  const slabSize = given.slabSize ?? DEFAULT_SLAB_SIZE;
  if (budget === undefined) return new Pool(native.pool(given), given, slabSize);
  const shared = nativeOf(budget);
  return new Pool(shared.pool(given), { ...given, budget: shared.usage().limit }, slabSize);
}

const alloc = (length, fill, encoding) => globalPool.alloc(length, fill, encoding);
const allocUnsafe = (length) => globalPool.allocUnsafe(length);
const allocUnsafeSlow = (length) => globalPool.allocUnsafeSlow(length);
const from = (value, encodingOrOffset, length) => globalPool.from(value, encodingOrOffset, length);
const concat = (list, totalLength) => globalPool.concat(list, totalLength);
const usage = () => globalPool.usage();
const trim = () => globalPool.trim();
const trimAll = () => native.trimAll();
const memoryUsage = () => Object.assign(new MemoryUsage(), native.memoryUsage());

module.exports = {
  alloc, allocUnsafe, allocUnsafeSlow, from, concat, usage, trim, trimAll, pool, Budget, memoryUsage,
};
