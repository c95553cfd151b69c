// Schedules: what boxes do by the clock, which the tests move on.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { Box } from './lib/box.mjs';
import { Clock } from './lib/clock.mjs';
import { complains, json, output } from './lib/command.mjs';
import { Customer } from './lib/customer.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const clock = new Clock();
// With FAIL_POINTS one test has the daemon die at each of its steps.
const counter = `/var/tmp/hutch-schedules-${process.pid}`;
const preload = [process.env.FAIL_POINTS, clock.env.LD_PRELOAD].filter((library) => fs.existsSync(library ?? '')).join(':');
const daemon = suite({ tcp: true, args: ['--private_webhooks'], env: { ...clock.env, LD_PRELOAD: preload, HUTCH_FAIL_POINTS: counter } });

const kEach = '* * * * *';
const minute = () => clock.pass(60, daemon);
const make = (box, body) => daemon.json('POST', `${box.path}/schedules`, { type: 'exec', cron: kEach, ...body }, 201);
const get = (box, { id }) => daemon.json('GET', `${box.path}/schedules/${id}`);
const patch = (box, { id }, body) => daemon.json('PATCH', `${box.path}/schedules/${id}`, body);
const runsOf = async (box, { id }) => (await daemon.json('GET', `${box.path}/runs`)).runs.filter(({ schedule_id }) => schedule_id === id);
const logOf = async (box) => (await daemon.json('GET', `${box.path}/logs`)).logs.map(({ message }) => message);
/// Once so many of its firings have ended.
const ended = (box, schedule, runs) => until(`${runs} firings have ended`, async () => {
  const now = await get(box, schedule);
  assert.ok(now.total_runs <= runs, JSON.stringify(now));
  return now.total_runs === runs && now;
});
const lines = (box, file) => box.sh(`cat ${file} 2>/dev/null | wc -l`).then(Number);
async function crash() {
  assert.deepEqual(await daemon.end('SIGKILL'), { code: null, signal: 'SIGKILL' });
  await daemon.launch();
}

