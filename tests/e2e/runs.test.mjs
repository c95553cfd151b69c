// Runs: records and output of what was executed, for clients that come later, and across daemons.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { unframed } from './lib/frames.mjs';
import { open } from './lib/http.mjs';
import { groupOf } from './lib/processes.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

async function detach(box, script, more = {}) {
  const body = { command: ['sh', '-c', script], detach: true, ...more };
  const { run_id, status } = await daemon.json('POST', `${box.path}/exec`, body, 202);
  assert.equal(status, 'running');
  return run_id;
}

const get = (box, run) => daemon.json('GET', `${box.path}/runs/${run}`);
const list = async (box) => (await daemon.json('GET', `${box.path}/runs`)).runs;
const output = async (box, run, query = '') => (await daemon.ask('GET', `${box.path}/runs/${run}/output${query}`)).text;
const follow = (box, run, offset = 0) => open(daemon.socket, 'GET', `${box.path}/runs/${run}/output?follow=1&offset=${offset}`);
const cancel = (box, run, status = 200) => daemon.json('POST', `${box.path}/runs/${run}/cancel`, {}, status);

const ended = (box, run) => until('the run has ended', async () => {
  const record = await get(box, run);
  return record.status !== 'running' && record;
});

async function collect(response) {
  const pieces = [];
  for await (const piece of response) pieces.push(piece);
  return Buffer.concat(pieces);
}

/// Kills the daemon as a crash would, and starts the next.
async function crash() {
  assert.deepEqual(await daemon.end('SIGKILL'), { code: null, signal: 'SIGKILL' });
  await daemon.launch();
}

leakless(daemon, 'an ended run has a record of exactly the contract\'s keys', async () => {
  const box = await daemon.box();
  await box.sh('echo hi');
  const [run, ...others] = await list(box);
  assert.deepEqual(others, []);
  assert.deepEqual(Object.keys(run).sort(), ['box_id', 'completed_at', 'compute_cost_usd', 'cost_usd', 'cpu_ns',
    'created_at', 'customer_id', 'duration_ms', 'id', 'input_tokens', 'output_tokens', 'prompt', 'status', 'type']);
  assert.deepEqual([run.box_id, run.prompt, run.status, run.type], [box.id, 'sh -c echo hi', 'completed', 'shell']);
  assert.ok(run.cpu_ns > 0);
});

leakless(daemon, 'runs are listed newest first, with how they ended', async () => {
  const box = await daemon.box();
  await box.sh('true');
  await box.fails('exit 3');
  const running = await detach(box, 'sleep 1000');
  const runs = await list(box);
  assert.deepEqual(runs.map((run) => run.status), ['running', 'failed', 'completed']);
  assert.equal(await box.status(), 'running');
  assert.equal((await get(box, runs[1].id)).exit_code, 3);
  assert.equal((await get(box, running)).exit_code, null);
});

leakless(daemon, 'what could not be started leaves no record', async () => {
  const box = await daemon.box();
  await daemon.refuses(400, /^command:/, 'POST', `${box.path}/exec`, { body: { command: ['no-such'], detach: true } });
  assert.deepEqual(await list(box), []);
});

leakless(daemon, 'a detached run goes on by itself, and its output is there later, each stream from any offset', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'echo one; echo two; echo bad >&2; exit 4');
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code], ['failed', 4]);
  assert.equal(await output(box, run), 'one\ntwo\n');
  assert.equal(await output(box, run, '?offset=4'), 'two\n');
  assert.equal(await output(box, run, '?offset=8'), '');
  assert.equal(await output(box, run, '?stream=errors'), 'bad\n');
  assert.deepEqual(record.output_kept, { begin: 0, end: 8 });
  assert.deepEqual(record.errors_kept, { begin: 0, end: 4 });
});

