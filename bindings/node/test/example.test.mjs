// The example program serves files, and keeps its limit.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MiB } from './support.mjs';

const SERVER = fileURLToPath(new URL('../examples/file_server.mjs', import.meta.url));

function fetched(url) {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(chunks) }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

test('forty responses at once within one MiB', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'slabuf-'));
  const content = randomBytes(3 * MiB);
  await writeFile(join(directory, 'large'), content);
  await writeFile(join(directory, 'empty'), '');
  const server = spawn(process.execPath, [SERVER, '--port', '0', '--limit-mib', '1', directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [line] = await once(server.stdout, 'data');
    const [address] = /http:\S+/.exec(String(line));
    const responses = await Promise.all(Array.from({ length: 40 }, () => fetched(`${address}large`)));
    const served = responses.filter(({ status }) => status === 200);
    assert.ok(served.length >= 3, `${served.length} were served`);
    assert.ok(served.every(({ body }) => body.equals(content)));
    // On a busy machine some may have waited for too long.
    assert.ok(responses.every(({ status }) => status === 200 || status === 503));
    assert.deepEqual(await fetched(`${address}empty`), { status: 200, body: Buffer.alloc(0) });
    assert.equal((await fetched(`${address}absent`)).status, 404);
    assert.equal((await fetched(`${address}..%2f..%2fetc%2fpasswd`)).status, 404);
    const usage = JSON.parse((await fetched(`${address}.usage`)).body);
    assert.ok(usage.external > 0 && usage.external <= MiB, JSON.stringify(usage));
  } finally {
    server.kill();
    await rm(directory, { recursive: true });
  }
});