const say = (output) => `printf 'event: done\\ndata: {"output":"%s","input_tokens":1,"output_tokens":2}\\n\\n' "${output}"`;
const withAgent = (script, body = {}) => daemon.box({ agent: 'custom', model: 'test-model', custom_runner: { command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' }, ...body });

/// A server that notes what it is told, and answers by `status`.
async function receiver(context, status = () => 200) {
  const heard = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    heard.push({ headers: request.headers, body: JSON.parse(text) });
    response.writeHead(status(heard.length)).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { heard, url: `http://127.0.0.1:${server.address().port}/hook` };
}

leakless(daemon, 'a command: it fires by the clock, wakes its box, and is a run with its id', async () => {
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo fired >> file; pwd'], folder: 'work' });
  await box.sh('mkdir work');
  assert.deepEqual([schedule.box_id, schedule.type, schedule.status, schedule.folder, schedule.total_runs, schedule.total_failures],
    [box.id, 'exec', 'active', '/workspace/home/work', 0, 0]);
  assert.ok(schedule.next_run_at > clock.now() && schedule.next_run_at % 60 === 0, JSON.stringify(schedule));
  assert.ok(!('last_run_at' in schedule) && !('prompt' in schedule));
  await daemon.json('POST', `${box.path}/pause`);
  await minute();
  const now = await ended(box, schedule, 1);
  const [run] = await runsOf(box, schedule);
  assert.deepEqual([now.last_run_status, now.last_run_id, now.last_run_at, now.total_failures], ['completed', run.id, run.created_at, 0]);
  assert.deepEqual([run.type, run.status, run.prompt], ['shell', 'completed', 'sh -c echo fired >> file; pwd']);
  assert.equal((await daemon.ask('GET', `${box.path}/runs/${run.id}/output`)).text, '/workspace/home/work\n');
  assert.equal(await box.status(), 'idle');
  await minute();
  assert.equal((await ended(box, schedule, 2)).next_run_at, now.next_run_at + 60);
  assert.equal(await lines(box, 'work/file'), 2);
});

leakless(daemon, 'what create answers, get and list do; secrets are masked', async (context) => {
  const { heard, url } = await receiver(context);
  const box = await withAgent(say('x'));
  const far = { cron: '0 0 1 1 *' };
  const one = await make(box, { ...far, command: ['true'], timeout: 5000, webhook_url: url, webhook_headers: { 'X-Key': 'secret' } });
  const two = await make(box, { ...far, type: 'prompt', prompt: 'do it', model: 'other', agent_options: {}, folder: '/tmp' });
  assert.deepEqual(one.webhook_headers, { 'X-Key': '********' });
  assert.deepEqual([one.timeout, one.webhook_url, one.command], [5000, url, ['true']]);
  assert.deepEqual([two.prompt, two.model, two.folder], ['do it', 'other', '/tmp']);
  assert.ok(!('command' in two));
  assert.deepEqual(await daemon.json('GET', `${box.path}/schedules`), [one, two]);
  for (const schedule of [one, two]) assert.deepEqual(await get(box, schedule), schedule);
  await crash();
  assert.deepEqual(await daemon.json('GET', `${box.path}/schedules`), [one, two]);
  assert.deepEqual(heard, []);
});

leakless(daemon, 'a change: what is said is another, what is empty goes, all else stays', async () => {
  const box = await withAgent(say('x'));
  const exec = await make(box, { cron: '0 0 1 1 *', command: ['true'], folder: '/tmp', timeout: 5000, webhook_url: 'http://h.invalid/a', webhook_headers: { A: 'b' } });
  const now = await patch(box, exec, { cron: '30 1 * * *', command: ['echo', 'x'] });
  assert.deepEqual({ ...now, next_run_at: 0, updated_at: 0 }, { ...exec, cron: '30 1 * * *', command: ['echo', 'x'], next_run_at: 0, updated_at: 0 });
  assert.notEqual(now.next_run_at, exec.next_run_at);
  const bare = await patch(box, exec, { folder: '', timeout: 0, webhook_headers: {}, webhook_url: '' });
  assert.equal(bare.folder, '/workspace/home');
  for (const field of ['timeout', 'webhook_url', 'webhook_headers']) assert.ok(!(field in bare), JSON.stringify(bare));
  assert.deepEqual(await patch(box, exec, {}), { ...bare, updated_at: (await get(box, exec)).updated_at });
  const prompt = await make(box, { type: 'prompt', prompt: 'x', model: 'm', agent_options: {} });
  const cleared = await patch(box, prompt, { prompt: 'y', model: '', agent_options: null });
  assert.deepEqual([cleared.prompt, 'model' in cleared, 'agent_options' in cleared], ['y', false, false]);
  const refused = (schedule, about, body, status = 400) => daemon.refuses(status, about, 'PATCH', `${box.path}/schedules/${schedule.id}`, { body });
  await refused(exec, /^command: must name a program/, { command: [] });
  await refused(prompt, /^prompt: must be 1 byte/, { prompt: '' });
  await refused(exec, /^cron: "" has 0 fields/, { cron: '' });
  await refused(exec, /^prompt: is for schedules of type prompt$/, { prompt: 'x' });
  await refused(prompt, /^command: is for schedules of type exec$/, { command: ['x'] });
  await refused(exec, /^type: /, { type: 'prompt' });
  await refused({ id: 'none' }, /^schedule: .*"none"/, {}, 404);
  assert.deepEqual(await get(box, exec), { ...bare, updated_at: (await get(box, exec)).updated_at });
});

leakless(daemon, 'what a schedule must not say is named', async () => {
  const box = await withAgent(say('x'));
  const bare = await daemon.box();
  const kTrue = { type: 'exec', cron: kEach, command: ['true'] };
  const bad = [[{ ...kTrue, type: 'shell' }, /^type: must be exec or prompt/], [{ ...kTrue, cron: undefined }, /^cron: is required/], [{ ...kTrue, cron: '* * 30 2 *' }, /^cron: day of the month: there never is a day 30 in feb/],
    [{ ...kTrue, cron: '* 25 * * *' }, /^cron: hour: "25"/], [{ ...kTrue, command: [] }, /^command: /], [{ ...kTrue, command: ['a\0'] }, /^command: /], [{ ...kTrue, command: ['x'.repeat(70_000)] }, /^command: is longer than 64 KiB/],
    [{ ...kTrue, timeout: 0 }, /^timeout: /], [{ ...kTrue, folder: '\0' }, /^folder: /], [{ ...kTrue, webhook_url: 'file:///x' }, /^webhook_url: /], [{ ...kTrue, webhook_headers: { A: 'b' } }, /^webhook_headers: need webhook_url/],
    [{ ...kTrue, webhook_url: 'http://h', webhook_headers: { A: 'b\nc' } }, /^webhook_headers: A: /], [{ ...kTrue, webhook_url: 'http://h', webhook_headers: { 'X A:': 'b' } }, /^webhook_headers: "X A:" is no name/],
    [{ ...kTrue, webhook_url: 'http://h', webhook_headers: { 'content-Length': '5' } }, /^webhook_headers: content-Length: tells how/], [{ ...kTrue, webhook_url: 'http://h', webhook_headers: { A: 'b'.repeat(20_000) } }, /^webhook_headers: are longer/],
    [{ ...kTrue, prompt: 'x' }, /^prompt: is for schedules of type prompt/], [{ ...kTrue, type: 'prompt' }, /^command: is for/], [{ type: 'prompt', cron: kEach }, /^prompt: /],
    [{ type: 'prompt', cron: kEach, prompt: 'x'.repeat(70_000) }, /^prompt: is longer than 64 KiB/], [{ type: 'prompt', cron: kEach, prompt: 'x', agent_options: { colour: 1 } }, /^agent_options/]];
  for (const [body, about] of bad) await daemon.refuses(400, about, 'POST', `${box.path}/schedules`, { body });
  await daemon.refuses(409, /has no agent/, 'POST', `${bare.path}/schedules`, { body: { type: 'prompt', cron: kEach, prompt: 'x' } });
  assert.deepEqual(await daemon.json('GET', `${box.path}/schedules`), []);
});

leakless(daemon, 'a paused schedule does not fire, nor for what it has slept through; a deleted one is gone', async () => {
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo >> file'] });
  const act = (what) => daemon.json('POST', `${box.path}/schedules/${schedule.id}/${what}`);
  for (let i = 0; i < 2; ++i) assert.deepEqual(await act('pause'), {});
  const paused = await get(box, schedule);
  assert.deepEqual([paused.status, 'next_run_at' in paused], ['paused', false]);
  for (let i = 0; i < 3; ++i) await minute();
  await crash();
  assert.deepEqual(await act('resume'), {});
  assert.deepEqual([(await get(box, schedule)).status, (await runsOf(box, schedule)).length], ['active', 0]);
  await minute();
  await ended(box, schedule, 1);
  assert.deepEqual(await daemon.json('DELETE', `${box.path}/schedules/${schedule.id}`), {});
  await minute();
  await daemon.refuses(404, /^schedule: /, 'GET', `${box.path}/schedules/${schedule.id}`);
  assert.equal(await lines(box, 'file'), 1);
});

leakless(daemon, 'what is due while the firing before still runs is skipped', async () => {
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'read line < fifo'] });
  await box.sh('mkfifo fifo');
  await minute();
  const first = await until('it runs', async () => (await runsOf(box, schedule))[0]);
  await minute();
  const skipped = await until('one is skipped', async () => (await runsOf(box, schedule)).find(({ status }) => status === 'skipped'));
  const now = await get(box, schedule);
  assert.deepEqual([now.last_run_status, now.last_run_id, now.total_runs, now.total_failures], ['skipped', skipped.id, 0, 0]);
  const details = await daemon.json('GET', `${box.path}/runs/${skipped.id}`);
  assert.match(details.error_message, new RegExp(`run ${first.id}, was still under way`));
  assert.equal(details.exit_code, null);
  await box.sh('echo > fifo');
  assert.equal((await ended(box, schedule, 1)).last_run_id, first.id);
  assert.equal((await daemon.ask('GET', '/metrics')).text.match(/hutch_schedule_firings_total\{outcome="skipped"\} (\d+)/)[1], '1');
});

