// Bad arguments are errors with a code, and nothing ends the process.

import assert from 'node:assert/strict';
import { constants } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { MiB, isAll, neverTransfers, slabuf } from './support.mjs';

const CONSTRUCTORS = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'];

test('a length that is no number is a TypeError', () => {
  for (const name of CONSTRUCTORS) {
    for (const length of [undefined, null, '5', 5n, {}, [], true, Symbol('5')]) {
      assert.throws(() => slabuf[name](length), { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    }
  }
});

test('a length out of range is a RangeError that names it', () => {
  for (const name of CONSTRUCTORS) {
    for (const length of [-1, 0.5, NaN, Infinity, -Infinity, constants.MAX_LENGTH + 1, 2 ** 60]) {
      assert.throws(() => slabuf[name](length), (error) => {
        assert.ok(error instanceof RangeError);
        assert.equal(error.code, 'ERR_OUT_OF_RANGE');
        assert.ok(error.message.includes(String(length)));
        return true;
      });
    }
  }
});

test('options', () => {
  const refused = (options, name, code, pattern) =>
    assert.throws(() => slabuf.pool(options), (error) => {
      assert.equal(error.name, name);
      assert.equal(error.code, code);
      assert.match(error.message, pattern);
      return true;
    });
  refused(null, 'TypeError', 'ERR_INVALID_ARG_TYPE', /object/);
  refused(5, 'TypeError', 'ERR_INVALID_ARG_TYPE', /object/);
  refused({ limt: 5 }, 'TypeError', 'ERR_INVALID_ARG_VALUE', /limt.*limit/);
  refused({ limit: '5' }, 'TypeError', 'ERR_INVALID_ARG_TYPE', /limit.*string/);
  refused({ zeroFill: 1 }, 'TypeError', 'ERR_INVALID_ARG_TYPE', /zeroFill.*number/);
  refused({ limit: -1 }, 'RangeError', 'ERR_OUT_OF_RANGE', /-1/);
  refused({ limit: 1.5 }, 'RangeError', 'ERR_OUT_OF_RANGE', /1\.5/);
  refused({ limit: Infinity }, 'RangeError', 'ERR_OUT_OF_RANGE', /Infinity/);
  refused({ limit: 5 }, 'RangeError', 'ERR_SLABUF_CONFIG', /32768.*5/);
  refused({ slabSize: 3000 }, 'RangeError', 'ERR_SLABUF_CONFIG', /3000/);
  refused({ limit: MiB, cacheLimit: 2 * MiB }, 'RangeError', 'ERR_SLABUF_CONFIG', /2097152/);
  assert.equal(slabuf.pool({ limit: undefined }).alloc(5).length, 5);
  assert.equal(slabuf.pool({ slabSize: 65536 }).alloc(40_000).length, 40_000);
});

test('methods on what is no pool', () => {
  const { alloc } = slabuf.pool();
  assert.throws(() => alloc(5), TypeError);
  assert.throws(() => alloc.call({}, 5), TypeError);
});

test('what the operating system refuses is an error, and the process goes on', () => {
  const program = `
    const slabuf = require(${JSON.stringify(new URL('../index.js', import.meta.url).pathname)});
    const held = [];
    try {
      for (let i = 0; i < 16; i++) held.push(slabuf.allocUnsafe(2 ** 30));
    } catch (error) {
      console.log(error.code, error.message, slabuf.alloc(100_000).length);
    }`;
  const shell = ['-c', 'ulimit -v 8000000; exec "$0" "$@"', process.execPath, '-e', program];
  const { stdout, status } = spawnSync('sh', shell, { encoding: 'utf8' });
  assert.equal(status, 0);
  assert.match(stdout, /^ERR_SLABUF_OUT_OF_MEMORY .*1073741824.* 100000\n$/);
});

test('a detached slab harms nobody but its own parts', () => {
  const pool = slabuf.pool();
  const first = pool.alloc(100).fill(1);
  neverTransfers(() => structuredClone(first.buffer, { transfer: [first.buffer] }));
  assert.ok(first.length === 100 && isAll(first, 1));
  if (typeof first.buffer.transfer === 'function') {
    try { first.buffer.transfer(); } catch { /* Some versions refuse. */ }
  }
  const second = pool.alloc(100);
  assert.ok(second.length === 100 && isAll(second, 0));
});

test('the native half by itself: errors, no crash', () => {
  const native = createRequire(import.meta.url)('../slabuf.node');
  assert.throws(() => native.pool());
  assert.throws(() => native.pool({ limit: 'x' }));
  assert.throws(() => native.pool({ limit: NaN }), { code: 'ERR_SLABUF_CONFIG' });
  for (const name of ['alloc', 'allocUnsafe']) {
    const pool = native.pool({});
    const take = pool[name];
    assert.throws(() => take());
    assert.throws(() => take('5'));
    assert.throws(() => take(1e300), { name: 'RangeError', code: 'ERR_SLABUF_TOO_LARGE' });
    assert.throws(() => take(2 ** 46));
    // Had, and given back, when Node will not have it.
    assert.throws(() => take(constants.MAX_LENGTH + 1), { code: 'ERR_BUFFER_TOO_LARGE' });
    assert.equal(pool.usage().inUse, 0);
    for (const length of [NaN, -1, 0]) assert.equal(take(length).length, 0);
    assert.equal(take.call(null, 5000, 1, 2, 3, 4, 5).length, 5000);
  }
});
