// What the tests share.

import { createRequire } from 'node:module';
import { setImmediate as turn } from 'node:timers/promises';

export const slabuf = createRequire(import.meta.url)('..');
export const KiB = 1024;
export const MiB = 1024 * KiB;

/** Collects garbage, and lets Node run the finalizers, until `done()` is true, or for so many turns. */
export async function collect(done = () => false, turns = 20) {
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

/** Runs what asks for a transfer of our memory: Node 20 copies instead, later versions throw. */
export function neverTransfers(ask) {
  try {
    ask();
  } catch (error) {
    if (error.name !== 'DataCloneError') throw error;
  }
}

export { turn };
