// Builds the addon with cargo and puts it beside index.js. `npm install` runs this.
//
//   node build.mjs            optimised
//   node build.mjs --debug    not optimised, with checks

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const addon = join(here, 'slabuf.node');

function fail(message) {
  console.error(`slabuf: ${message}`);
  process.exit(1);
}

/**
 * A copy of the package, as `npm install --install-links` and `npm pack` make it, has no Rust
 * sources.
 */
function useCopy() {
  try {
    createRequire(import.meta.url)('./index.js');
  } catch (error) {
    fail(`this copy of the package has no Rust sources beside it, and no addon that works here (${error.message})
Either install the directory in slabuf's repository itself, of which npm then makes a link:
    npm install PATH/TO/slabuf/bindings/node
or run \`node build.mjs\` there before you pack it.`);
  }
  console.log(`${addon} (as packed)`);
}

function build() {
  const flags = process.argv.includes('--debug') ? [] : ['--release'];
  const { status, error, stdout } = spawnSync(
    'cargo',
    ['build', '--package', 'slabuf-node', '--message-format=json-render-diagnostics', ...flags],
    {
      cwd: here,
      encoding: 'utf8',
      maxBuffer: 1 << 28,
      stdio: ['ignore', 'pipe', 'inherit'],
      // build.rs looks for the headers of this Node.
      env: { ...process.env, NODE: process.execPath },
    },
  );
  if (error?.code === 'ENOENT') {
    fail('cargo was not found. Install Rust 1.89 or later (https://rustup.rs), and run `npm install` again.');
  }
  if (status !== 0) fail(error?.message ?? `cargo ended with status ${status}: its messages are above`);
  const messages = stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const built = messages.find(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'slabuf_node');
  // A running Node may have the old file mapped, so the new one replaces it by a rename.
  copyFileSync(built.filenames[0], `${addon}.new`);
  renameSync(`${addon}.new`, addon);
  console.log(addon);
}

if (existsSync(join(here, '..', '..', 'Cargo.toml'))) build();
else useCopy();
