'use strict';

// Checks arguments, and makes the errors that the native half does not.

const { Buffer, constants: { MAX_LENGTH } } = require('node:buffer');

// Node's own, in case the program replaces it with slabuf's.
const nodeAllocUnsafeSlow = Buffer.allocUnsafeSlow;

function failure(Type, code, message) {
  return Object.assign(new Type(message), { code });
}

/** Throws Node's error for a bad length: ERR_INVALID_ARG_TYPE or ERR_OUT_OF_RANGE. */
function refuseLength(length) {
  nodeAllocUnsafeSlow(length);
  throw failure(RangeError, 'ERR_OUT_OF_RANGE', `The value of "size" is out of range. Received ${length}`);
}

/** Returns a length as an integer. Fractions are cut, as in Node. */
function checkLength(length) {
  if (typeof length === 'number' && length >= 0 && length <= MAX_LENGTH) return Math.trunc(length);
  return refuseLength(length);
}

const OPTIONS = {
  limit: 'number', slabSize: 'number', zeroOnFree: 'boolean', zeroFill: 'boolean', cacheLimit: 'number',
  budget: 'Budget',
};

/** Checks a number of bytes. */
function checkBytes(name, value) {
  if (typeof value !== 'number') {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', `${name} must be a number, not of type ${typeof value}`);
  }
  if (!(Number.isSafeInteger(value) && value >= 0)) {
    throw failure(RangeError, 'ERR_OUT_OF_RANGE', `${name} must be a whole number of bytes, not ${value}`);
  }
}

/** Returns the given options of a pool. A budget is checked where it is used. */
function checkOptions(options) {
  if (typeof options !== 'object' || options === null) {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', 'the options of a pool must be an object');
  }
  const given = {};
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(OPTIONS, name)) {
      const names = Object.keys(OPTIONS).join(', ');
      throw failure(TypeError, 'ERR_INVALID_ARG_VALUE', `a pool has no option '${name}'; the options are: ${names}`);
    }
    if (value === undefined) continue;
    if (OPTIONS[name] === 'number') checkBytes(name, value);
    if (OPTIONS[name] === 'boolean' && typeof value !== 'boolean') {
      throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', `${name} must be a boolean, not of type ${typeof value}`);
    }
    given[name] = value;
  }
  return given;
}

/**
 * Returns the timeout in milliseconds, Infinity if there is none, and the signal of a waiting
 * request.
 */
function checkWaiting(options = {}) {
  if (typeof options !== 'object' || options === null) {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', 'the options of a waiting request must be an object');
  }
  const { timeout = Infinity, signal } = options;
  if (typeof timeout !== 'number') {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', `timeout must be a number of milliseconds, not of type ${typeof timeout}`);
  }
  if (!(timeout >= 0)) {
    throw failure(RangeError, 'ERR_OUT_OF_RANGE', `timeout must be at least 0 ms, not ${timeout}`);
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw failure(TypeError, 'ERR_INVALID_ARG_TYPE', 'signal must be an AbortSignal');
  }
  return { timeout, signal };
}

module.exports = { failure, checkBytes, checkLength, checkOptions, checkWaiting };