leakless(daemon, 'a client that lost its stream reads on from where it was', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo go');
  const stream = await box.stream(['sh', '-c', 'echo first; cat go; echo last']);
  const run = stream.response.headers['x-run-id'];
  await stream.until('first\n');
  stream.abandon();
  const rest = await follow(box, run, 6);
  await box.sh('echo middle > go');
  assert.equal((await collect(rest)).toString(), 'middle\nlast\n');
  assert.equal((await ended(box, run)).status, 'completed');
});

leakless(daemon, 'both streams are told on in frames from where their reader was, with the end, of a run that has ended too', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo go');
  const run = await detach(box, 'echo first; echo bad >&2; cat go; echo worse >&2; exit 6');
  await until('it has begun', async () => (await get(box, run)).errors_kept.end === 4);
  const frames = (offset, errors) => open(daemon.socket, 'GET', `${box.path}/runs/${run}/output?frames=1&offset=${offset}&errors_offset=${errors}`);
  const followed = await frames(3, 4);
  await box.sh('echo last > go');
  const { output: rest, errors, end } = unframed(await collect(followed));
  assert.deepEqual([rest, errors, end.exit_code], ['st\nlast\n', 'worse\n', 6]);
  await ended(box, run);
  const again = unframed(await collect(await frames(0, 2)));
  assert.deepEqual([again.output, again.errors, again.end.exit_code], ['first\nlast\n', 'd\nworse\n', 6]);
});

leakless(daemon, 'a signal reaches the command of a run, which is cancelled if it goes on', async () => {
  const box = await daemon.box();
  const send = (run, body, status = 200) => daemon.json('POST', `${box.path}/runs/${run}/signal`, body, status);
  const up = (run) => until('it is up', async () => (await output(box, run)).startsWith('up'));
  const one = await detach(box, 'trap "echo caught; exit 3" USR1; echo up; while :; do sleep 0.01; done');
  await up(one);
  await send(one, { signal: 'USR1' });
  assert.equal((await ended(box, one)).exit_code, 3);
  const stubborn = await detach(box, 'trap "echo caught" TERM; echo up; while :; do sleep 1000 & wait; done');
  await up(stubborn);
  await send(stubborn, { signal: 'TERM', cancel_after: 1 });
  const record = await ended(box, stubborn);
  assert.deepEqual([record.status, record.exit_reason, record.signal], ['cancelled', 'cancelled', 'KILL']);
  assert.match((await send(one, { signal: 'TERM' }, 409)).error, /^run: .* has ended/);
  await send(one, { signal: 'SEGV' }, 400);
});

leakless(daemon, 'who has followed a run to its end finds how it ended', async () => {
  const box = await daemon.box();
  for (let i = 0; i < 20; ++i) {
    const run = await detach(box, 'exec >&- 2>&-; sleep 0.01; exit 9');
    await collect(await follow(box, run));
    assert.equal((await get(box, run)).exit_code, 9);
  }
});

leakless(daemon, 'several follow one run, each from its own place', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo go');
  const run = await detach(box, 'echo 12345; cat go');
  await until('it has begun', async () => (await output(box, run)) === '12345\n');
  const readers = await Promise.all([follow(box, run), follow(box, run, 3), follow(box, run, 6)]);
  const texts = readers.map(collect);
  await box.sh('seq 1 20000 > go');
  const all = `12345\n${Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join('')}`;
  assert.deepEqual((await Promise.all(texts)).map(String), [all, all.slice(3), all.slice(6)]);
});

leakless(daemon, 'only the latest output is kept of a run that says very much', async () => {
  const box = await daemon.box();
  const bytes = 40 << 20;
  const run = await detach(box, `head -c ${bytes} /dev/zero | tr '\\0' x; echo end`);
  const { output_kept: kept } = await ended(box, run);
  assert.equal(kept.end, bytes + 4);
  assert.ok(kept.end - kept.begin >= 16 << 20 && kept.end - kept.begin <= 21 << 20, JSON.stringify(kept));
  await daemon.refuses(400, new RegExp(`^offset: what is before ${kept.begin} `), 'GET', `${box.path}/runs/${run}/output`);
  const rest = await daemon.ask('GET', `${box.path}/runs/${run}/output?offset=${kept.begin}`);
  assert.equal(rest.bytes.length, kept.end - kept.begin);
  assert.ok(rest.text.endsWith('xxend\n'));
  const file = fs.statSync(path.join(daemon.state, 'runs', box.id, `${run}.out`));
  assert.ok(file.blocks * 512 <= 21 << 20, `the disk holds ${file.blocks * 512} bytes`);
});

