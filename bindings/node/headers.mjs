// Prints the directory of the C++ headers that belong to the running Node, or nothing.

import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const { env, execPath, platform, arch, version, versions } = process;
const binaries = join(execPath, '..');
const cache = env.XDG_CACHE_HOME ?? join(homedir(), '.cache');

const candidates = [
  env.npm_config_nodedir && join(env.npm_config_nodedir, 'include', 'node'),
  // An installation: bin/node beside include/node.
  join(binaries, '..', 'include', 'node'),
  // The npm package `node`, whose headers are in the package of the platform.
  join(binaries, '..', '..', `node-${platform}-${arch}`, 'include', 'node'),
  // What node-gyp has downloaded.
  join(cache, 'node-gyp', version.slice(1), 'include', 'node'),
  join(homedir(), 'Library', 'Caches', 'node-gyp', version.slice(1), 'include', 'node'),
];

/** Whether a directory has the headers of the running Node's ABI. */
function fits(directory) {
  const file = join(directory, 'node_version.h');
  if (!existsSync(file) || !existsSync(join(directory, 'v8.h'))) return false;
  return new RegExp(`define NODE_MODULE_VERSION ${versions.modules}\\b`).test(readFileSync(file, 'utf8'));
}

console.log(candidates.find((directory) => directory && fits(directory)) ?? '');