leakless(daemon, 'what is missed while no daemon runs fires once, and that is said', async () => {
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo >> file'] });
  await daemon.end('SIGTERM');
  await clock.pass(3600, daemon);
  await daemon.launch();
  await ended(box, schedule, 1);
  assert.ok((await logOf(box)).some((line) => /schedule \w+: was due at \S+Z, when hutchd did not run .* it is run now, once/.test(line)));
  await minute();
  await ended(box, schedule, 2);
  assert.equal(await lines(box, 'file'), 2);
});

leakless(daemon, 'a firing under way lives through a kill of the daemon, and is counted once', async (context) => {
  const { heard, url } = await receiver(context);
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo begun; read line < fifo; echo "$line"'], webhook_url: url });
  await box.sh('mkfifo fifo');
  await minute();
  const [run] = await until('it runs', async () => ((await runsOf(box, schedule)).length > 0) && runsOf(box, schedule));
  await crash();
  await minute();
  await until('one is skipped', async () => (await get(box, schedule)).last_run_status === 'skipped');
  await box.sh('echo done > fifo');
  assert.deepEqual([(await ended(box, schedule, 1)).last_run_id], [run.id]);
  await until('it is told', () => heard.length === 1);
  assert.deepEqual([heard[0].body.run_id, heard[0].body.output], [run.id, 'begun\ndone\n']);
  await crash();
  assert.equal((await get(box, schedule)).total_runs, 1);
});