/// Bytes that the disk holds of what the box's runs have said.
const bytesOnDisk = (box) => {
  const directory = path.join(daemon.state, 'runs', box.id);
  return fs.readdirSync(directory).reduce((sum, name) => sum + fs.statSync(path.join(directory, name)).blocks * 512, 0);
};

leakless(daemon, 'what is kept of a box is bounded while its runs last, however many say how much', async () => {
  const box = await daemon.box();
  const runs = [];
  for (let i = 0; i < 12; ++i) runs.push(await detach(box, 'head -c 8388608 /dev/zero; echo end; sleep 1000'));
  for (const run of runs) await until('all of it is said', async () => (await get(box, run)).output_kept.end === (8 << 20) + 4);
  assert.ok(bytesOnDisk(box) <= 40 << 20, `the disk holds ${bytesOnDisk(box)} bytes`);
  for (const run of runs) {
    const { output_kept: kept } = await get(box, run);
    const rest = await daemon.ask('GET', `${box.path}/runs/${run}/output?offset=${kept.begin}`);
    assert.deepEqual([rest.bytes.length, rest.text.endsWith('end\n')], [kept.end - kept.begin, true]);
  }
});

leakless(daemon, 'who reads along misses nothing, however little is kept of each run', async () => {
  const box = await daemon.box();
  for (let i = 0; i < 40; ++i) await detach(box, 'head -c 1048576 /dev/zero; sleep 1000');
  await box.sh('mkfifo go');
  const run = await detach(box, 'cat go; seq 1 400000');
  const all = collect(await follow(box, run));
  await box.sh('echo > go');
  assert.equal((await all).toString(), `\n${Array.from({ length: 400000 }, (_, i) => `${i + 1}\n`).join('')}`);
});

leakless(daemon, 'bad wishes about output are refused by name', async () => {
  const box = await daemon.box();
  const run = (await box.stream(['echo', 'x'])).response.headers['x-run-id'];
  const refused = (about, query) => daemon.refuses(400, about, 'GET', `${box.path}/runs/${run}/output${query}`);
  await ended(box, run);
  await refused(/^offset: must be/, '?offset=-1');
  await refused(/^offset: the run has said only 2 bytes/, '?offset=3');
  await refused(/^follow: must be/, '?follow=yes');
  await refused(/^stream: must be/, '?stream=both');
  await refused(/^stream: this run wrote its errors into its output/, '?stream=errors');
  for (const target of ['', '/output']) {
    await daemon.refuses(404, /^run: the box has none with the id "none"/, 'GET', `${box.path}/runs/none${target}`);
  }
  await daemon.refuses(404, /^run:/, 'POST', `${box.path}/runs/none/cancel`);
});

leakless(daemon, 'what a command left in the background cannot keep its run from ending, however much it writes', async () => {
  const box = await daemon.box();
  // Writers that fill the pipe again between two reads of ours.
  const { exit_code } = await box.exec(['sh', '-c', 'for i in 1 2 3 4 5 6; do cat /dev/zero & done; exit 8']);
  assert.equal(exit_code, 8);
});

leakless(daemon, 'the output of an ended run can be read while its box is paused, after a restart too', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'echo said');
  await ended(box, run);
  await daemon.json('POST', `${box.path}/pause`, {});
  await crash();
  assert.equal(await box.status(), 'paused');
  assert.equal(await output(box, run), 'said\n');
});

