// Times the constructors of Node's Buffer and prints them beside the crate's times, which criterion
// left in its directory. Started by run.sh with the crate's directory as its argument.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const KiB = 1024;
const MiB = 1024 * KiB;
const LENGTHS = [
  16, 64, 256, KiB, 4 * KiB, 8 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB, 16 * MiB, 64 * MiB,
];
const SAMPLES = 15;
const SAMPLE_NANOS = 20e6;

let sink = 0;

/** Nanoseconds for one buffer over a sample of `count`. */
function sample(make, length, count) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < count; i++) {
    const buffer = make(length);
    buffer[0] = 1;
    sink ^= buffer[0];
  }
  return Number(process.hrtime.bigint() - start) / count;
}

/** The median of several samples, each long enough for the collector to have its share. */
function nanosInNode(make, length) {
  let count = 1;
  while (sample(make, length, count) * count < SAMPLE_NANOS) count *= 2;
  const samples = Array.from({ length: SAMPLES }, () => sample(make, length, count));
  return samples.sort((a, b) => a - b)[SAMPLES >> 1];
}

function criterionHome(root) {
  if (process.env.CRITERION_HOME) return process.env.CRITERION_HOME;
  const manifest = join(root, 'Cargo.toml');
  const metadata = execFileSync('cargo', ['metadata', '--no-deps', '--format-version=1', '--manifest-path', manifest]);
  return join(JSON.parse(metadata).target_directory, 'criterion');
}

function nanosInCrate(home, constructor, length) {
  const file = join(home, 'one_byte', constructor, String(length), 'new', 'estimates.json');
  try {
    return JSON.parse(readFileSync(file)).median.point_estimate;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function show(nanos) {
  if (nanos === undefined) return '-';
  return nanos < 100 ? nanos.toFixed(1) : nanos.toFixed(0);
}

function showLength(length) {
  if (length >= MiB) return `${length / MiB} MiB`;
  return length >= KiB ? `${length / KiB} KiB` : `${length} B`;
}

function line(cells) {
  console.log(`| ${cells.map((cell) => String(cell).padStart(20)).join(' | ')} |`);
}

const home = criterionHome(process.argv[2]);
console.log(`\nns for one buffer, one byte written; Node ${process.version}\n`);
line(['length', 'Buffer.alloc', 'Buffer::alloc', 'Buffer.allocUnsafe', 'Buffer::alloc_unsafe']);
line(Array(5).fill('-------------------:'));
for (const length of LENGTHS) {
  const node = [Buffer.alloc, Buffer.allocUnsafe].map((make) => nanosInNode(make, length));
  const crate = ['alloc', 'alloc_unsafe'].map((name) => nanosInCrate(home, name, length));
  line([showLength(length), show(node[0]), show(crate[0]), show(node[1]), show(crate[1])]);
}
process.exitCode = sink === -1 ? 1 : 0; // Uses the sink, so that no buffer is optimised away.
