'use strict';

// Budgets: a limit that several pools share.

const { inspect } = require('node:util');
const native = require('./native.js');
const { checkBytes, failure } = require('./arguments.js');
const { inspectBudget, BudgetUsage } = require('./inspect.js');

/** Returns the native half of a budget that is not closed. */
let nativeOf;

class Budget {
  /** Null after `close`. */
  #native;

  static {
    nativeOf = (budget) => {
      if (typeof budget !== 'object' || budget === null || !(#native in budget)) {
        throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', 'budget must be a Budget of this module');
      }
      return budget.#open();
    };
  }

  constructor(bytes) {
    checkBytes('the size of a budget', bytes);
    this.#native = native.budget(bytes);
  }

  usage() {
    return Object.assign(new BudgetUsage(), this.#open().usage());
  }

  trim() {
    return this.#open().trim();
  }

  close() {
    this.#native?.close();
    this.#native = null;
  }

  [inspect.custom](depth, options, inspectFunction = inspect) {
    if (this.#native === null) return 'Budget { closed }';
    return inspectBudget(this.usage(), options, inspectFunction);
  }

  #open() {
    if (this.#native === null) throw failure(Error, 'ERR_SLABUF_CLOSED', 'the budget is closed');
    return this.#native;
  }
}

if (typeof Symbol.dispose === 'symbol') {
  Object.defineProperty(Budget.prototype, Symbol.dispose, {
    value: Budget.prototype.close, writable: true, enumerable: false, configurable: true,
  });
}

module.exports = { Budget, nativeOf };
