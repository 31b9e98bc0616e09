// Compares slabuf's Buffers with Node's own: speed in interleaved rounds, and rss after a peak.
// Each row runs in a separate process.
//
//   node compare.mjs          the tables
//   node compare.mjs quick    fewer rounds, to check that it runs

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { arch, cpus, release } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const KiB = 1024;
const MiB = 1024 * KiB;
const LENGTHS = [100, 4 * KiB, 64 * KiB, MiB];
const CONTESTANTS = ['slabuf', 'slabs of 64 KiB', 'Node'];
const IN_PEAKS = ['slabuf', 'Node'];
/** Bytes and buffers between two turns of the event loop. */
const BATCH_BYTES = 8 * MiB;
const BATCH_COUNT = 1000;
const PEAK = { length: 64 * KiB, count: 4096 };

const quick = process.argv.includes('quick');
const ROUNDS = quick ? 3 : 15;
const ROUND_MILLIS = quick ? 20 : 200;

let sink = 0;

const slabuf = createRequire(import.meta.url)('./index.js');
const makers = { slabuf, 'slabs of 64 KiB': slabuf.pool({ slabSize: 64 * KiB }), Node: Buffer };

/**
 * Returns nanoseconds for one buffer, including its collection: processor time of all threads of the
 * process, which other programs influence less than the time of the clock.
 */
async function round(contestant, name, length, touch) {
  const maker = makers[contestant];
  // The garbage of the contestant before must not count here.
  globalThis.gc();
  await turn();
  const batch = Math.max(1, Math.min(BATCH_COUNT, Math.floor(BATCH_BYTES / length)));
  const end = performance.now() + ROUND_MILLIS;
  const before = process.cpuUsage();
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < batch; i++) {
      const buffer = maker[name](length);
      if (touch) buffer.fill(1);
      else buffer[0] = 1;
      sink ^= buffer[0];
    }
    count += batch;
    await turn();
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / count;
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const measures = {
  /** All contestants in turn, in one process; the medians. */
  async speed({ name, length, touch }) {
    const samples = CONTESTANTS.map(() => []);
    for (const contestant of CONTESTANTS) await round(contestant, name, length, touch);
    for (let i = 0; i < ROUNDS; i++) {
      for (let j = 0; j < CONTESTANTS.length; j++) {
        const number = (i + j) % CONTESTANTS.length;
        samples[number].push(await round(CONTESTANTS[number], name, length, touch));
      }
    }
    return samples.map(median);
  },

  /** rss before, at the peak, with two in a hundred left, and after `trim`. */
  async peak({ contestant }) {
    const settle = async () => {
      for (let i = 0; i < 10; i++) {
        globalThis.gc();
        await turn();
      }
      return process.memoryUsage.rss();
    };
    const { alloc } = makers[contestant];
    alloc(1);
    const before = await settle();
    let held = Array.from({ length: PEAK.count }, () => alloc(PEAK.length).fill(1));
    const peak = await settle();
    held = held.filter((_, number) => number % 50 === 0);
    const left = await settle();
    if (contestant === 'slabuf') slabuf.trim();
    const trimmed = await settle();
    if (held.some((buffer) => buffer[PEAK.length - 1] !== 1)) throw new Error('overwritten');
    return { live: held.length * PEAK.length, peak: peak - before, left: left - before, trimmed: trimmed - before };
  },

  /** The highest rss of a loop that never returns to the event loop. */
  async sync({ contestant }) {
    const { alloc } = makers[contestant];
    const before = process.memoryUsage.rss();
    let highest = 0;
    for (let i = 0; i < (quick ? 1000 : 20_000); i++) {
      sink ^= alloc(PEAK.length).fill(1)[0];
      if (i % 100 === 0) highest = Math.max(highest, process.memoryUsage.rss());
    }
    return { highest: highest - before };
  },
};

function measure(what, parameters) {
  const flags = ['--expose-gc', fileURLToPath(import.meta.url), ...(quick ? ['quick'] : [])];
  const { status, stdout } = spawnSync(process.execPath, [...flags, what, JSON.stringify(parameters)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`${what} ${JSON.stringify(parameters)} ended with ${status}`);
  return JSON.parse(stdout);
}

const nanos = (value) => value.toFixed(0);
const mib = (bytes) => (bytes / MiB).toFixed(1);
const label = (length) => (length >= MiB ? `${length / MiB} MiB` : length >= KiB ? `${length / KiB} KiB` : `${length} B`);
const line = (cells) => console.log(`| ${cells.join(' | ')} |`);

function tables() {
  console.log(`Node ${process.version}, ${cpus().length} x ${cpus()[0].model}, Linux ${release()}, ${arch()}\n`);
  line(['length', 'constructor', 'written', ...CONTESTANTS.map((name) => `${name}, ns`), 'slabuf / Node']);
  line(['---:', '---', '---', ...CONTESTANTS.map(() => '---:'), '---:']);
  for (const length of LENGTHS) {
    for (const name of ['alloc', 'allocUnsafe']) {
      for (const touch of [false, true]) {
        const medians = measure('speed', { name, length, touch });
        const ratio = (medians[0] / medians.at(-1)).toFixed(2);
        line([label(length), name, touch ? 'all' : 'one byte', ...medians.map(nanos), ratio]);
      }
    }
  }
  console.log(`\nMiB above the start, ${PEAK.count} buffers of ${label(PEAK.length)}, 98 % dropped:\n`);
  line(['', 'live', 'rss at the peak', 'rss after gc', 'rss after trim']);
  line(['---', '---:', '---:', '---:', '---:']);
  for (const contestant of IN_PEAKS) {
    const { live, peak, left, trimmed } = measure('peak', { contestant });
    line([contestant, ...[live, peak, left, trimmed].map(mib)]);
  }
  console.log('\nMiB of rss, at most, in a loop that takes and drops 20,000 of them without a turn of the event loop:\n');
  line(['', 'highest rss']);
  line(['---', '---:']);
  for (const contestant of IN_PEAKS) line([contestant, mib(measure('sync', { contestant }).highest)]);
}

const [what, parameters] = process.argv.slice(2).filter((argument) => argument !== 'quick');
if (what === undefined) tables();
else console.log(JSON.stringify(await measures[what](JSON.parse(parameters))));
process.exitCode = sink === -1 ? 1 : 0; // The sink is used, so no buffer can be left out.
