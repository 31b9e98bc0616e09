'use strict';

// How util.inspect and console.log show pools and counters.

const { inspect } = require('node:util');

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Formats a number of bytes: `4 MiB`, `1.5 KiB`. */
function bytes(count) {
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(1))} ${UNITS[unit]}`;
}

/** A text that inspect shows without quotes. */
const plain = (text) => ({ [inspect.custom]: () => text });

const COUNTS = new Set(['slabsEmpty', 'slabsPartial', 'slabsFull', 'pools', 'waiters', 'refused', 'timedOut']);

function readable(counters) {
  return Object.fromEntries(
    Object.entries(counters).map(([name, value]) => [name, COUNTS.has(name) ? value : plain(bytes(value))]),
  );
}

function show(name, fields, options, inspectFunction) {
  return `${name} ${inspectFunction(fields, options)}`;
}

/** Counters of a pool. They are plain numbers; only inspect adds units. */
class PoolUsage {}

/** Counters of a budget. */
class BudgetUsage {}

/** Counters of the process. */
class MemoryUsage {}

for (const Usage of [PoolUsage, BudgetUsage, MemoryUsage]) {
  Object.defineProperty(Usage.prototype, inspect.custom, {
    value(depth, options, inspectFunction = inspect) {
      return depth < 0 ? `[${Usage.name}]` : show(Usage.name, readable(this), options, inspectFunction);
    },
  });
}

/** Formats a pool: its settings, and the counters that show how full it is. */
function inspectPool(settings, slabSize, usage, waiting, options, inspectFunction) {
  const { limit, budget, ...others } = settings;
  const { inUse, cached, external } = usage;
  const fields = {
    limit: limit === undefined ? plain('none') : plain(bytes(limit)),
    ...(budget === undefined ? {} : { budget: plain(bytes(budget)) }),
    ...others,
    slabSize: plain(bytes(slabSize)),
    ...readable({ inUse, cached, external }),
    waiting,
  };
  return show('Pool', fields, options, inspectFunction);
}

/** Formats a budget: its counters. */
function inspectBudget(usage, options, inspectFunction) {
  return show('Budget', readable(usage), options, inspectFunction);
}

module.exports = { inspectBudget, inspectPool, BudgetUsage, PoolUsage, MemoryUsage };
