// `npm install <path>` builds the addon, or says what is missing.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MiB, slabuf } from './support.mjs';

const HERE = fileURLToPath(new URL('..', import.meta.url));
const has = (program) => spawnSync(program, ['--version']).status === 0;

async function inDirectory(call) {
  const directory = await mkdtemp(join(tmpdir(), 'slabuf-'));
  try {
    await call(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('npm install <path> builds, and a program finds the module', { skip: !has('npm') || !has('cargo') }, () =>
  inDirectory(async (directory) => {
    await writeFile(join(directory, 'package.json'), '{"name":"program","version":"1.0.0"}');
    const npm = spawnSync('npm', ['install', '--offline', '--no-audit', '--no-fund', HERE], { cwd: directory, encoding: 'utf8' });
    assert.equal(npm.status, 0, npm.stderr);
    const program = "const slabuf = require('slabuf'); console.log(slabuf.alloc(3, 'x').toString());";
    const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { cwd: directory, encoding: 'utf8' });
    assert.equal(stdout, 'xxx\n', stderr);
  }));

/**
 * Copies the package without Rust sources and without the addon, as npm packs it before a build.
 */
async function copy(to) {
  const { files } = createRequire(import.meta.url)('../package.json');
  for (const file of files.filter((name) => name !== 'slabuf.node')) await cp(join(HERE, file), join(to, file), { recursive: true });
}

test('a copy that was never built says how to install', () =>
  inDirectory(async (directory) => {
    await copy(directory);
    const build = spawnSync(process.execPath, ['build.mjs'], { cwd: directory, encoding: 'utf8' });
    assert.equal(build.status, 1);
    assert.match(build.stderr, /no Rust sources[^]*npm install PATH/);
    const use = spawnSync(process.execPath, ['-e', 'require(".")'], { cwd: directory, encoding: 'utf8' });
    assert.match(use.stderr, /slabuf\.node has not been built[^]*node build\.mjs[^]*ERR_SLABUF_ADDON/);
  }));

test('a copy that was built before installs', () =>
  inDirectory(async (directory) => {
    await copy(directory);
    await cp(join(HERE, 'slabuf.node'), join(directory, 'slabuf.node'));
    const build = spawnSync(process.execPath, ['build.mjs'], { cwd: directory, encoding: 'utf8' });
    assert.equal(build.status, 0, build.stderr);
  }));

test('without cargo, the build says so', () => {
  const build = spawnSync(process.execPath, ['build.mjs'], { cwd: HERE, encoding: 'utf8', env: { PATH: '' } });
  assert.equal(build.status, 1);
  assert.match(build.stderr, /cargo was not found/);
});

test('the types name what the module exports, and nothing else', async () => {
  const types = await readFile(join(HERE, 'index.d.ts'), 'utf8');
  const exported = [...types.matchAll(/^export (?:function|const|class) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(exported.sort(), Object.keys(slabuf).sort());
  const members = (name) => [...types.match(new RegExp(`(?:interface|class) ${name} [^]*?^}`, 'm'))[0].matchAll(/^ {2}(?:readonly )?(\w+)[?(:]/gm)].map((match) => match[1]);
  const methods = (prototype) => Object.getOwnPropertyNames(prototype).sort();
  assert.deepEqual(['constructor', ...new Set([...members('Allocator'), ...members('Pool')])].sort(), methods(Object.getPrototypeOf(slabuf.pool())));
  assert.deepEqual(members('Budget').sort(), methods(slabuf.Budget.prototype));
  assert.deepEqual(members('PoolUsage').sort(), Object.keys(slabuf.usage()).sort());
  assert.deepEqual(members('BudgetUsage').sort(), Object.keys(new slabuf.Budget(MiB).usage()).sort());
  assert.deepEqual(members('MemoryUsage').sort(), Object.keys(slabuf.memoryUsage()).sort());
});

test('the first program of the README runs as it is pasted', async () => {
  const [, program] = /^```js\n([^]*?)^```/m.exec(await readFile(join(HERE, 'README.md'), 'utf8'));
  const source = program.replace("require('slabuf')", `require(${JSON.stringify(HERE)})`);
  const { status, stderr } = spawnSync(process.execPath, ['-e', source], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});