leakless(daemon, 'failures: an exit status, a timeout, a folder that is not there, a box without room', async () => {
  const box = await daemon.box();
  const failing = await make(box, { command: ['sh', '-c', 'exit 3'] });
  const slow = await make(box, { command: ['sleep', '1000'], timeout: 1 });
  const nowhere = await make(box, { command: ['true'], folder: 'none' });
  await minute();
  for (const schedule of [failing, slow, nowhere]) {
    const now = await ended(box, schedule, 1);
    assert.deepEqual([now.last_run_status, now.total_failures, now.status], ['failed', 1, 'active']);
    assert.equal((await runsOf(box, schedule))[0].status, 'failed');
  }
  const { error_message } = await daemon.json('GET', `${box.path}/runs/${(await get(box, nowhere)).last_run_id}`);
  assert.match(error_message, /^folder: cannot enter "\/workspace\/home\/none"/);
  assert.ok((await logOf(box)).some((line) => line.includes(`schedule ${nowhere.id}: could not be run: folder:`)));
});

leakless(daemon, 'a webhook is told of each end, again if its server fails, and after a kill', async (context) => {
  const { heard, url } = await receiver(context, (count) => (count <= 2 ? 503 : 200));
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo out; exit 4'], webhook_url: url, webhook_headers: { 'X-Mine': 'yes' } });
  await minute();
  const { last_run_id } = await ended(box, schedule, 1);
  await daemon.json('POST', `${box.path}/schedules/${schedule.id}/pause`);
  await until('it is told', () => heard.length === 1);
  await crash();
  await until('it is told again', () => heard.length === 2);
  await clock.pass(2, daemon);
  await until('it is told until it is heard', async () => (await daemon.ask('GET', '/v2')) && heard.length === 3);
  for (const { headers, body } of heard) {
    assert.equal(headers['x-mine'], 'yes');
    const { cpu_ns, duration_ms, ...metadata } = body.metadata;
    assert.deepEqual({ ...body, metadata }, { box_id: box.id, run_id: last_run_id, status: 'failed', output: 'out\n', error: 'the command ended with exit status 4',
      metadata: { schedule_id: schedule.id, exit_code: 4 } });
    assert.ok(cpu_ns > 0 && duration_ms >= 0);
  }
});

leakless(daemon, 'a prompt: by the agent, with a model of its own; its webhook is that of a prompt', async (context) => {
  const { heard, url } = await receiver(context);
  const box = await withAgent(say('$2 $4'));
  const schedule = await make(box, { type: 'prompt', prompt: 'hello', model: 'mine', webhook_url: url });
  await minute();
  const now = await ended(box, schedule, 1);
  const [run] = await runsOf(box, schedule);
  assert.deepEqual([run.id, run.type, run.status, run.prompt, run.model, run.output], [now.last_run_id, 'agent', 'completed', 'hello', 'mine', 'hello mine']);
  await until('it is told', () => heard.length === 1);
  assert.deepEqual([heard[0].body.run_id, heard[0].body.status, heard[0].body.output, heard[0].body.metadata.input_tokens], [run.id, 'completed', 'hello mine', 1]);
  assert.equal((await daemon.json('GET', box.path)).model, 'test-model');
  await patch(box, schedule, { model: '' });
  await minute();
  await ended(box, schedule, 2);
  assert.equal((await runsOf(box, schedule))[0].output, 'hello test-model');
});

