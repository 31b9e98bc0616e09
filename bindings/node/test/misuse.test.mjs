// Bad arguments are errors with a code, and nothing ends the process.

import assert from 'node:assert/strict';
import { constants } from 'node:buffer';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MiB, OWNERS, run, slabuf } from './support.mjs';

const NATIVE = fileURLToPath(new URL('../slabuf.node', import.meta.url));
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
    for (const length of [-1, NaN, Infinity, -Infinity, constants.MAX_LENGTH + 1, 2 ** 60]) {
      assert.throws(() => slabuf[name](length), (error) => {
        assert.ok(error instanceof RangeError);
        assert.equal(error.code, 'ERR_OUT_OF_RANGE');
        const digits = error.message.replaceAll('_', '').replace(/(\d)n?$/, '$1');
        assert.ok(digits.includes(String(length)), error.message);
        return true;
      });
    }
  }
});

test('a fraction of a length is cut, as in Node', () => {
  for (const name of CONSTRUCTORS) {
    for (const [length, cut] of [[0.5, 0], [3.9, 3], [-0, 0], [5000.5, 5000]]) assert.equal(slabuf[name](length).length, cut);
  }
});

test('bad options of waiting requests reject', async () => {
  const pool = slabuf.pool();
  await assert.rejects(pool.allocAsync('5'), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(pool.allocAsync(-5), { code: 'ERR_OUT_OF_RANGE' });
  await assert.rejects(pool.allocAsync(5, 7), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(pool.allocAsync(5, { timeout: '7' }), { code: 'ERR_INVALID_ARG_TYPE' });
  await assert.rejects(pool.allocTimeout(5, -1), { code: 'ERR_OUT_OF_RANGE' });
  await assert.rejects(pool.allocTimeout(5, NaN), { code: 'ERR_OUT_OF_RANGE' });
  await assert.rejects(pool.allocAsync(5, { signal: {} }), { code: 'ERR_INVALID_ARG_TYPE' });
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
    const held = [];
    try {
      for (let i = 0; i < 16; i++) held.push(slabuf.allocUnsafe(2 ** 30));
    } catch (error) {
      console.log(error.code, error.message, slabuf.alloc(100_000).length);
    }`;
  const { stdout, status } = run(program, { shell: 'ulimit -v 8000000' });
  assert.equal(status, 0);
  assert.match(stdout, /^ERR_SLABUF_OUT_OF_MEMORY .*1073741824.* 100000\n$/);
});

test('a length beyond what Node allows is refused, and its memory freed', () => {
  for (const owner of OWNERS) {
    const { stdout, stderr } = run(`
      const { takeStale: take, usage } = require(${JSON.stringify(NATIVE)}).pool({});
      try { take(require('buffer').constants.MAX_LENGTH + 4096); } catch (error) { console.log(error.name, usage().inUse); }
      console.log(take(5).byteLength);`, { owner });
    assert.match(stdout, /^(RangeError|Error) 0\n5\n$|^16\n5\n$/, stderr);
  }
});

test('the native half by itself: errors, no crash', () => {
  const native = createRequire(import.meta.url)(NATIVE);
  assert.throws(() => native.pool());
  assert.throws(() => native.pool({ limit: 'x' }));
  assert.throws(() => native.pool({ limit: NaN }), { code: 'ERR_SLABUF_CONFIG' });
  const pool = native.pool({});
  const { takeZeroed, takeStale, wait, poll, cancel, expire } = pool;
  for (const take of [takeZeroed, takeStale]) {
    assert.throws(() => take(), TypeError);
    assert.throws(() => take('5'), TypeError);
    assert.throws(() => take(1e300), { name: 'RangeError', code: 'ERR_SLABUF_TOO_LARGE' });
    assert.throws(() => take(2 ** 46));
    for (const length of [NaN, -1, 0]) assert.equal(take(length).byteLength, 0);
    assert.equal(take.call(null, 5000, 1, 2, 3, 4, 5).byteLength, 5000);
  }
  assert.throws(() => wait());
  assert.throws(() => wait(5, true));
  assert.throws(() => wait(5, true, 7));
  assert.equal(poll(99), null);
  cancel(99);
  expire(99);
  assert.equal(pool.usage().timedOut, 0);
  assert.throws(() => native.budget('5'));
  const budget = native.budget(2 ** 20);
  assert.throws(() => budget.pool());
  assert.throws(() => budget.pool({ limit: 2 ** 21 }), { code: 'ERR_SLABUF_CONFIG' });
  assert.equal(budget.pool({}).takeZeroed(5).byteLength, 5);
  budget.close();
  budget.close();
  assert.throws(() => budget.usage(), /closed/);
  assert.throws(() => budget.pool({}), /closed/);
  const number = wait(5, true, () => {});
  assert.equal(poll(number).byteLength, 5);
  assert.equal(poll(number), null);
  pool.close();
  pool.close();
  assert.throws(() => takeStale(5), /closed/);
  assert.throws(() => pool.usage(), /closed/);
});