leakless(daemon, 'cancel kills that run\'s whole tree and nothing else', async () => {
  const box = await daemon.box();
  const other = await detach(box, 'sleep 1000');
  const run = await detach(box, '(sleep 2000 & sleep 2000) & echo up; wait');
  await until('it is up', async () => (await output(box, run)) === 'up\n');
  await cancel(box, run);
  const record = await get(box, run);
  assert.deepEqual([record.status, record.exit_code], ['cancelled', 137]);
  assert.equal(await box.fails('pgrep -f "sleep 2000" || pidof -x none'), 1);
  assert.equal((await get(box, other)).status, 'running');
  assert.match((await cancel(box, run, 409)).error, /^run: .* has ended \(cancelled\)/);
});

leakless(daemon, 'a timeout kills the whole tree, and the record says so', async () => {
  const box = await daemon.box();
  const answer = await daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', 'sleep 1000 & wait'], timeout: 50 });
  assert.equal(answer.exit_code, 137);
  const [run] = await list(box);
  const record = await get(box, run.id);
  assert.deepEqual([record.status, record.error_message], ['failed', 'killed at its timeout of 50 ms']);
  assert.equal(await box.fails('pidof sleep'), 1);
  for (const timeout of [0, -1, 'soon', 604800001]) {
    await daemon.refuses(400, /^timeout: must be/, 'POST', `${box.path}/exec`, { body: { command: ['true'], timeout } });
  }
});

/// A box in which `hold(pid)` has a process traced, by one of the same user that never lets go of it.
async function tracingBox() {
  const box = await daemon.box();
  const content = fs.readFileSync(process.env.PROBE).toString('base64');
  await daemon.json('POST', `${box.path}/files/write`, { path: 'probe', content, encoding: 'base64' });
  await box.sh('chmod +x probe; mkfifo go');
  const hold = async (pid) => {
    const stream = await box.stream(['./probe', 'ptrace-hold', pid]);
    await stream.until('held\n');
  };
  return { box, hold };
}

const pidOf = (box, run) => until('it has told its pid', async () => (await output(box, run)).trim());

leakless(daemon, 'a timeout ends a run that another process traces, and is told as that', async () => {
  const { box, hold } = await tracingBox();
  const run = await detach(box, 'echo $$; exec sleep 1000', { timeout: 1500 });
  await hold(await pidOf(box, run));
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code, record.error_message], ['failed', 137, 'killed at its timeout of 1500 ms']);
  assert.equal(await box.sh('pidof probe | wc -w'), '1', 'the tracer lives');
});

leakless(daemon, 'cancel ends a run that another process traces', async () => {
  const { box, hold } = await tracingBox();
  const run = await detach(box, 'echo $$; exec sleep 1000');
  await hold(await pidOf(box, run));
  await cancel(box, run);
  assert.equal((await get(box, run)).status, 'cancelled');
});

leakless(daemon, 'a run that ends while another process traces it has ended, and its exit code is not invented', async () => {
  const { box, hold } = await tracingBox();
  const run = await detach(box, 'echo $$; read x < go; exit 0');
  await hold(await pidOf(box, run));
  await box.sh('echo > go');
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code], ['failed', null]);
  assert.match(record.error_message, /traces it.*its exit code is not known/);
});

leakless(daemon, 'what a command left in the background lives on and may write without end', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo go');
  await box.sh('(read x < go; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo 0123456789 || exit; done; echo through > after) &');
  await daemon.end('SIGKILL');
  await daemon.launch();
  await box.sh('echo > go');
  await until('it has written', async () => await box.sh('cat after 2>&- || true') === 'through');
});

leakless(daemon, 'what was left behind is swept when it has ended, and costs later commands nothing', async () => {
  const box = await daemon.box();
  const groups = () => fs.readdirSync(groupOf(box), { withFileTypes: true }).filter((entry) => entry.isDirectory()).length;
  await box.sh('true');
  const before = groups();
  for (let i = 0; i < 30; ++i) await box.sh('sleep 1000 >&- 2>&- &');
  assert.ok(groups() >= 30);
  await box.sh('killall sleep');
  await until('it is swept', async () => {
    await box.sh('true');
    return groups() <= before + 1;
  });
});

