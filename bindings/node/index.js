'use strict';

// Lengths are checked here, and buffers up to half a slab are split from a slab that they share: making an
// external ArrayBuffer costs Node about a microsecond, so the memory of many is taken at once. The shared slab
// is taken zeroed and each byte of it is used once, so its parts need no zeroing.

const { Buffer, constants: { MAX_LENGTH } } = require('node:buffer');
const native = require('./slabuf.node');

const DEFAULT_SLAB_SIZE = 8192;
const ALIGNMENT = 8;
const NUDGE_BYTES = 4 * 1024 * 1024;

// V8 collects Buffers that died young by a scavenge, once they hold 32 MiB; but it looks only when it makes an
// ArrayBuffer's memory itself. In a program that makes none, ours would wait for a full collection. So every few
// MiB one byte of V8's own is asked for.
let taken = 0;
let nudge = null;

function took(length) {
  taken += length;
  if (taken >= NUDGE_BYTES) {
    taken = 0;
    nudge = new ArrayBuffer(1);
  }
}

function failure(Type, code, message) {
  const error = new Type(message);
  error.code = code;
  return error;
}

function checkLength(length) {
  if (typeof length !== 'number') {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE',
      `a length must be a number of bytes, not ${length === null ? 'null' : `of type ${typeof length}`}`);
  }
  if (!Number.isInteger(length) || length < 0 || length > MAX_LENGTH) {
    throw failure(RangeError, 'ERR_OUT_OF_RANGE',
      `a length must be an integer from 0 to ${MAX_LENGTH}, not ${length}`);
  }
}

const OPTIONS = {
  limit: 'number', slabSize: 'number', zeroOnFree: 'boolean', zeroFill: 'boolean', cacheLimit: 'number',
};

function checkOptions(options) {
  if (typeof options !== 'object' || options === null) {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', 'the options of a pool must be an object');
  }
  const given = {};
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name)) {
      throw failure(TypeError, 'ERR_INVALID_ARG_VALUE',
        `a pool has no option '${name}'; there are: ${Object.keys(OPTIONS).join(', ')}`);
    }
    if (value === undefined) continue;
    if (typeof value !== OPTIONS[name]) {
      throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', `${name} must be a ${OPTIONS[name]}, not of type ${typeof value}`);
    }
    if (typeof value === 'number' && !(Number.isSafeInteger(value) && value >= 0)) {
      throw failure(RangeError, 'ERR_OUT_OF_RANGE', `${name} must be a whole number of bytes, not ${value}`);
    }
    given[name] = value;
  }
  return given;
}

class Pool {
  #native;
  #slabSize;
  /** Lengths up to this are parts of the shared slab. */
  #half;
  #slab = null;
  #used = 0;

  constructor(nativePool, slabSize) {
    this.#native = nativePool;
    this.#slabSize = slabSize;
    this.#half = slabSize >>> 1;
  }

  alloc(length) {
    checkLength(length);
    if (length <= this.#half) return this.#part(length);
    took(length);
    return this.#native.alloc(length);
  }

  allocUnsafe(length) {
    checkLength(length);
    return length <= this.#half ? this.#part(length) : this.allocUnsafeSlow(length);
  }

  allocUnsafeSlow(length) {
    checkLength(length);
    if (length === 0) return Buffer.alloc(0);
    took(length);
    return this.#native.allocUnsafe(length);
  }

  #part(length) {
    if (length === 0) return Buffer.alloc(0);
    // A slab that somebody has detached has the length 0.
    if (this.#slab === null || length > this.#slab.length - this.#used) {
      took(this.#slabSize);
      this.#slab = this.#native.alloc(this.#slabSize);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used = start + ((length + ALIGNMENT - 1) & -ALIGNMENT);
    return this.#slab.subarray(start, start + length);
  }

  usage() {
    return this.#native.usage();
  }

  trim() {
    this.#slab = null;
    return this.#native.trim();
  }
}

const globalPool = new Pool(native.globalPool(), DEFAULT_SLAB_SIZE);

function pool(options = {}) {
  const given = checkOptions(options);
  return new Pool(native.pool(given), given.slabSize ?? DEFAULT_SLAB_SIZE);
}

const alloc = (length) => globalPool.alloc(length);
const allocUnsafe = (length) => globalPool.allocUnsafe(length);
const allocUnsafeSlow = (length) => globalPool.allocUnsafeSlow(length);
const usage = () => globalPool.usage();
const trim = () => globalPool.trim();
const { memoryUsage } = native;

module.exports = { alloc, allocUnsafe, allocUnsafeSlow, usage, trim, pool, memoryUsage };
