// Pausing and waking: what stands still, what wakes it, and what comes of calls that race.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { PassThrough } from 'node:stream';
import { Clock } from './lib/clock.mjs';
import { groupOf as group, pids, stuckOptions, whileStuck } from './lib/processes.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const kIdleTimeout = 1800; // the default
const clock = new Clock();
const daemon = suite({ args: ['--reclaim_after', '0'], env: clock.env });

const frozen = (box) => /^frozen 1$/m.test(fs.readFileSync(`${group(box)}/cgroup.events`, 'utf8'));
const pause = (box) => daemon.json('POST', `${box.path}/pause`);
const resume = (box) => daemon.json('POST', `${box.path}/resume`);

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

// --- falling asleep by itself ---

const pass = (seconds) => clock.pass(seconds, daemon);
const sleepOf = async (box) => (await daemon.json('GET', `${box.path}?details=1`)).details.sleep;
const asleep = (box) => until(`box ${box.id} is paused`, async () => await box.status() === 'paused');
const logOf = async (box) => (await daemon.json('GET', `${box.path}/logs`)).logs.map((entry) => entry.message);

leakless(daemon, 'a box without work for its idle_timeout is paused, and a command wakes it', async () => {
  const [box, sooner] = [await daemon.box(), await daemon.box({ idle_timeout: kIdleTimeout - 60 })];
  await pass(kIdleTimeout - 60);
  await asleep(sooner);
  assert.equal(await box.status(), 'idle');
  await pass(60);
  await asleep(box);
  assert.ok(frozen(box));
  assert.ok((await logOf(box)).includes('paused: nobody needed it'));
  assert.equal(await box.sh('echo awake'), 'awake');
  await pass(kIdleTimeout);
  await asleep(box);
});

leakless(daemon, 'a run keeps a box awake; its end begins a new timeout', async () => {
  const [busy, idle] = [await daemon.box(), await daemon.box()];
  const session = await busy.session({ command: ['cat'] });
  await until('it runs', async () => await busy.status() === 'running');
  await pass(3 * kIdleTimeout);
  await asleep(idle);
  assert.equal(await busy.status(), 'running');
  assert.equal((await sleepOf(busy)).awake_because, 'a command runs in it');
  session.text({ eof: true });
  assert.equal((await session.finish()).exit_code, 0);
  await until('it is over', async () => await busy.status() === 'idle');
  await pass(kIdleTimeout - 60);
  assert.equal(await busy.status(), 'idle');
  await pass(60);
  await asleep(busy);
});

leakless(daemon, 'a request that works with the box keeps it awake', async () => {
  const [used, idle] = [await daemon.box({ idle_timeout: 5 }), await daemon.box({ idle_timeout: 5 })];
  const stream = new PassThrough();
  const uploaded = daemon.ask('POST', `${used.path}/files/upload`,
    { stream, headers: { 'content-type': 'multipart/form-data; boundary=XX' } });
  stream.write('--XX\r\nContent-Disposition: form-data; name="paths"\r\n\r\nfile\r\n');
  await until('it has begun', async () => (await sleepOf(used)).awake_because === 'a request uses it');
  await pass(5);
  await asleep(idle);
  assert.equal(await used.status(), 'idle');
  stream.end('--XX\r\nContent-Disposition: form-data; name="files"; filename="f"\r\n\r\nwhole\r\n--XX--\r\n');
  assert.equal((await uploaded).status, 200);
  await pass(5);
  await asleep(used);
  assert.equal(await used.read('file'), 'whole');
});

leakless(daemon, 'a box tells why it is awake and when it will sleep', async () => {
  const box = await daemon.box();
  const sleep = await sleepOf(box);
  assert.equal(sleep.awake_because, 'it was used a short while ago');
  assert.equal(sleep.idle_timeout, kIdleTimeout);
  assert.ok(Math.abs(sleep.sleeps_at - clock.now() - kIdleTimeout) <= 60, JSON.stringify(sleep));
  const never = await sleepOf(await daemon.box({ idle_timeout: 0 }));
  assert.deepEqual(never, { idle_timeout: 0, awake_because: 'its idle_timeout is 0' });
  await pause(box);
  const { paused_at, awake_because } = await sleepOf(box);
  assert.ok(Math.abs(paused_at - clock.now()) <= 60);
  assert.equal(awake_because, undefined);
});

leakless(daemon, 'a box keeps its own timeout across daemons', async () => {
  const [box, other] = [await daemon.box({ idle_timeout: 60 }), await daemon.box()];
  await crash();
  await pass(60);
  await asleep(box);
  assert.equal(await other.status(), 'idle');
});

leakless(daemon, 'a pause gives the page cache back, and says how much', async () => {
  const box = await daemon.box();
  await box.sh('dd if=/dev/zero of=big bs=1M count=48 conv=fsync 2>/dev/null');
  const given = await until('memory is given back', async () => {
    await pause(box); // again if not all of it was written out yet
    const { reclaimed_bytes } = await until('it was asked', async () => {
      const sleep = await sleepOf(box);
      return sleep.reclaimed_bytes !== undefined && sleep;
    });
    if (reclaimed_bytes < 24 << 20) await resume(box);
    return reclaimed_bytes >= 24 << 20 && reclaimed_bytes;
  });
  assert.ok(given < 200 << 20);
  assert.equal(await box.sh('wc -c < big'), String(48 << 20));
});

// --- kept alive ---

leakless(daemon, 'a keep_alive box is never paused', async () => {
  const [kept, other] = [await daemon.box({ keep_alive: true }), await daemon.box()];
  assert.equal(kept.data.keep_alive, true);
  await daemon.refuses(409, new RegExp(`${kept.id}: keep_alive`), 'POST', `${kept.path}/pause`);
  await pass(10 * kIdleTimeout);
  await asleep(other);
  assert.equal(await kept.status(), 'idle');
  assert.equal((await sleepOf(kept)).awake_because, 'keep_alive is set');
});

