'use strict';

// Pools. Every ArrayBuffer belongs to one buffer, except that small buffers of allocUnsafe, from
// and concat are split from shared slabs, as Node's are.

const { Buffer } = require('node:buffer');
const { inspect, types: { isAnyArrayBuffer, isUint8Array } } = require('node:util');
const { markAsUntransferable } = require('node:worker_threads');
const { backingStores } = require('./native.js');
const { checkLength, checkWaiting, failure } = require('./arguments.js');
const { inspectPool, PoolUsage } = require('./inspect.js');
const { Waiting } = require('./waiting.js');

const ALIGNMENT = 8;
/** How much is allocated between two bytes of V8's own. See `allocated`. */
const NUDGE_BYTES = 4 * 1024 * 1024;

// The class that Buffer's functions construct: `new FastBuffer(arrayBuffer, offset, length)` is a
// Buffer.
const FastBuffer = Buffer[Symbol.species];
// Node's own, in case the program replaces it with slabuf's.
const { concat: nodeConcat, from: nodeFrom } = Buffer;
const NOTHING = new Uint8Array(0);

// The true properties of an array of bytes, which a program can hide behind others of the same
// name. A length that is too large would leave stale bytes in a copy.
const getter = (name) => {
  const { get } = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), name);
  return Function.prototype.call.bind(get);
};
const lengthOf = getter('length');
const offsetOf = getter('byteOffset');
const memoryOf = getter('buffer');

// V8 collects Buffers that died young with a scavenge after 32 MiB of them, but checks this only
// when it allocates the memory of an ArrayBuffer itself. In a program that uses slabuf alone, dead
// buffers would wait for a full collection. So every few MiB this allocates one byte from V8.
let sinceNudge = 0;
let nudge = null;

function allocated(length) {
  sinceNudge += length;
  if (sinceNudge >= NUDGE_BYTES) {
    sinceNudge = 0;
    nudge = new ArrayBuffer(1);
  }
}

class Pool {
  #native;
  /** The native functions that allocate an ArrayBuffer; null after `close`. */
  #takeZeroed;
  #takeStale;
  #options;
  #slabSize;
  /** Most bytes of a buffer that shares a slab. */
  #half;
  /** The shared slab: an ArrayBuffer, which has the length 0 at first and after it was detached. */
  #slab = new ArrayBuffer(0);
  #used = 0;
  #waiting;

  constructor(native, options, slabSize) {
    this.#native = native;
    this.#takeZeroed = native.takeZeroed;
    this.#takeStale = native.takeStale;
    this.#options = options;
    this.#slabSize = slabSize;
    this.#half = slabSize >>> 1;
    this.#waiting = new Waiting(native);
  }