leakless(daemon, 'a prompt under way lives through a kill of the daemon; what is due meanwhile is skipped', async (context) => {
  const { heard, url } = await receiver(context);
  const box = await withAgent(`read line < /workspace/home/fifo; ${say('$line')}`);
  await box.sh('mkfifo fifo');
  const schedule = await make(box, { type: 'prompt', prompt: 'wait', webhook_url: url });
  await minute();
  const [run] = await until('it runs', async () => ((await runsOf(box, schedule)).length > 0) && runsOf(box, schedule));
  await minute();
  const skipped = await until('one is skipped', async () => (await runsOf(box, schedule)).find(({ status }) => status === 'skipped'));
  assert.equal(skipped.type, 'agent');
  await crash();
  await box.sh('echo over > fifo');
  assert.equal((await ended(box, schedule, 1)).last_run_status, 'completed');
  await until('it is told', () => heard.length === 1);
  assert.deepEqual([heard[0].body.run_id, heard[0].body.output], [run.id, 'over']);
});

leakless(daemon, 'a prompt whose box is at work on another waits for its turn, over a kill of the daemon too', async () => {
  const box = await withAgent(`[ "$2" = first ] && read line < /workspace/home/fifo; ${say('$2 $4')}`);
  await box.sh('mkfifo fifo');
  const { run_id: first } = await daemon.json('POST', `${box.path}/run`, { prompt: 'first' });
  const schedule = await make(box, { type: 'prompt', prompt: 'second', model: 'mine' });
  await minute();
  const [run] = await until('it waits', async () => ((await runsOf(box, schedule)).length > 0) && runsOf(box, schedule));
  assert.deepEqual([run.status, run.waits_for], ['running', first]);
  await crash();
  assert.equal((await runsOf(box, schedule))[0].waits_for, first);
  await box.sh('echo over > fifo');
  assert.equal((await ended(box, schedule, 1)).last_run_id, run.id);
  const [done] = await runsOf(box, schedule);
  assert.deepEqual([done.id, done.status, done.output], [run.id, 'completed', 'second mine']);
});

leakless(daemon, 'a clock that is set: on, what it passes fires once; back, schedules go by what it says now', async () => {
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo >> file'] });
  await clock.setBy(7200, daemon);
  const on = await ended(box, schedule, 1);
  assert.ok(on.next_run_at > clock.now() && on.next_run_at <= clock.now() + 60, JSON.stringify(on));
  await clock.setBy(-7200, daemon);
  const back = await get(box, schedule);
  assert.ok(back.next_run_at > clock.now() && back.next_run_at <= clock.now() + 60, JSON.stringify(back));
  await minute();
  await ended(box, schedule, 2);
  await daemon.end('SIGTERM');
  await clock.setBy(-7200, daemon);
  await daemon.launch();
  await minute();
  await ended(box, schedule, 3);
});

