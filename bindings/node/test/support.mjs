// What the tests share.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { setImmediate as turn } from 'node:timers/promises';

const require = createRequire(import.meta.url);

export const slabuf = require('..');
/**
 * Whether backing stores own the memory. If not, Node-API does, and a worker's end leaks buffers.
 */
export const { backingStores } = require('../lib/native.js');
export const KiB = 1024;
export const MiB = 1024 * KiB;
/** The module's path, as a literal for programs that other processes and workers run. */
export const INDEX = JSON.stringify(fileURLToPath(new URL('../index.js', import.meta.url)));

/**
 * Collects garbage, with turns of the event loop between, until `done()` is true or after `turns`.
 */
export async function collect(done = () => false, turns = 50) {
  if (typeof globalThis.gc !== 'function') throw new Error('these tests need node --expose-gc');
  for (let i = 0; i < turns && !done(); i++) {
    globalThis.gc();
    await turn();
  }
}

/** Whether all bytes of a buffer are `byte`. */
export function isAll(buffer, byte) {
  return buffer.every((value) => value === byte);
}

/**
 * Runs a program in a process of its own, which loads the module as `slabuf`. `owner` is 'backing
 * store' or 'Node-API'. `shell` is a command that the process' shell executes before.
 */
export function run(program, { owner = 'backing store', flags = [], shell = ':' } = {}) {
  const { SLABUF_NODE_API, ...env } = process.env;
  if (owner === 'Node-API') env.SLABUF_NODE_API = '1';
  const source = `const slabuf = require(${INDEX});\n${program}`;
  const command = ['-c', `${shell}; exec "$0" "$@"`, process.execPath, ...flags, '-e', source];
  return spawnSync('sh', command, { encoding: 'utf8', env });
}

/** The owners of memory that this build has. */
export const OWNERS = backingStores ? ['backing store', 'Node-API'] : ['Node-API'];

export { turn };
