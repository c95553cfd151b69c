// Pausing and waking: what stands still, what wakes it, and what comes of calls that race.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { unifiedGroup } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

const group = (box) => `${unifiedGroup(daemon.name)}/b-${box.id}`;
const frozen = (box) => /^frozen 1$/m.test(fs.readFileSync(`${group(box)}/cgroup.events`, 'utf8'));
const pause = (box) => daemon.json('POST', `${box.path}/pause`);
const resume = (box) => daemon.json('POST', `${box.path}/resume`);

/// Host pids of all processes in the box.
function pids(box) {
  const groups = fs.readdirSync(group(box), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return groups.flatMap(({ name }) => fs.readFileSync(`${group(box)}/${name}/cgroup.procs`, 'utf8').match(/\d+/g) ?? []);
}

async function crash() {
  assert.deepEqual(await daemon.end('SIGKILL'), { code: null, signal: 'SIGKILL' });
  await daemon.launch();
}

leakless(daemon, 'a paused box stands still, and says so', async () => {
  const box = await daemon.box();
  assert.deepEqual(await pause(box), {});
  assert.equal(await box.status(), 'paused');
  assert.ok(frozen(box));
  assert.deepEqual(await resume(box), {});
  assert.equal(await box.status(), 'idle');
  assert.ok(!frozen(box));
});

leakless(daemon, 'pausing twice and resuming twice change nothing more', async () => {
  const box = await daemon.box({ name: 'twice' });
  for (let i = 0; i < 2; ++i) assert.deepEqual(await daemon.json('POST', '/v2/box/twice/pause'), {});
  assert.equal(await box.status(), 'paused');
  for (let i = 0; i < 2; ++i) assert.deepEqual(await daemon.json('POST', '/v2/box/twice/resume'), {});
  assert.equal(await box.status(), 'idle');
});

leakless(daemon, 'a command wakes a paused box, and finds its processes as they were', async () => {
  const box = await daemon.box();
  const pid = await box.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  await pause(box);
  await box.sh(`kill -0 ${pid}`);
  assert.equal(await box.status(), 'idle');
});

leakless(daemon, 'file calls and a session wake a paused box; looking at it does not', async () => {
  const box = await daemon.box();
  await box.write('file', 'kept');
  await pause(box);
  await daemon.json('GET', `${box.path}?details=1`);
  await daemon.json('GET', `${box.path}/logs`);
  assert.equal(await box.status(), 'paused');
  assert.equal(await box.read('file'), 'kept');
  assert.equal(await box.status(), 'idle');
  await pause(box);
  const session = await box.session({ command: ['echo', 'awake'] });
  await session.until(/awake/);
  assert.deepEqual((await session.finish()).exit_code, 0);
});

leakless(daemon, 'a run is frozen with its box, and goes on when it is resumed', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'echo up; read line; echo "got $line"'] });
  await session.until(/up/);
  assert.equal(await box.status(), 'running');
  await pause(box);
  assert.equal(await box.status(), 'paused');
  session.input('word\n');
  assert.equal(await box.status(), 'paused');
  assert.equal(session.output, 'up\n');
  await resume(box);
  await session.until(/got word/);
  assert.equal((await session.finish()).exit_code, 0);
});

leakless(daemon, 'a paused box is deleted with the run in it', async () => {
  const box = await daemon.box();
  const stream = await box.stream(['sh', '-c', 'echo up; sleep 1000']);
  await stream.until('up');
  await pause(box);
  await box.remove();
  const { event, data } = await stream.finish();
  assert.equal(event, 'error');
  assert.match(data.error, /deleted/);
});

leakless(daemon, 'a box of 500 processes is paused and woken whole', async () => {
  const box = await daemon.box();
  await box.sh('i=0; while [ $i -lt 500 ]; do sleep 1000 > /dev/null 2>&1 & i=$((i+1)); done');
  const before = pids(box);
  assert.ok(before.length > 500);
  await pause(box);
  assert.ok(frozen(box));
  await resume(box);
  assert.deepEqual(pids(box), before);
});

leakless(daemon, 'a box whose init is killed while it is paused starts afresh for work', async () => {
  const box = await daemon.box();
  await box.write('file', 'kept');
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  await pause(box);
  process.kill(details.init_pid, 'SIGKILL');
  await until('its end is noticed', () => !fs.existsSync(group(box)));
  assert.equal(await box.status(), 'paused');
  assert.equal(await box.read('file'), 'kept');
  assert.equal(await box.status(), 'idle');
});

leakless(daemon, 'a box that does not exist cannot be paused or resumed', async () => {
  await daemon.refuses(404, /nobody/, 'POST', '/v2/box/nobody/pause');
  await daemon.refuses(404, /nobody/, 'POST', '/v2/box/nobody/resume');
});

// --- what a killed daemon leaves ---

leakless(daemon, 'a paused box is paused for the next daemon too', async () => {
  const [asleep, awake] = [await daemon.box(), await daemon.box()];
  const pid = await asleep.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  await pause(asleep);
  await crash();
  assert.deepEqual([await asleep.status(), await awake.status()], ['paused', 'idle']);
  assert.ok(frozen(asleep));
  await asleep.sh(`kill -0 ${pid}`);
});

leakless(daemon, 'a box resumed while no daemon ran is awake for the next', async () => {
  const box = await daemon.box();
  await pause(box);
  await daemon.end('SIGKILL');
  fs.writeFileSync(`${group(box)}/cgroup.freeze`, '0');
  await until('it runs', () => !frozen(box));
  await daemon.launch();
  assert.equal(await box.status(), 'idle');
});

