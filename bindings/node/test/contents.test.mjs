// What is in a buffer, and that it is a Buffer like any other.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { KiB, MiB, collect, isAll, slabuf } from './support.mjs';

const LENGTHS = [
  0, 1, 7, 8, 9, 63, 64, 100, 4094, 4095, 4096, 4097, 8191, 8192, 8193, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, MiB, 3 * MiB + 1,
];
const CONSTRUCTORS = ['alloc', 'allocUnsafe', 'allocUnsafeSlow'];

for (const name of CONSTRUCTORS) {
  test(`${name} gives a Buffer of the length asked for`, () => {
    for (const length of LENGTHS) {
      const buffer = slabuf[name](length);
      assert.ok(Buffer.isBuffer(buffer) && buffer instanceof Uint8Array);
      assert.equal(buffer.length, length);
      assert.equal(buffer.byteOffset % 8, 0);
    }
  });

  test(`${name}: no two buffers share a byte`, () => {
    const pool = slabuf.pool();
    const held = LENGTHS.concat(LENGTHS).map((length) => pool[name](length));
    held.forEach((buffer, number) => buffer.fill(number));
    held.forEach((buffer, number) => assert.ok(isAll(buffer, number), `buffer ${number} of ${buffer.length} bytes`));
  });
}

/** Whether memory that was written and given back shows in buffers that `take` makes afterwards. */
async function shows(pool, length, take) {
  (() => {
    // More than the thread that frees them keeps for itself.
    for (let i = 0; i < 2000; i++) pool.allocUnsafeSlow(length).fill(0xaa);
  })();
  const before = pool.usage().inUse;
  await collect(() => pool.usage().inUse < before / 10);
  assert.ok(pool.usage().inUse < before / 10);
  const held = Array.from({ length: 500 }, () => take(length));
  return held.some((buffer) => buffer.includes(0xaa));
}

for (const length of [100, 4000, 8192, 64 * KiB]) {
  test(`${length} bytes: alloc zeroes used memory, and so do the settings`, async () => {
    const plain = slabuf.pool();
    // Else the rest of this test would say nothing.
    assert.ok(await shows(plain, length, (n) => plain.allocUnsafeSlow(n)), 'stale bytes show');
    assert.ok(!(await shows(plain, length, (n) => plain.alloc(n))), 'alloc');
    const wiping = slabuf.pool({ zeroOnFree: true });
    assert.ok(!(await shows(wiping, length, (n) => wiping.allocUnsafeSlow(n))), 'zeroOnFree');
    const filling = slabuf.pool({ zeroFill: true });
    assert.ok(!(await shows(filling, length, (n) => filling.allocUnsafeSlow(n))), 'zeroFill');
  });
}

test('alloc is zero straight after allocUnsafe, with every length', () => {
  const pool = slabuf.pool();
  for (let i = 0; i < 4000; i++) {
    const length = 1 + (i * 37) % 5000;
    pool.allocUnsafe(length).fill(0xaa);
    assert.ok(isAll(pool.alloc(length), 0));
  }
});

test('zeroFill zeroes every constructor, shared slabs included', async () => {
  const pool = slabuf.pool({ zeroFill: true });
  for (const name of CONSTRUCTORS) {
    assert.ok(!(await shows(pool, 100, (length) => pool[name](length))), name);
  }
});

test('the other parts of Node take it: text, files, hashes, sockets', async () => {
  const buffer = slabuf.alloc(100_000);
  buffer.write('grüße', 0);
  buffer.writeDoubleLE(Math.PI, 64);
  assert.equal(buffer.toString('utf8', 0, 7), 'grüße');
  assert.equal(buffer.readDoubleLE(64), Math.PI);
  assert.equal(Buffer.concat([buffer, slabuf.alloc(10)]).length, 100_010);
  const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');
  assert.equal(digest(buffer), digest(Buffer.from(buffer)));

  const directory = await mkdtemp(join(tmpdir(), 'slabuf-'));
  try {
    const file = await open(join(directory, 'file'), 'w+');
    await file.write(buffer);
    const back = slabuf.allocUnsafe(100_000);
    await file.read(back, 0, back.length, 0);
    await file.close();
    assert.ok(back.equals(buffer));
    assert.ok((await readFile(join(directory, 'file'))).equals(buffer));
  } finally {
    await rm(directory, { recursive: true });
  }

  const server = createServer((socket) => socket.end(buffer)).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const received = [];
  for await (const chunk of connect(server.address().port, '127.0.0.1')) received.push(chunk);
  server.close();
  assert.ok(Buffer.concat(received).equals(buffer));
});
