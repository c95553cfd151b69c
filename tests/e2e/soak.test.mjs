// A mixed load, and kill -9 of the daemon at random points of it, again and again: no box is lost, nothing leaks, every
// run's output and exit status are complete.   [--kills N] [--seed S] [--boxes N] [--lanes N]

import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { leakless, needs, suite } from './lib/suite.mjs';
import { Client } from './soak/client.mjs';
import { Dice } from './soak/dice.mjs';
import { Fuse, noFuse } from './soak/fuse.mjs';
import { Load } from './soak/load.mjs';
import { Slot } from './soak/model.mjs';
import { Verdict } from './soak/verdict.mjs';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: String(Date.now() % 1e6) },
    boxes: { type: 'string', default: '10' },
    lanes: { type: 'string', default: '6' },
  },
});
const [kills, seed, boxes, lanes] = ['kills', 'seed', 'boxes', 'lanes'].map((name) => {
  assert.match(values[name], /^\d+$/, `--${name}: must be a number`);
  return Number(values[name]);
});

needs();
const daemon = suite();

/// The latest steps, for who has to find out why.
class Diary {
  constructor() {
    this.lines = [];
  }

  add(line) {
    this.lines.push(line);
    if (this.lines.length > 200) this.lines.shift();
  }
}

/// Starts the next daemon; now and then one that is killed while it starts comes first. How many kills that took.
async function restart(dice) {
  let killed = 0;
  while (dice.chance(0.2)) {
    daemon.spawn();
    if (dice.chance(0.5)) await daemon.firstLine; // in the middle of its start
    for (let turns = dice.anySize(10); turns > 0; --turns) await setImmediate();
    await daemon.end('SIGKILL');
    ++killed;
  }
  await daemon.launch();
  return killed;
}

async function round(number, load, slots, diary) {
  const dice = new Dice(seed, number);
  const fuse = new Fuse(dice, daemon);
  diary.add(`--- round ${number}: killed after ${fuse.plan} ---`);
  load.client.fuse = fuse;
  try {
    await Promise.all(Array.from({ length: lanes }, (_, i) => load.lane(new Dice(seed, number, i + 1))));
  } catch (error) {
    fuse.defuse();
    throw error;
  }
  await fuse.blowing;
  assert.deepEqual(await daemon.exited, [null, 'SIGKILL'], `hutchd ended by itself\n${daemon.log.join('\n')}`);
  const killed = 1 + await restart(dice);
  load.client.fuse = noFuse;
  await new Verdict(daemon, load, slots).give(dice);
  return killed;
}

/// All runs that are left, to their ends.
async function finish(load, slots) {
  for (const slot of slots.filter((one) => one.box)) {
    for (const run of slot.box.runs.values()) {
      if (run.endless) await load.end(slot.box, run);
      await load.look(slot, run);
    }
  }
}

leakless(daemon, `${kills} kills of the daemon under load (--seed ${seed})`, { timeout: 60_000 + kills * 3000 }, async () => {
  const diary = new Diary();
  const slots = Array.from({ length: boxes }, (_, i) => new Slot(i));
  const load = new Load(new Client(daemon), slots, (step) => diary.add(step));
  const begin = performance.now();
  let killed = 0;
  try {
    for (let number = 1, said = 0; killed < kills; ++number) {
      killed += await round(number, load, slots, diary);
      if (killed < said + 25 && killed < kills) continue;
      said = killed;
      const seconds = Math.round((performance.now() - begin) / 1000);
      console.log(`${killed} kills, ${Object.values(load.done).reduce((sum, count) => sum + count, 0)} operations, ${seconds} s`);
    }
    await finish(load, slots);
    console.log(Object.entries(load.done).map(([name, count]) => `${name} ${count}`).join(', '));
  } catch (error) {
    const told = [...diary.lines, '--- the log of hutchd ---', ...daemon.log];
    throw new Error(`--seed ${seed}, after ${killed} kills: ${error.message}\n${told.join('\n')}`, { cause: error });
  }
});