leakless(daemon, 'the init command runs at the start of a box, and what it says is in the log', async () => {
  const init_command = 'echo one; echo amiss >&2; echo "$WHO $PWD"; echo started > marker; exit 3';
  const box = await daemon.box({ keep_alive: true, init_command, env_vars: { WHO: 'me' } });
  await until('it has ended', async () => (await logOf(box)).some((line) => /exit status/.test(line)));
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  const said = (level) => logs.filter((line) => /^init_command/.test(line.message) && line.level === level).map(({ message }) => message);
  assert.deepEqual([said('info'), said('warn'), said('error')],
    [['init_command: one', 'init_command: me /workspace/home'], ['init_command: amiss'], ['init_command ended with exit status 3']]);
  assert.equal(await box.read('marker'), 'started\n');
});

leakless(daemon, 'the init command is read, replaced and deleted, and runs at each fresh start', async () => {
  const box = await daemon.box({ keep_alive: true });
  const startup = `${box.path}/startup`;
  assert.deepEqual(await daemon.json('GET', startup), { init_command: '' });
  assert.deepEqual(await daemon.json('PUT', startup, { init_command: 'echo again' }), { init_command: 'echo again' });
  await crash();
  assert.deepEqual(await daemon.json('GET', startup), { init_command: 'echo again' });
  assert.equal((await logOf(box)).filter((line) => /again/.test(line)).length, 0, 'a new daemon is no start of the box');
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  await until('its end is noticed', () => !fs.existsSync(group(box)));
  const end = (await logOf(box)).find((line) => /its init ended/.test(line));
  assert.match(end, /starts afresh when work arrives/, 'one that ends within a minute may do so for ever');
  assert.equal(await box.status(), 'paused');
  await resume(box);
  await until('it has run', async () => (await logOf(box)).includes('init_command: again'));
  assert.deepEqual(await daemon.json('DELETE', startup), { init_command: '' });
  await daemon.refuses(400, /^init_command: /, 'PUT', startup, { body: {} });
});

leakless(daemon, 'any box has an init command, which runs at its start and when it is resumed', async () => {
  const box = await daemon.box({ init_command: 'echo "$PWD" >> starts; ln -s x one-at-a-time && while [ -L one-at-a-time ]; do cat /tmp/gate; done' });
  const starts = () => box.sh('cat starts');
  await until('it has begun', async () => await box.fails('test -L one-at-a-time') === 0);
  await daemon.json('POST', `${box.path}/pause`);
  await resume(box);
  assert.equal(await starts(), '/workspace/home', 'it still runs');
  await box.sh('rm one-at-a-time');
  await until('it has ended', async () => (await daemon.json('GET', `${box.path}/runs`)).runs.every(({ status }) => status !== 'running'));
  await daemon.json('PUT', `${box.path}/startup`, { init_command: 'echo again >> starts' });
  await daemon.json('POST', `${box.path}/pause`);
  assert.deepEqual(await daemon.json('GET', `${box.path}/startup`), { init_command: 'echo again >> starts' });
  assert.deepEqual(await daemon.json('PUT', `${box.path}/startup`, { init_command: 'echo woken >> starts' }), { init_command: 'echo woken >> starts' });
  assert.equal(await box.status(), 'paused');
  await resume(box);
  await until('it has run', async () => (await starts()).includes('woken'));
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 's' }, 201);
  const make = async (body) => daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id, ...body }, 201);
  assert.deepEqual(await daemon.json('GET', `/v2/box/${(await make({})).id}/startup`), { init_command: '' }, 'a snapshot has none');
  const { id } = await make({ init_command: 'touch made' });
  await until('it has run there', async () => (await daemon.ask('GET', `/v2/box/${id}/files/stat?path=made`)).status === 200);
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'a keep_alive box whose init ended while no daemon ran is started by the next', async () => {
  const box = await daemon.box({ keep_alive: true, init_command: 'echo hello' });
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  await until('it has run', async () => (await logOf(box)).includes('init_command: hello'));
  await daemon.end('SIGKILL');
  process.kill(details.init_pid, 'SIGKILL');
  await daemon.launch();
  await until('it is started', async () => (await logOf(box)).filter((line) => line === 'init_command: hello').length === 2);
  await until('it is ready', async () => await box.status() === 'idle');
});

// --- ephemeral ---

const gone = (box) => until(`box ${box.id} is gone`, async () => (await daemon.ask('GET', box.path)).status === 404);

leakless(daemon, 'an ephemeral box says when it ends, and is gone then', async () => {
  const [brief, longest] = [await daemon.box({ ephemeral: true, ttl: 60 }), await daemon.box({ ephemeral: true })];
  assert.equal(brief.data.ephemeral, true);
  assert.equal(brief.data.expires_at - brief.data.created_at, 60);
  assert.equal(longest.data.expires_at - longest.data.created_at, 3 * 24 * 3600);
  await pause(brief);
  await pass(60);
  await gone(brief);
  await pass(3 * 24 * 3600 - 120);
  assert.equal((await daemon.ask('GET', longest.path)).status, 200);
  await pass(120);
  await gone(longest);
});

leakless(daemon, 'an ephemeral box ends in the time of the next daemon, or at its start', async () => {
  const [later, first] = [await daemon.box({ ephemeral: true, ttl: 600 }), await daemon.box({ ephemeral: true, ttl: 60 })];
  await daemon.end('SIGKILL');
  await pass(60);
  await daemon.launch();
  await gone(first);
  assert.equal(await later.status(), 'idle');
  await pass(540);
  await gone(later);
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
