'use strict';

// The module's functions: the global pool's, and those that are no pool's.

const native = require('./lib/native.js');
const { checkOptions } = require('./lib/arguments.js');
const { MemoryUsage } = require('./lib/inspect.js');
const { Pool } = require('./lib/pool.js');

const DEFAULT_SLAB_SIZE = 8192;

const globalPool = new Pool(native.globalPool(), {}, DEFAULT_SLAB_SIZE);

function pool(options = {}) {
  const given = checkOptions(options);
  return new Pool(native.pool(given), given, given.slabSize ?? DEFAULT_SLAB_SIZE);
}

const alloc = (length, fill, encoding) => globalPool.alloc(length, fill, encoding);
const allocUnsafe = (length) => globalPool.allocUnsafe(length);
const allocUnsafeSlow = (length) => globalPool.allocUnsafeSlow(length);
const from = (value, encodingOrOffset, length) => globalPool.from(value, encodingOrOffset, length);
const concat = (list, totalLength) => globalPool.concat(list, totalLength);
const usage = () => globalPool.usage();
const trim = () => globalPool.trim();
const memoryUsage = () => Object.assign(new MemoryUsage(), native.memoryUsage());

module.exports = {
  alloc, allocUnsafe, allocUnsafeSlow, from, concat, usage, trim, pool, memoryUsage,
};
