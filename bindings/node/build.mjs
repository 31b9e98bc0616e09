// Builds the addon with cargo and puts it beside index.js. Needs no network once cargo has its crates.
//
//   node build.mjs            optimised
//   node build.mjs --debug    not optimised, checks on

import { execFileSync } from 'node:child_process';
import { copyFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const profile = process.argv.includes('--debug') ? [] : ['--release'];
const messages = execFileSync(
  'cargo',
  ['build', '--package', 'slabuf-node', '--message-format=json-render-diagnostics', ...profile],
  { cwd: here, encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] },
);
const built = messages
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line))
  .find(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'slabuf_node');
const addon = join(here, 'slabuf.node');
// By way of a rename: a running Node may have the old one mapped.
copyFileSync(built.filenames[0], `${addon}.new`);
renameSync(`${addon}.new`, addon);
console.log(addon);