leakless(daemon, 'a running command survives a killed daemon with all of its output and its exit status', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo go');
  const run = await detach(box, 'echo before; echo oops >&2; cat go; echo after; exit 5');
  await until('it has begun', async () => (await output(box, run)) === 'before\n');
  await crash();
  assert.equal((await get(box, run)).status, 'running');
  assert.equal(await box.status(), 'running');
  const rest = await follow(box, run);
  await box.sh('echo between > go');
  assert.equal((await collect(rest)).toString(), 'before\nbetween\nafter\n');
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code], ['failed', 5]);
  assert.equal(await output(box, run, '?stream=errors'), 'oops\n');
  assert.ok(record.cpu_ns > 0);
});

leakless(daemon, 'a box is busy for a new daemon before its init has told of its commands', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'sleep 1000');
  const { init_pid } = (await daemon.json('GET', `${box.path}?details=1`)).details;
  process.kill(init_pid, 'SIGSTOP');
  await crash();
  assert.equal(await box.status(), 'running');
  process.kill(init_pid, 'SIGCONT');
  await cancel(box, run);
  await until('it is idle', async () => await box.status() === 'idle');
});

leakless(daemon, 'a command that ended while no daemon ran is told with output and exit status', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'sleep 0.3; seq 1 3000; exit 6');
  const { init_pid } = (await daemon.json('GET', `${box.path}?details=1`)).details;
  await daemon.end('SIGKILL');
  const children = () => fs.readFileSync(`/proc/${init_pid}/task/${init_pid}/children`, 'utf8');
  await until('it has ended', () => children() === '');
  await daemon.launch();
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code], ['failed', 6]);
  assert.equal(await output(box, run), `${Array.from({ length: 3000 }, (_, i) => i + 1).join('\n')}\n`);
});

leakless(daemon, 'output that is under way when the daemon is killed is whole, again and again', async () => {
  const box = await daemon.box();
  const last = 400000;
  const run = await detach(box, `seq 1 ${last}`);
  for (let i = 0; i < 5; ++i) {
    await daemon.end('SIGKILL');
    await daemon.launch();
  }
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code], ['completed', 0]);
  const text = await output(box, run);
  assert.equal(text.length, record.output_kept.end);
  assert.ok(text === `${Array.from({ length: last }, (_, i) => i + 1).join('\n')}\n`, 'a gap, or something twice');
});

// The command ends by itself at about the time its cancel arrives. Which comes first is left to chance; that the answer
// and the record say the same is not.
leakless(daemon, 'a cancel that is answered stays the record, whether the command ended by itself or not', async () => {
  const box = await daemon.box();
  const answers = { 200: 0, 409: 0 };
  for (let i = 0; i < 300; ++i) {
    const run = await detach(box, `i=0; while [ $i -lt ${i * 10} ]; do i=$((i + 1)); done; exit 3`);
    const { status } = await daemon.ask('POST', `${box.path}/runs/${run}/cancel`, {});
    ++answers[status];
    assert.equal((await ended(box, run)).status, status === 200 ? 'cancelled' : 'failed', `answered ${status}`);
  }
  assert.equal(answers[200] + answers[409], 300);
});

leakless(daemon, 'cancel and timeout reach a run of an earlier daemon', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'sleep 1000');
  const timed = await detach(box, 'sleep 1000', { timeout: 1000 });
  await crash();
  await cancel(box, run);
  assert.equal((await get(box, run)).status, 'cancelled');
  assert.deepEqual((await ended(box, timed)).error_message, 'killed at its timeout of 1000 ms');
});

