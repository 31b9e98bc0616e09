// Builds the addon with cargo and puts it beside index.js. Needs no network once cargo has its crates.
//
//   node build.mjs            optimised
//   node build.mjs --debug    not optimised, checks on

import { spawnSync } from 'node:child_process';
import { copyFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const profile = process.argv.includes('--debug') ? [] : ['--release'];
const { status, error, stdout } = spawnSync(
  'cargo',
  ['build', '--package', 'slabuf-node', '--message-format=json-render-diagnostics', ...profile],
  { cwd: here, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] },
);
if (status !== 0) {
  console.error(error?.message ?? `cargo ended with status ${status}`);
  process.exit(1);
}
const built = stdout
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line))
  .find(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'slabuf_node');
const addon = join(here, 'slabuf.node');
// By way of a rename: a running Node may have the old one mapped.
copyFileSync(built.filenames[0], `${addon}.new`);
renameSync(`${addon}.new`, addon);
console.log(addon);
