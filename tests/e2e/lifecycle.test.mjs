// Many boxes, and the ends a daemon can come to: none may lose a box or leave anything behind.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Daemon } from './lib/daemon.mjs';
import { parents, sweep, unifiedGroup } from './lib/host.mjs';
import { Box } from './lib/box.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

/// Runs `work(0..count-1)`, `width` at a time.
async function atATime(width, count, work) {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}

leakless(daemon, '200 boxes, 8 at a time: made, used and deleted without a trace', async () => {
  await atATime(8, 200, async (i) => {
    const box = await daemon.box({ name: `box-${i}` });
    assert.equal(await box.sh(`echo ${i} > file; cat file`), String(i));
    await box.remove();
  });
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
});

leakless(daemon, 'a box is deleted with all that runs in it', async () => {
  const box = await daemon.box();
  const stream = await box.stream(['sh', '-c', 'i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; echo up; wait']);
  await stream.until('up');
  await box.remove();
  const { event, data } = await stream.finish();
  assert.equal(event, 'error');
  assert.match(data.error, /deleted/);
});

leakless(daemon, 'a box is deleted with a large tree in it', async () => {
  const box = await daemon.box();
  await box.sh('i=0; while [ $i -lt 40 ]; do mkdir -p d/$i/x/y/z; (cd d/$i && touch $(seq 100)); i=$((i+1)); done; chmod 0 d');
  await box.remove();
});

/// Kills the daemon as a crash or the kernel would, and starts the next.
async function crash() {
  assert.deepEqual(await daemon.end('SIGKILL'), { code: null, signal: 'SIGKILL' });
  await daemon.launch();
}

leakless(daemon, 'boxes outlive a killed daemon with their processes and files', async () => {
  const box = await daemon.box({ name: 'survivor', labels: ['kept'], env_vars: { A: 'b=c' } });
  await box.write('file', 'written before');
  await box.sh('printf "in a tmpfs" > /dev/shm/memory');
  const pid = await box.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  const before = await daemon.json('GET', box.path);
  await crash();
  // A command that had just ended is taken over with its end, and that comes a moment later.
  await until('nothing runs', async () => await box.status() === 'idle');
  const { updated_at, last_activity_at, total_cpu_ns, total_compute_cost_usd, ...after } = await daemon.json('GET', '/v2/box/survivor');
  assert.deepEqual({ ...before, ...after }, before);
  assert.ok(total_cpu_ns >= before.total_cpu_ns);
  await box.sh(`kill -0 ${pid}`);
  assert.equal(await box.sh('cat file /dev/shm/memory; echo $A'), 'written beforein a tmpfsb=c');
});

leakless(daemon, 'boxes outlive a daemon that is stopped and started', async () => {
  const box = await daemon.box();
  const pid = await box.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  assert.deepEqual(await daemon.end('SIGTERM'), { code: 0, signal: null });
  await daemon.launch();
  await box.sh(`kill -0 ${pid}`);
});

leakless(daemon, 'after a reboot of the host boxes are paused with their files, and wake into a fresh init', async () => {
  const running = await daemon.box({ name: 'running' });
  const paused = await daemon.box();
  const kept = await daemon.box({ keep_alive: true, init_command: 'echo started >> starts' });
  const brief = await daemon.box({ ephemeral: true, ttl: 3600 });
  await running.write('file', 'written before');
  await paused.write('file', 'written before');
  await daemon.json('POST', `${paused.path}/pause`);
  const { run_id } = await daemon.json('POST', `${running.path}/exec`, { command: ['sh', '-c', 'echo up; sleep 1000'], detach: true }, 202);
  await until('the run has spoken', async () => (await daemon.ask('GET', `${running.path}/runs/${run_id}/output`)).text === 'up\n');

  await daemon.end('SIGKILL');
  await sweep(daemon.name); // nothing of the kernel's outlives a reboot: processes, groups, links, rules
  fs.rmSync(path.join(daemon.directory, 'run'), { recursive: true, force: true }); // a tmpfs
  await daemon.launch();

  for (const box of [running, paused, brief]) assert.equal(await box.status(), 'paused');
  const run = await daemon.json('GET', `${running.path}/runs/${run_id}`);
  assert.deepEqual([run.status, run.exit_code], ['failed', null], 'how it ended nobody knows');
  assert.equal((await daemon.ask('GET', `${running.path}/runs/${run_id}/output`)).text, 'up\n');
  assert.equal(await running.sh('cat file'), 'written before');
  assert.equal(await paused.sh('cat file'), 'written before');
  await until('the kept one has started again', async () => (await kept.sh('cat starts')) === 'started\nstarted');
  assert.ok((await daemon.json('GET', brief.path)).expires_at > Date.now() / 1000);
});

leakless(daemon, 'what another daemon left running is still counted and still dies with its box', async () => {
  const box = await daemon.box();
  const stream = await box.stream(['sh', '-c', 'echo up; sleep 1000']);
  await stream.until('up');
  await crash();
  assert.notEqual(await box.sh('pidof sleep'), '');
  await box.remove();
});