/// Kills the daemon after it has killed the run, and before the box's init could tell it of the run's end.
async function crashBeforeTheEndIsTold(box, cancelIt) {
  const { init_pid } = (await daemon.json('GET', `${box.path}?details=1`)).details;
  const group = groupOf(box);
  const leaf = fs.readdirSync(group).find((name) => name.startsWith('r-'));
  process.kill(init_pid, 'SIGSTOP');
  const asked = cancelIt().catch(() => {}); // cut off
  await until('it is killed', () => fs.readFileSync(`${group}/${leaf}/cgroup.events`, 'utf8').includes('populated 0'));
  await daemon.end('SIGKILL');
  await asked;
  process.kill(init_pid, 'SIGCONT');
  await daemon.launch();
}

leakless(daemon, 'a run that was cancelled just before the daemon was killed is told as cancelled', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'exec sleep 1000');
  await crashBeforeTheEndIsTold(box, () => cancel(box, run));
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.exit_code], ['cancelled', 137]);
});

leakless(daemon, 'a run that was killed at its timeout just before the daemon was killed is told so', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'exec sleep 1000', { timeout: 500 });
  await crashBeforeTheEndIsTold(box, async () => {});
  const record = await ended(box, run);
  assert.deepEqual([record.status, record.error_message], ['failed', 'killed at its timeout of 500 ms']);
});

leakless(daemon, 'who follows a run of a box that was asleep when the daemon was killed reads it to its end', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo go');
  const run = await detach(box, 'echo before; cat go');
  await until('it has begun', async () => (await output(box, run)) === 'before\n');
  await daemon.json('POST', `${box.path}/pause`, {});
  await crash();
  assert.equal(await output(box, run), 'before\n');
  const rest = follow(box, run).then(collect);
  await box.sh('echo after > go');
  assert.equal((await rest).toString(), 'before\nafter\n');
});

leakless(daemon, 'an exit code that nobody can know is not invented', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'sleep 1000');
  const { init_pid } = (await daemon.json('GET', `${box.path}?details=1`)).details;
  await daemon.end('SIGKILL');
  process.kill(init_pid, 'SIGKILL');
  await daemon.launch();
  const record = await get(box, run);
  assert.deepEqual([record.status, record.exit_code], ['failed', null]);
  assert.match(record.error_message, /^the box stopped .*; its exit code is not known$/);
});

leakless(daemon, 'a daemon killed as runs end forgets none and invents none', async () => {
  const box = await daemon.box();
  const answers = [];
  const burst = Array.from({ length: 60 }, (_, i) =>
    daemon.ask('POST', `${box.path}/exec`, { body: { command: ['sh', '-c', `echo ${i}; exit ${i}`] } }).then((answer) => {
      answers.push(answer.json.exit_code);
      if (answers.length === 10) daemon.process.kill('SIGKILL');
    }, () => {})); // cut off
  await Promise.all(burst);
  await daemon.exited;
  await daemon.launch();
  await until('all have ended', async () => (await list(box)).every((run) => run.status !== 'running'));
  const known = new Set();
  for (const { id, prompt } of await list(box)) {
    const { exit_code, error_message } = await get(box, id);
    const wanted = Number(/exit (\d+)$/.exec(prompt)[1]);
    if (exit_code === null) {
      assert.match(error_message, /before the command was started/);
    } else {
      assert.equal(exit_code, wanted);
      assert.equal(await output(box, id), `${wanted}\n`);
      known.add(wanted);
    }
  }
  for (const code of answers) assert.ok(known.has(code), `exit ${code} was answered, and is not on record`);
});

leakless(daemon, 'metrics tell of boxes, runs and CPU time in Prometheus\' text format', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'sleep 1000');
  const { text, type } = await daemon.ask('GET', '/metrics');
  assert.equal(type, 'text/plain; version=0.0.4');
  for (const line of text.trimEnd().split('\n')) assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [0-9.e+-]+)$/);
  for (const line of ['hutch_boxes{status="running"} 1', 'hutch_boxes{status="idle"} 0', 'hutch_runs_active 1']) {
    assert.ok(text.includes(`\n${line}\n`), `${line}\n${text}`);
  }
  assert.match(text, new RegExp(`^hutch_box_cpu_seconds_total\\{box="${box.id}"\\} 0\\.\\d+$`, 'm'));
  await cancel(box, run);
  assert.match((await daemon.ask('GET', '/metrics')).text, /^hutch_runs_active 0$/m);
});

