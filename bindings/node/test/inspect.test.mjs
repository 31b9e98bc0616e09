// How pools and counters are shown, and how a pool is closed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { KiB, MiB, isAll, slabuf } from './support.mjs';

test('a pool shows its settings and how full it is', () => {
  const pool = slabuf.pool({ limit: 4 * MiB, zeroOnFree: true });
  const held = pool.alloc(100_000);
  const text = inspect(pool);
  for (const part of [/^Pool \{/, /limit: 4 MiB/, /zeroOnFree: true/, /slabSize: 8 KiB/, /inUse: 97\.7 KiB/, /waiting: 0/]) {
    assert.match(text, part);
  }
  assert.match(inspect(slabuf.pool()), /limit: none/);
  assert.match(inspect({ deep: { pool } }, { depth: 1 }), /Pool/);
  assert.equal(held.length, 100_000);
});

test('counters show units, and are plain numbers', () => {
  const pool = slabuf.pool();
  const held = pool.alloc(1536 * KiB);
  const usage = pool.usage();
  assert.match(inspect(usage), /^PoolUsage \{[^]*inUse: 1\.5 MiB/);
  assert.match(inspect(usage), /slabsFull: 0[,\n }]/);
  assert.equal(usage.inUse, held.length);
  assert.ok(Object.values(usage).every((value) => typeof value === 'number'));
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(usage))), Object.keys(usage));
  assert.match(inspect(slabuf.memoryUsage()), /^MemoryUsage \{[^]*rss: [\d.]+ MiB/);
  assert.match(inspect({ a: { usage } }, { depth: 0 }), /\[Object\]/);
});

test('a closed pool refuses, and its buffers stay', () => {
  const pool = slabuf.pool();
  const held = [pool.alloc(100, 'a'), pool.allocUnsafe(100).fill('a'), pool.alloc(100_000, 'a')];
  pool.close();
  pool.close();
  const closed = { code: 'ERR_SLABUF_CLOSED' };
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow']) assert.throws(() => pool[name](100), closed);
  assert.throws(() => pool.from('abc'), closed);
  assert.throws(() => pool.concat([Buffer.from('abc')]), closed);
  assert.throws(() => pool.usage(), closed);
  assert.throws(() => pool.trim(), closed);
  assert.equal(inspect(pool), 'Pool { closed }');
  assert.ok(held.every((buffer) => isAll(buffer, 97)));
});

test('Symbol.dispose closes a pool', { skip: typeof Symbol.dispose !== 'symbol' }, () => {
  const pool = slabuf.pool();
  pool[Symbol.dispose]();
  assert.throws(() => pool.alloc(1), { code: 'ERR_SLABUF_CLOSED' });
});