// --- what does not stop ---

const kFreezer = '/sys/fs/cgroup/freezer'; // the old hierarchy: what it holds, the new one cannot bring to a stop
const stuckOptions = { skip: fs.existsSync(`${kFreezer}/tasks`) ? false : 'needs the v1 freezer, to make a process that does not stop' };

/// Runs `work` while one process of the box waits in the kernel.
async function whileStuck(box, work) {
  const cage = `${kFreezer}/${daemon.name}`;
  const pid = await box.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  const host = pids(box).find((candidate) => new RegExp(`^NSpid:.*\\s${pid}$`, 'm').test(fs.readFileSync(`/proc/${candidate}/status`, 'utf8')));
  fs.mkdirSync(cage);
  try {
    fs.writeFileSync(`${cage}/cgroup.procs`, host);
    fs.writeFileSync(`${cage}/freezer.state`, 'FROZEN');
    await until('it is stuck', () => fs.readFileSync(`${cage}/freezer.state`, 'utf8') === 'FROZEN\n');
    await work();
  } finally {
    fs.writeFileSync(`${cage}/freezer.state`, 'THAWED');
    process.kill(Number(host), 'SIGKILL');
    await until('it is free', () => fs.readFileSync(`${cage}/cgroup.procs`, 'utf8') === '');
    fs.rmdirSync(cage);
  }
}

leakless(daemon, 'a box that does not stop runs on, and the call says so', stuckOptions, async () => {
  const box = await daemon.box();
  await whileStuck(box, async () => {
    await daemon.refuses(409, new RegExp(`${box.id}: .*did not stop within .*runs on`), 'POST', `${box.path}/pause`);
    assert.equal(await box.status(), 'idle');
    assert.equal(fs.readFileSync(`${group(box)}/cgroup.freeze`, 'utf8'), '0\n');
    assert.equal(await box.sh('echo usable'), 'usable');
  });
  await pause(box);
});

leakless(daemon, 'work that arrives while a box is being paused gets a box that is awake', stuckOptions, async () => {
  const box = await daemon.box();
  await whileStuck(box, async () => {
    const pausing = daemon.ask('POST', `${box.path}/pause`);
    await until('it has begun', () => fs.readFileSync(`${group(box)}/cgroup.freeze`, 'utf8') === '1\n');
    assert.equal(await box.sh('echo usable'), 'usable');
    assert.equal((await pausing).status, 409);
  });
});

leakless(daemon, 'a freeze that a killed daemon had only begun is taken back', stuckOptions, async () => {
  const box = await daemon.box();
  await whileStuck(box, async () => {
    await daemon.end('SIGKILL');
    fs.writeFileSync(`${group(box)}/cgroup.freeze`, '1');
    await daemon.launch();
    assert.equal(await box.status(), 'idle');
    assert.equal(fs.readFileSync(`${group(box)}/cgroup.freeze`, 'utf8'), '0\n');
    assert.equal(await box.sh('echo usable'), 'usable');
  });
});

// --- races ---

leakless(daemon, 'pauses, resumes and commands at the same time all come to an end, and the box is well', async () => {
  const box = await daemon.box();
  let over = false;
  // A command may be frozen by a pause right after it began: somebody has to resume.
  const resuming = (async () => {
    while (!over) await resume(box);
  })();
  const lanes = [0, 1, 2].map(async () => {
    for (let i = 0; i < 30; ++i) await pause(box);
  });
  lanes.push(...[0, 1, 2].map(async (lane) => {
    for (let i = 0; i < 30; ++i) assert.equal(await box.sh(`echo ${lane}-${i}`), `${lane}-${i}`);
  }));
  await Promise.all(lanes);
  over = true;
  await resuming;
  assert.equal(await box.status(), 'idle');
  assert.ok(!frozen(box));
});

leakless(daemon, 'of a pause and a delete at the same time the delete wins', async () => {
  await Promise.all(Array.from({ length: 10 }, async () => {
    const box = await daemon.box();
    const [paused, removed, resumed] = await Promise.all(
      [['POST', `${box.path}/pause`], ['DELETE', box.path], ['POST', `${box.path}/resume`]].map((call) => daemon.ask(...call)));
    assert.equal(removed.status, 200);
    for (const answer of [paused, resumed]) assert.ok([200, 404].includes(answer.status), answer.text);
    await daemon.refuses(404, new RegExp(box.id), 'GET', box.path);
  }));
});

leakless(daemon, 'a pause that finds a box still being made waits for it', async () => {
  const making = daemon.ask('POST', '/v2/box', { body: { name: 'early' } });
  const paused = await until('it has a name', async () => {
    const answer = await daemon.ask('POST', '/v2/box/early/pause');
    return answer.status !== 404 && answer;
  });
  assert.equal(paused.status, 200, paused.text);
  assert.equal((await making).status, 201);
  assert.equal((await daemon.json('GET', '/v2/box/early/status')).status, 'paused');
});

leakless(daemon, 'two boxes are paused without each other', async () => {
  const [one, other] = [await daemon.box(), await daemon.box()];
  await pause(one);
  assert.equal(await other.sh('echo awake'), 'awake');
  assert.deepEqual([await one.status(), await other.status()], ['paused', 'idle']);
});