leakless(daemon, 'metrics tell how long creates, commands, wakings and calls took, and what a box holds and sends', async () => {
  const figures = async () => {
    const { text } = await daemon.ask('GET', '/metrics');
    return (name) => Number(text.split('\n').find((line) => line.startsWith(`${name} `))?.split(' ').at(-1));
  };
  const count = (what, outcome) => `hutch_${what}_seconds_count{outcome="${outcome}"}`;
  const before = await figures();
  const box = await daemon.box();
  await box.sh('head -c 1048576 /dev/zero > /tmp/held; head -c 100000 /dev/zero > file; nc -w 1 192.0.2.1 9 < /dev/null || true');
  await daemon.json('POST', `${box.path}/pause`);
  await box.sh('true');
  await daemon.refuses(400, /size/, 'POST', '/v2/box', { body: { size: 'vast' } });
  const after = await figures();
  const grown = (name) => after(name) - before(name);
  for (const [name, by] of [[count('create', 'ok'), 1], [count('create', 'refused'), 1], [count('exec', 'ok'), 2], [count('wake', 'ok'), 1], [count('http_request', 'failed'), 0]]) {
    assert.equal(grown(name), by, name);
  }
  assert.ok(grown(count('http_request', 'ok')) >= 4);
  assert.equal(grown('hutch_create_seconds_bucket{outcome="ok",le="+Inf"}'), 1);
  assert.ok(grown('hutch_create_seconds_sum{outcome="ok"}') > 0);
  assert.ok(after(`hutch_box_memory_bytes{box="${box.id}"}`) > 1_000_000);
  assert.ok(after(`hutch_box_network_sent_bytes_total{box="${box.id}"}`) > 0);
  assert.ok(after(`hutch_box_disk_bytes{box="${box.id}"}`) >= 0);
  assert.equal(after('hutch_boxes_untold'), 0);
});

leakless(daemon, 'the oldest runs are forgotten, with what they said', async () => {
  const box = await daemon.box();
  for (let i = 0; i < 260; ++i) await box.exec(['echo', String(i)]);
  const runs = await list(box);
  assert.ok(runs.length >= 200 && runs.length < 220, `${runs.length} are on record`);
  assert.equal(runs[0].prompt, 'echo 259');
  await until('files and records agree', async () => { // what has just ended is recorded a moment later
    const files = fs.readdirSync(path.join(daemon.state, 'runs', box.id)).sort();
    return files.join() === (await list(box)).map((one) => `${one.id}.out`).sort().join();
  });
});

leakless(daemon, 'a run is forgotten only after its output is gone', async () => {
  const box = await daemon.box();
  await box.exec(['echo', 'first']);
  const [first] = await list(box);
  const file = path.join(daemon.state, 'runs', box.id, `${first.id}.out`);
  await until('it is written', () => fs.existsSync(file));
  fs.rmSync(file);
  fs.mkdirSync(file); // cannot be removed as a file
  for (let i = 0; i < 220; ++i) await box.exec(['true']);
  assert.equal((await list(box)).at(-1).id, first.id);
  fs.rmdirSync(file);
  for (let i = 0; i < 20; ++i) await box.exec(['true']);
  await until('it is forgotten', async () => (await list(box)).at(-1).id !== first.id);
});

leakless(daemon, 'a deleted box leaves no journal', async () => {
  const box = await daemon.box();
  const run = await detach(box, 'echo x; sleep 1000');
  await until('it has begun', async () => (await output(box, run)) === 'x\n');
  await box.remove();
  await until('its journal is gone', () => fs.readdirSync(path.join(daemon.state, 'runs')).length === 0);
});
