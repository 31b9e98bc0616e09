'use strict';

// Requests that wait until a full pool or its budget has room, without blocking the event loop.

const { failure } = require('./arguments.js');
const { setInterval, clearInterval, setTimeout, clearTimeout } = require('node:timers');

/** Time between two requests to collect garbage, while a request waits. */
const TICK_MS = 10;
/** The longest time that setTimeout can wait. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

class Waiting {
  #native;
  /** By the native half's number: `settle(error, arrayBuffer)`. In the order of the requests. */
  #requests = new Map();
  /** Keeps the process and the pool alive while requests wait. */
  #ticker = null;
  #woken;

  constructor(native) {
    this.#native = native;
    // The native half holds the callback, so the callback must not hold the pool.
    const weak = new WeakRef(this);
    this.#woken = () => weak.deref()?.#poll();
  }

  get size() {
    return this.#requests.size;
  }

  /** Returns a promise of an ArrayBuffer. */
  request(length, zeroed, timeout, signal) {
    const number = this.#native.wait(length, zeroed, this.#woken);
    const ready = this.#native.poll(number);
    if (ready !== null) return ready;
    return new Promise((resolve, reject) => {
      let timer = null;
      const settle = (error, arrayBuffer) => {
        this.#requests.delete(number);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#tick();
        if (error) reject(error);
        else resolve(arrayBuffer);
      };
      const abort = () => {
        this.#native.cancel(number);
        settle(signal.reason);
      };
      this.#requests.set(number, settle);
      signal?.addEventListener('abort', abort);
      if (timeout <= MAX_TIMEOUT_MS) {
        timer = setTimeout(() => {
          this.#native.expire(number);
          settle(failure(Error, 'ERR_SLABUF_TIMEOUT',
            `cannot allocate a buffer of ${length} bytes: the pool's limit or budget left no room within ${timeout} ms`));
        }, timeout);
      }
      this.#tick();
    });
  }

  /** Rejects all requests, after the native half has given them up. */
  cancelAll(error) {
    for (const settle of [...this.#requests.values()]) settle(error());
  }

  #poll() {
    for (const [number, settle] of [...this.#requests]) {
      // The settling of an earlier one may have settled this one.
      if (!this.#requests.has(number)) continue;
      let arrayBuffer;
      try {
        arrayBuffer = this.#native.poll(number);
      } catch (error) {
        settle(error);
        continue;
      }
      if (arrayBuffer !== null) settle(null, arrayBuffer);
    }
  }

  /** Starts or stops the ticker. */
  #tick() {
    if (this.#requests.size === 0) {
      clearInterval(this.#ticker);
      this.#ticker = null;
    } else if (this.#ticker === null) {
      // Dead buffers may fill the pool or its budget, of whose limits V8 does not know.
      this.#native.collect();
      this.#ticker = setInterval(() => {
        this.#native.collect();
        this.#poll();
      }, TICK_MS);
    }
  }
}

module.exports = { Waiting };