leakless(daemon, 'snapshots and forks do not carry them, a rollback leaves them, and they end with their box', async () => {
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo >> file'] });
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 's' }, 201);
  const copy = new Box(daemon, await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201));
  const { boxes: [fork] } = await daemon.json('POST', `${box.path}/fork`, {}, 201);
  for (const other of [copy, new Box(daemon, fork)]) assert.deepEqual(await daemon.json('GET', `${other.path}/schedules`), []);
  await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: id });
  await minute();
  await ended(box, schedule, 1);
  await box.remove();
  await minute();
  await daemon.refuses(404, /no box/, 'GET', `${box.path}/schedules`);
  assert.match((await daemon.ask('GET', '/metrics')).text, /^hutch_schedules 0$/m);
  await crash();
  assert.match((await daemon.ask('GET', '/metrics')).text, /^hutch_schedules 0$/m);
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'another customer finds none of them; each has so many, and so has a box', async () => {
  const [alice, bob] = [await Customer.make(daemon, 'alice'), await Customer.make(daemon, 'bob')];
  try {
    const { id } = await alice.box();
    const all = `/v2/box/${id}/schedules`;
    const body = { type: 'exec', cron: '0 0 1 1 *', command: ['true'] };
    const schedule = await alice.json('POST', all, body, 201);
    assert.equal(schedule.customer_id, 'alice');
    for (const [method, path] of [['GET', all], ['GET', `${all}/${schedule.id}`], ['PATCH', `${all}/${schedule.id}`], ['DELETE', `${all}/${schedule.id}`], ['POST', `${all}/${schedule.id}/pause`]]) {
      assert.equal((await bob.ask(method, path, method === 'PATCH' ? {} : undefined)).status, 404);
    }
    const { id: other } = await bob.box();
    assert.equal((await bob.ask('GET', `/v2/box/${other}/schedules/${schedule.id}`)).status, 404);
    assert.equal((await bob.ask('DELETE', `/v2/box/${other}/schedules/${schedule.id}`)).status, 404);
    await alice.limit({ schedules: 2 });
    const { id: second } = await alice.json('POST', all, body, 201);
    const { status, json } = await alice.ask('POST', all, body);
    assert.deepEqual([status, json.error], [429, 'schedules: 2 of 2 (schedules) in use; delete some, or ask the host\'s operator for more (hutch key limit alice --schedules N)']);
    await crash();
    assert.deepEqual((await alice.limits()).schedules, { used: 2, limit: 2 });
    await alice.json('DELETE', `${all}/${second}`);
    await alice.json('POST', all, body, 201);
    await alice.limit({ schedules: 0 });
    for (let count = 2; count < 100; ++count) await alice.json('POST', all, body, 201);
    const full = await alice.ask('POST', all, body);
    assert.deepEqual([full.status, full.json.error], [429, `schedules: box ${id} has 100, which is as many as one may have; delete some`]);
    await alice.json('DELETE', `/v2/box/${id}`);
    assert.deepEqual((await alice.limits()).schedules.used, 0);
  } finally {
    for (const customer of [alice, bob]) await customer.remove();
  }
});

leakless(daemon, 'hutch schedule: add, ls, show, edit, pause, resume and rm', async () => {
  const run = (...args) => output(daemon, ['schedule', ...args]);
  const box = await withAgent(say('x'), { name: 'web' });
  const id = (await run('add', 'web', '0 0 1 1 *', '--workdir', '/tmp', '--timeout', '5', '--', 'sh', '-c', '[a] --json')).trimEnd();
  const far = '0 0 1 jan *';
  const prompt = await json(daemon, ['schedule', 'add', 'web', far, '--prompt', 'look', '--model', 'mine', '--webhook', 'http://h.invalid/x', '--webhook-header', 'A=b=c']);
  assert.deepEqual([prompt.type, prompt.prompt, prompt.model, prompt.webhook_headers], ['prompt', 'look', 'mine', { A: '********' }]);
  const made = await get(box, { id });
  assert.deepEqual([made.command, made.folder, made.timeout], [['sh', '-c', '[a] --json'], '/tmp', 5000]);
  const [head, ...rows] = (await run('ls', 'web')).trimEnd().split('\n');
  assert.match(head, /^ID +STATUS +CRON +NEXT +LAST +RUNS +FAILED +WORK$/);
  assert.match(rows[0], new RegExp(`^${id} +active +0 0 1 1 \\* +\\d{4}-01-01 00:00:00 \\(in \\d+d\\) +0 +0 +sh -c \\[a\\] --json$`));
  assert.match(rows[1], /prompt: look$/);
  assert.equal(await run('edit', 'web', id, '--cron', '* * * * *', '--workdir', '', '--', 'echo', 'hi'), '');
  assert.deepEqual([(await get(box, { id })).command, (await get(box, { id })).folder], [['echo', 'hi'], '/workspace/home']);
  await run('edit', 'web', prompt.id, '--model', '', '--webhook', '');
  await minute();
  const { last_run_id } = await ended(box, { id }, 1);
  assert.match(await run('show', 'web', id), new RegExp(`^Status +active$.*^Last +completed \\(\\w+ ago\\)$\n^Last run +${last_run_id}$.*^Work +echo hi$`, 'ms'));
  assert.equal(await run('pause', 'web', id, prompt.id), '');
  assert.ok((await json(daemon, ['schedule', 'ls', 'web'])).every(({ status }) => status === 'paused'));
  assert.equal(await run('resume', 'web', id), '');
  assert.match(await output(daemon, ['__complete', 'schedule', 'rm', 'web', '']), new RegExp(`^${id}\\b`, 'm'));
  assert.equal(await run('rm', 'web', id, prompt.id), '');
  await complains(daemon, 1, /^hutch: SCHEDULE: the box has none with the id "none"/, ['schedule', 'show', 'web', 'none']);
  await complains(daemon, 1, /^hutch: CRON: minute: "61"/, ['schedule', 'add', 'web', '61 * * * *', '--', 'true']);
  await complains(daemon, 2, /say either a COMMAND, after `--`, or --prompt/, ['schedule', 'add', 'web', far]);
  await complains(daemon, 2, /say either/, ['schedule', 'add', 'web', far, '--prompt', 'x', '--', 'true']);
  await complains(daemon, 2, /say what is to be another/, ['schedule', 'edit', 'web', 'none']);
  await complains(daemon, 2, /--webhook-header: "A" is not NAME=VALUE/, ['schedule', 'add', 'web', far, '--webhook-header', 'A', '--', 'true']);
});