leakless(daemon, 'a daemon killed while it makes boxes: what was acknowledged is there, the rest leaves no trace', async () => {
  const old = await daemon.box({ name: 'old' });
  await old.write('file', 'from before the burst');
  const acknowledged = [];
  const burst = Array.from({ length: 40 }, (_, i) =>
    daemon.ask('POST', '/v2/box', { body: { name: `burst-${i}` } }).then((answer) => {
      if (answer.status === 201) acknowledged.push(answer.json);
      if (acknowledged.length === 8) daemon.process.kill('SIGKILL');
    }, () => {})); // cut off
  await Promise.all(burst);
  assert.ok(acknowledged.length >= 8 && acknowledged.length < 40, `${acknowledged.length} of 40 were made`);
  await daemon.exited;
  await daemon.launch();

  const list = await daemon.json('GET', '/v2/box');
  const names = new Set(list.map((box) => box.name));
  for (const { name } of acknowledged) assert.ok(names.has(name), `${name} was acknowledged, and is gone`);
  assert.equal(await old.read('file'), 'from before the burst');
  for (const data of list) assert.equal(await new Box(daemon, data).sh('echo usable'), 'usable');

  // Nothing is on the host but what the list tells of.
  const { uppers, links, groups } = await daemon.census();
  assert.deepEqual(uppers, list.map((box) => box.id).sort());
  assert.equal(links, daemon.baseline.links + list.length);
  assert.deepEqual([...new Set(groups.join('\n').match(/b-\w+/g))].sort(), list.map((box) => `b-${box.id}`).sort());
});

leakless(daemon, 'a daemon killed while it deletes boxes finishes that when it starts', async () => {
  const boxes = await Promise.all(Array.from({ length: 20 }, (_, i) => daemon.box({ name: `doomed-${i}` })));
  let answered = 0;
  const deleted = [];
  await Promise.all(boxes.map((box) => daemon.ask('DELETE', box.path).then(() => {
    deleted.push(box.id);
    if (++answered === 3) daemon.process.kill('SIGKILL');
  }, () => {})));
  await daemon.exited;
  await daemon.launch();
  const left = (await daemon.json('GET', '/v2/box')).map((box) => box.id);
  assert.deepEqual(left.filter((id) => deleted.includes(id)), []);
  for (const id of left) assert.equal((await daemon.json('POST', `/v2/box/${id}/exec`, { command: ['echo', 'x'] })).output, 'x\n');
});

leakless(daemon, 'a daemon killed while it starts recovers all the same', async () => {
  const box = await daemon.box({ name: 'twice' });
  await box.write('file', 'kept');
  await daemon.end('SIGKILL');
  for (let i = 0; i < 5; ++i) {
    daemon.spawn();
    await daemon.firstLine; // it has begun to log: in the middle of its start
    await daemon.end('SIGKILL');
  }
  await daemon.launch();
  assert.equal(await box.read('file'), 'kept');
});

function killInit(box) {
  process.kill(Number(fs.readFileSync(`${unifiedGroup(daemon.name)}/c-local/b-${box.id}/init/cgroup.procs`, 'utf8')), 'SIGKILL');
}

leakless(daemon, 'a box whose init was killed is paused, and wakes with its files for the next command', async () => {
  const box = await daemon.box({ name: 'sleeper' });
  await box.write('file', 'kept');
  killInit(box);
  await until('the box is paused', async () => await box.status() === 'paused');
  assert.equal(await box.sh('cat file; hostname'), 'keptsleeper');
  assert.equal(await box.status(), 'idle');
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.deepEqual(logs.map((entry) => entry.level), ['info', 'error', 'info']);
});

leakless(daemon, 'a paused box wakes for a file call, and keeps the CPU time it has used', async () => {
  const box = await daemon.box();
  await box.write('file', 'kept');
  await box.sh('i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done');
  const { total_cpu_ns } = await daemon.json('GET', box.path);
  killInit(box);
  await until('the box is paused', async () => await box.status() === 'paused');
  assert.ok((await daemon.json('GET', box.path)).total_cpu_ns >= total_cpu_ns);
  assert.equal(await box.read('file'), 'kept');
  assert.ok((await daemon.json('GET', box.path)).total_cpu_ns > total_cpu_ns);
});

leakless(daemon, 'a command under way ends with a reason when its box\'s init is killed', async () => {
  const box = await daemon.box();
  const stream = await box.stream(['sh', '-c', 'echo up; sleep 1000']);
  await stream.until('up');
  killInit(box);
  const { event, data } = await stream.finish();
  assert.equal(event, 'error');
  assert.match(data.error, /stopped/);
});

leakless(daemon, 'many commands wake a paused box once', async () => {
  const box = await daemon.box();
  killInit(box);
  await until('the box is paused', async () => await box.status() === 'paused');
  const outputs = await Promise.all(Array.from({ length: 8 }, (_, i) => box.sh(`echo ${i}`)));
  assert.deepEqual(outputs, ['0', '1', '2', '3', '4', '5', '6', '7']);
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.equal(logs.filter((entry) => /started/.test(entry.message)).length, 1);
});

