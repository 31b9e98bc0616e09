// alloc with a fill, from and concat give what Node's functions give, and throw what they throw.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAll, run, slabuf } from './support.mjs';

/** Returns what a call does, so that slabuf's and Node's can be compared. */
function outcome(call) {
  try {
    return { bytes: call() };
  } catch ({ name, code }) {
    return { name, code };
  }
}

function same(name, ...args) {
  const [ours, nodes] = [outcome(() => slabuf[name](...args)), outcome(() => Buffer[name](...args))];
  assert.deepEqual(ours, nodes, `${name}(${args.map(String).join(', ')})`);
  if (ours.bytes) assert.equal(Object.getPrototypeOf(ours.bytes), Buffer.prototype);
}

test('alloc(length, fill, encoding)', () => {
  const fills = ['', 'a', 'ab', 'é', 'grüße', '00ff', 'abcd', 0, 1, 255, 256, -1, 3.7, true, false, null, undefined,
    Buffer.from('xyz'), Buffer.alloc(0), new Uint8Array([1, 2]), new Uint16Array([257, 2]), {}, [], [7]];
  const encodings = [undefined, '', 'utf8', 'UTF-8', 'hex', 'base64', 'latin1', 'utf16le', 'ascii', 'no encoding', null, 5];
  for (const length of [0, 1, 5, 100, 5000]) {
    for (const fill of fills) {
      for (const encoding of encodings) same('alloc', length, fill, encoding);
    }
  }
});

test('a fill shows nothing of earlier buffers', () => {
  const pool = slabuf.pool();
  for (let i = 0; i < 100; i++) {
    pool.allocUnsafeSlow(1000).fill(0xaa);
    for (const [fill, byte] of [['', 0], [0, 0], [null, 0], ['b', 98], [Buffer.from([1]), 1]]) {
      assert.ok(isAll(pool.alloc(1000, fill), byte));
    }
  }
});

test('from', () => {
  const strings = ['', 'a', 'grüße', 'é'.repeat(5000), '00ff0', 'zz', 'YWJj', 'YWJj====', '\ud800', 'a b\nc'];
  const encodings = [undefined, '', 'utf8', 'hex', 'base64', 'base64url', 'latin1', 'utf16le', 'no encoding', null, 5, {}];
  for (const string of strings) {
    for (const encoding of encodings) same('from', string, encoding);
  }
  const values = [[], [1, 2, 300, -1, '7', 'x'], Buffer.from('abc'), new Uint8Array(5000).fill(7), new Uint16Array([1, 257]),
    { length: 3, 1: 5 }, { type: 'Buffer', data: [1, 2] }, new String('abc'), { [Symbol.toPrimitive]: () => 'primitive' },
    null, undefined, 5, true, {}, () => {}, Symbol('s'), 5n, new DataView(new ArrayBuffer(4))];
  for (const value of values) same('from', value);
});

test('from copies bytes, and shares the memory of an ArrayBuffer', () => {
  const bytes = Buffer.from('abc');
  const copy = slabuf.from(bytes);
  bytes[0] = 0;
  assert.equal(copy.toString(), 'abc');
  const memory = new ArrayBuffer(8);
  const view = slabuf.from(memory, 2, 4);
  view[0] = 9;
  assert.deepEqual([view.length, view.buffer === memory, new Uint8Array(memory)[2]], [4, true, 9]);
  same('from', memory, 9);
  same('from', new SharedArrayBuffer(8), 1, 2);
});

test('the memory of from and concat is the pool\'s', () => {
  const pool = slabuf.pool({ slabSize: 4096 });
  pool.from('x'.repeat(5000));
  assert.equal(pool.usage().largeLive, 5000);
  pool.concat([Buffer.alloc(6000), Buffer.alloc(1)]);
  assert.equal(pool.usage().largeLive, 11_001);
  pool.from('short');
  assert.equal(pool.usage().inUse, 11_001 + 4096);
});

test('concat', () => {
  const parts = [Buffer.from('ab'), new Uint8Array([1, 2, 3]), Buffer.alloc(0), Buffer.alloc(5000, 'z')];
  for (const length of [undefined, 0, 1, 2, 3, 5, 100, 5005, 10_000]) {
    same('concat', parts, length);
    same('concat', [parts[0]], length);
    same('concat', [], length);
  }
  for (const list of [null, undefined, 'ab', {}, [1], ['ab'], [[1]]]) same('concat', list);
  for (const length of [-1, NaN, '5', Infinity, null, 2.5, {}]) same('concat', [Buffer.from('ab')], length);
});

test('a length that is not the true one shows nothing of earlier buffers', () => {
  const part = new Uint8Array([1, 2, 3]);
  Object.defineProperty(part, 'length', { get: () => 100 });
  for (let i = 0; i < 100; i++) {
    slabuf.allocUnsafe(200).fill(0xaa);
    assert.deepEqual([...slabuf.from(part)], [1, 2, 3]);
    assert.deepEqual([...slabuf.concat([part, part])], [1, 2, 3, 1, 2, 3]);
    assert.deepEqual([...slabuf.concat([part], 5)], [1, 2, 3, 0, 0]);
  }
});

test('beyond its parts, concat is zero', () => {
  for (let i = 0; i < 100; i++) {
    slabuf.allocUnsafe(300).fill(0xaa);
    assert.ok(isAll(slabuf.concat([Buffer.alloc(1)], 3000), 0));
  }
});

test('Buffer\'s functions can be replaced by slabuf\'s', () => {
  const { stdout, stderr } = run(`
    for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'from', 'concat']) Buffer[name] = slabuf[name];
    console.log(Buffer.alloc(0).length, Buffer.allocUnsafe(0).length, Buffer.alloc(5, 'ab').toString(),
      Buffer.concat([Buffer.from('x'), Buffer.from([121])]).toString());
    for (const bad of [-1, '5', NaN]) {
      for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow']) {
        try { Buffer[name](bad); } catch (error) { process.stdout.write(error.code + ' '); }
      }
    }
    require('fs').readFileSync(${JSON.stringify(new URL(import.meta.url).pathname)});
    console.log(require('crypto').randomBytes(10).length);`);
  const codes = 'ERR_OUT_OF_RANGE '.repeat(3) + 'ERR_INVALID_ARG_TYPE '.repeat(3) + 'ERR_OUT_OF_RANGE '.repeat(3);
  assert.equal(stdout, `0 0 ababa xy\n${codes}10\n`, stderr);
});
