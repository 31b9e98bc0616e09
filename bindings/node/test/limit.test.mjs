// What a limit does.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KiB, MiB, backingStores, collect, run, slabuf } from './support.mjs';

test('beyond the limit an allocation is an Error that names both numbers', () => {
  const pool = slabuf.pool({ limit: 4 * MiB });
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow']) {
    assert.throws(() => pool[name](5 * MiB), (error) => {
      assert.ok(error instanceof Error && !(error instanceof RangeError));
      assert.equal(error.code, 'ERR_SLABUF_LIMIT');
      assert.match(error.message, /5242880/);
      assert.match(error.message, /4194304/);
      return true;
    });
  }
});

test('the external memory that a full pool reports to V8 is taken back', () => {
  const before = process.memoryUsage().external;
  for (let i = 0; i < 10; i++) {
    assert.throws(() => slabuf.pool({ limit: MiB }).alloc(2 * MiB), { code: 'ERR_SLABUF_LIMIT' });
  }
  assert.ok(process.memoryUsage().external - before < MiB);
});

test('the pool works on, and other pools are not concerned', async () => {
  const pool = slabuf.pool({ limit: 4 * MiB });
  let held = [];
  const fill = () => {
    for (;;) held.push(pool.alloc(MiB).fill(1));
  };
  assert.throws(fill, { code: 'ERR_SLABUF_LIMIT' });
  assert.ok(held.length >= 3);
  assert.ok(pool.usage().external <= 4 * MiB);
  assert.equal(slabuf.pool({ limit: 4 * MiB }).alloc(MiB).length, MiB);
  held = [];
  await collect(() => pool.usage().inUse === 0);
  assert.equal(pool.alloc(MiB).length, MiB);
});

test('small buffers reach the limit too', () => {
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow']) {
    const pool = slabuf.pool({ limit: 256 * KiB });
    const held = [];
    assert.throws(() => {
      for (;;) held.push(pool[name](1000).fill(held.length));
    }, { code: 'ERR_SLABUF_LIMIT' });
    assert.ok(held.length >= 8 * 20, `${held.length} with ${name}`);
    held.forEach((buffer, number) => assert.equal(buffer[999], number & 0xff));
  }
});

test('a pool full of garbage is free again a little later, without gc()', async () => {
  const pool = slabuf.pool({ limit: 4 * MiB });
  let refused = 0;
  for (let taken = 0; taken < 1000; ) {
    try {
      pool.alloc(64 * KiB)[0] = 1;
      taken++;
    } catch (error) {
      assert.equal(error.code, 'ERR_SLABUF_LIMIT');
      assert.ok(++refused < 2000, 'the garbage never came back');
      await sleep(1);
    }
  }
  assert.ok(refused > 0, '1000 buffers of 64 KiB never fitted');
});

test('memory returns within one turn of the event loop', { skip: !backingStores }, () => {
  const pool = slabuf.pool({ limit: 4 * MiB });
  for (let i = 0; i < 1000; i++) {
    // V8 may still be sweeping the buffers of the last collection on another thread.
    for (let attempt = 0; ; attempt++) {
      try {
        pool.alloc(64 * KiB);
        break;
      } catch (error) {
        if (error.code !== 'ERR_SLABUF_LIMIT' || attempt === 1000) throw error;
        globalThis.gc();
      }
    }
  }
});

test('with Node-API, memory returns in a later turn of the event loop', () => {
  const { stdout, stderr } = run(`
    const pool = slabuf.pool({ limit: 4 << 20 });
    try {
      for (let i = 0; i < 1000; i++) {
        pool.alloc(65536);
        if (i % 10 === 0) gc();
      }
    } catch (error) {
      console.log(error.code);
    }
    let turns = 0;
    setImmediate(function again() {
      gc();
      if (pool.usage().inUse > 0 && ++turns < 100) return setImmediate(again);
      console.log(pool.usage().inUse);
    });`, { owner: 'Node-API', flags: ['--expose-gc'] });
  assert.equal(stdout, 'ERR_SLABUF_LIMIT\n0\n', stderr);
});