leakless(daemon, 'a paused box can be deleted', async () => {
  const box = await daemon.box();
  killInit(box);
  await until('the box is paused', async () => await box.status() === 'paused');
  await box.remove();
});

leakless(daemon, 'a box whose init died while no daemon ran comes back as paused', async () => {
  const box = await daemon.box();
  await box.write('file', 'kept');
  await daemon.end('SIGKILL');
  killInit(box);
  await daemon.launch();
  assert.equal(await box.status(), 'paused');
  assert.equal(await box.read('file'), 'kept');
});

leakless(daemon, 'a control group of which only a part is left does not stand in the way of its box', async () => {
  const boxes = [await daemon.box(), await daemon.box()];
  await boxes[0].write('file', 'kept');
  await daemon.end('SIGKILL');
  for (const box of boxes) {
    killInit(box);
    for (const parent of parents(daemon.name).filter((one) => one !== unifiedGroup(daemon.name))) {
      const group = `${parent}/c-local/b-${box.id}`;
      await until('the group is empty', () => fs.readFileSync(`${group}/cgroup.procs`, 'utf8') === '');
      fs.rmdirSync(group);
    }
  }
  await daemon.launch();
  assert.equal(await boxes[0].read('file'), 'kept');
  await boxes[1].remove();
});

// --- what a daemon refuses to start on ---

/// A daemon on `state` that is expected to refuse: its last words.
async function refusal(state) {
  const second = new Daemon({ state, images: false, name: 'etestb' });
  try {
    await assert.rejects(second.launch(), /hutchd ended/);
    assert.deepEqual(await second.exited, [1, null]);
    assert.notEqual(spawnSync('nft', ['list', 'table', 'inet', second.name]).status, 0, 'it has touched the host');
    return second.log.at(-1);
  } finally {
    fs.rmSync(second.directory, { recursive: true });
  }
}

leakless(daemon, 'SIGHUP is no end: without a certificate to read anew there is nothing to do', async () => {
  const box = await daemon.box();
  daemon.process.kill('SIGHUP');
  const said = until('it is said', () => daemon.log.some((line) => line.includes('no certificate to read anew')));
  await Promise.race([said, daemon.exited]);
  assert.ok(daemon.running);
  assert.equal(await box.sh('echo up'), 'up');
});

leakless(daemon, 'a stop takes its socket away, and a start that fails leaves none', async () => {
  assert.ok(fs.existsSync(daemon.socket));
  assert.deepEqual(await daemon.end('SIGTERM'), { code: 0, signal: null });
  assert.ok(!fs.existsSync(daemon.socket));
  const taken = net.createServer().listen(0, '127.0.0.1'); // the socket is there by then
  await once(taken, 'listening');
  const args = [...daemon.args, '--listen', `127.0.0.1:${taken.address().port}`];
  const { status, stderr } = spawnSync(process.env.HUTCHD, args, { encoding: 'utf8' });
  taken.close();
  assert.equal(status, 1);
  assert.match(stderr, /Address already in use/);
  assert.ok(!fs.existsSync(daemon.socket));
  await daemon.launch();
});

leakless(daemon, 'a stop leaves alone the socket that another daemon has put in its place', async () => {
  fs.rmSync(daemon.socket);
  const other = net.createServer().listen(daemon.socket);
  await once(other, 'listening');
  assert.deepEqual(await daemon.end('SIGTERM'), { code: 0, signal: null });
  assert.ok(fs.existsSync(daemon.socket));
  other.close();
  await daemon.launch();
});

leakless(daemon, 'a second daemon on the same state is refused, and harms nothing', async () => {
  const box = await daemon.box();
  assert.match(await refusal(daemon.state), /state_dir: another hutchd uses .*state/);
  assert.equal(await box.sh('echo usable'), 'usable');
});

leakless(daemon, 'records and a store that do not belong together are refused, and nothing is deleted', async () => {
  const box = await daemon.box();
  await box.write('file', 'kept');
  await daemon.end('SIGTERM');
  const id = path.join(daemon.store, 'id');
  const right = fs.readFileSync(id);
  fs.writeFileSync(id, 'another');
  assert.match(await refusal(daemon.state), /do not belong together/);
  fs.writeFileSync(id, right);
  await daemon.launch();
  assert.equal(await box.read('file'), 'kept');
});

leakless(daemon, 'records that are damaged are refused, and nothing is deleted', async () => {
  const box = await daemon.box();
  await box.write('file', 'kept');
  await daemon.end('SIGTERM');
  const records = path.join(daemon.state, 'hutch.db');
  const right = fs.readFileSync(records);
  fs.writeFileSync(records, 'this is no database, whatever else it may be');
  assert.match(await refusal(daemon.state), /hutch\.db/);
  fs.writeFileSync(records, right);
  await daemon.launch();
  assert.equal(await box.read('file'), 'kept');
});
