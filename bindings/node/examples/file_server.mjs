// Serves the files of a directory over HTTP, within a fixed amount of buffer memory.
//
//   node examples/file_server.mjs [--port 8080] [--limit-mib 4] [DIRECTORY]
//
// Each response uses one buffer of a pool with a limit. When the pool is full, further responses
// wait for a buffer of another, for at most five seconds, and are then refused with status 503. GET
// /.usage shows the pool's counters.

import { open } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';

const slabuf = createRequire(import.meta.url)('..');

const { values, positionals } = parseArgs({
  options: { port: { type: 'string', default: '8080' }, 'limit-mib': { type: 'string', default: '4' } },
  allowPositionals: true,
});
const root = resolve(positionals[0] ?? '.');
const CHUNK = 256 * 1024;
const WAIT_MS = 5000;

const pool = slabuf.pool({ limit: Number(values['limit-mib']) * 1024 * 1024 });

/**
 * Waits until everything that was written has left the process, so that its buffer may be filled
 * again.
 */
const written = (response, chunk) =>
  new Promise((done, failed) => response.write(chunk, (error) => (error ? failed(error) : done())));

async function sendFile(path, response) {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    // One buffer for each response, whatever the file's length.
    const buffer = await pool.allocUnsafeTimeout(Math.max(1, Math.min(CHUNK, size)), WAIT_MS);
    response.writeHead(200, { 'content-length': size });
    for (let sent = 0; sent < size; ) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, sent);
      if (bytesRead === 0) throw new Error('the file became shorter');
      await written(response, buffer.subarray(0, bytesRead));
      sent += bytesRead;
    }
    response.end();
  } finally {
    await file.close();
  }
}

const STATUS = { ENOENT: 404, EISDIR: 404, EACCES: 403, ERR_SLABUF_TIMEOUT: 503, ERR_SLABUF_LIMIT: 503 };

const server = createServer(async (request, response) => {
  if (request.url === '/.usage') {
    response.end(JSON.stringify(pool.usage()));
    return;
  }
  try {
    const path = resolve(root, `.${decodeURIComponent(new URL(request.url, 'http://localhost').pathname)}`);
    if (path !== root && !path.startsWith(root + sep)) throw Object.assign(new Error('outside'), { code: 'ENOENT' });
    await sendFile(path, response);
  } catch (error) {
    if (response.headersSent) return response.destroy();
    response.writeHead(STATUS[error.code] ?? 500).end(`${error.code ?? error.message}\n`);
  }
});

server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/ serves ${root} with at most ${values['limit-mib']} MiB of buffers`);
});