  alloc(length, fill, encoding) {
    const size = checkLength(length);
    if (fill !== undefined && fill !== 0 && size !== 0) return this.#stale(size).fill(fill, 0, size, encoding);
    if (size === 0) return new FastBuffer();
    if (this.#takeZeroed === null) throw this.#closed();
    allocated(size);
    return new FastBuffer(this.#takeZeroed(size));
  }

  allocUnsafe(length) {
    if (typeof length !== 'number' || !(length >= 1 && length <= this.#half)) return this.allocUnsafeSlow(length);
    const size = length | 0;
    const start = this.#used;
    if (size > this.#slab.byteLength - start) return this.#newSlab(size);
    this.#used = start + size + (ALIGNMENT - 1) & -ALIGNMENT;
    return new FastBuffer(this.#slab, start, size);
  }

  allocUnsafeSlow(length) {
    return this.#stale(checkLength(length));
  }

  from(value, encodingOrOffset, length) {
    if (typeof value === 'string') return this.#fromString(value, encodingOrOffset);
    if (isUint8Array(value)) return this.#copy(value);
    const made = nodeFrom(value, encodingOrOffset, length);
    // A view of memory that the caller has.
    if (isAnyArrayBuffer(value)) return made;
    return this.#copy(made);
  }

  concat(list, totalLength) {
    // Node throws for bad arguments.
    if (!Array.isArray(list)) return nodeConcat(list);
    if (list.length === 0) return new FastBuffer();
    if (!list.every(isUint8Array)) return nodeConcat(list, totalLength);
    if (totalLength !== undefined && !(Number.isInteger(totalLength) && totalLength >= 0)) {
      return nodeConcat([NOTHING], totalLength);
    }
    const size = checkLength(totalLength ?? list.reduce((sum, part) => sum + lengthOf(part), 0));
    const whole = this.allocUnsafe(size);
    let end = 0;
    for (const part of list) {
      const count = Math.min(lengthOf(part), size - end);
      whole.set(new Uint8Array(memoryOf(part), offsetOf(part), count), end);
      end += count;
    }
    return end < size ? whole.fill(0, end) : whole;
  }

  allocAsync(length, options) {
    return this.#wait(length, true, options);
  }

  allocUnsafeAsync(length, options) {
    return this.#wait(length, false, options);
  }

  allocTimeout(length, timeout) {
    return this.#wait(length, true, { timeout });
  }

  allocUnsafeTimeout(length, timeout) {
    return this.#wait(length, false, { timeout });
  }

  get limit() {
    return this.#options.limit ?? Infinity;
  }

  get available() {
    return this.#open().available();
  }

  usage() {
    return Object.assign(new PoolUsage(), this.#open().usage());
  }

  trim() {
    const native = this.#open();
    this.#dropSlab();
    return native.trim();
  }

  close() {
    if (this.#native === null) return;
    const native = this.#native;
    this.#native = null;
    this.#takeZeroed = null;
    this.#takeStale = null;
    this.#dropSlab();
    native.close();
    this.#waiting.cancelAll(() => this.#closed());
  }

  [inspect.custom](depth, options, inspectFunction = inspect) {
    if (this.#native === null) return 'Pool { closed }';
    return inspectPool(this.#options, this.#slabSize, this.usage(), this.#waiting.size, options, inspectFunction);
  }

  /** Allocates a buffer of stale bytes with an ArrayBuffer of its own. */
  #stale(size) {
    if (size === 0) return new FastBuffer();
    if (this.#takeStale === null) throw this.#closed();
    allocated(size);
    return new FastBuffer(this.#takeStale(size));
  }

  /** Allocates a shared slab, and the first buffer from it. */
  #newSlab(size) {
    if (this.#takeStale === null) throw this.#closed();
    allocated(this.#slabSize);
    this.#slab = this.#takeStale(this.#slabSize);
    // As Node does with its own. Node-API does it by itself, and some versions abort if it is done
    // twice.
    if (backingStores) markAsUntransferable(this.#slab);
    this.#used = size + (ALIGNMENT - 1) & -ALIGNMENT;
    return new FastBuffer(this.#slab, 0, size);
  }

  #dropSlab() {
    this.#slab = new ArrayBuffer(0);
    this.#used = 0;
  }

  #fromString(string, encoding) {
    if (typeof encoding !== 'string' || encoding === '') encoding = 'utf8';
    // Node throws for an encoding that does not exist.
    if (!Buffer.isEncoding(encoding)) return nodeFrom(string, encoding);
    const size = Buffer.byteLength(string, encoding);
    if (size === 0) return new FastBuffer();
    const buffer = this.allocUnsafe(size);
    const written = buffer.write(string, 0, size, encoding);
    return written === size ? buffer : buffer.subarray(0, written);
  }

  #copy(bytes) {
    const buffer = this.allocUnsafe(lengthOf(bytes));
    buffer.set(bytes);
    return buffer;
  }

  async #wait(length, zeroed, options) {
    const size = checkLength(length);
    const { timeout, signal } = checkWaiting(options);
    this.#open();
    signal?.throwIfAborted();
    if (size === 0) return new FastBuffer();
    const arrayBuffer = await this.#waiting.request(size, zeroed, timeout, signal);
    allocated(size);
    return new FastBuffer(arrayBuffer);
  }

  #open() {
    if (this.#native === null) throw this.#closed();
    return this.#native;
  }

  #closed() {
    return failure(Error, 'ERR_SLABUF_CLOSED', 'the pool is closed');
  }
}

if (typeof Symbol.dispose === 'symbol') {
  Object.defineProperty(Pool.prototype, Symbol.dispose, {
    value: Pool.prototype.close, writable: true, enumerable: false, configurable: true,
  });
}

module.exports = { Pool };