leakless(daemon, 'hundreds that are due in the same minute all fire, each turn of the loop a few; others are served between', { timeout: 200_000 }, async (context) => {
  const boxes = [];
  for (let i = 0; i < 5; ++i) boxes.push(await daemon.box());
  const neighbour = await daemon.box();
  for (const box of boxes) {
    for (let i = 0; i < 100; ++i) await make(box, { cron: '0 * * * *', command: ['sh', '-c', 'echo >> file'] });
  }
  const begin = performance.now();
  await clock.pass(3600, daemon);
  const took = [];
  const total = async () => {
    let sum = 0;
    for (const box of boxes) sum += (await daemon.json('GET', `${box.path}/schedules`)).reduce((all, { total_runs }) => all + total_runs, 0);
    return sum;
  };
  await until('all have fired', async () => {
    const before = performance.now();
    await neighbour.sh('true');
    took.push(performance.now() - before);
    return await total() === 500;
  }, 120_000);
  took.sort((a, b) => a - b);
  context.diagnostic(`${Math.round(performance.now() - begin)} ms; a neighbour's exec took ${took.at(took.length >> 1).toFixed(1)} ms in the middle, ${took.at(-1).toFixed(1)} at most, of ${took.length}`);
  for (const box of boxes) assert.equal(await lines(box, 'file'), 100);
});

leakless(daemon, 'killed at each step of a firing: it is counted once, and has run at most once', { timeout: 280_000 }, async (context) => {
  if (!preload.includes(process.env.FAIL_POINTS ?? '?')) return context.skip('needs FAIL_POINTS, the library to preload');
  const box = await daemon.box();
  const schedule = await make(box, { command: ['sh', '-c', 'echo >> file'] });
  let total = 0;
  let steps = 0;
  for (let died = true; died; ++steps) {
    const before = await lines(box, 'file');
    fs.writeFileSync(`${counter}.new`, `${steps}\n`);
    fs.renameSync(`${counter}.new`, counter);
    ++total;
    await minute().catch(() => {});
    await until('it is done, or the daemon is', async () => !daemon.running || (await get(box, schedule).then(({ total_runs }) => total_runs === total, () => false)));
    fs.rmSync(counter);
    died = !(await daemon.ask('GET', '/v2/host').then(() => true, () => false));
    if (died) {
      await daemon.exited;
      await daemon.launch();
    }
    const now = await ended(box, schedule, total);
    const ran = await lines(box, 'file');
    assert.ok(ran - before <= 1, `step ${steps}: it ran ${ran - before} times`);
    assert.equal((await runsOf(box, schedule)).length, total, `step ${steps}`);
    assert.ok(['completed', 'failed'].includes(now.last_run_status));
  }
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 3);
});
