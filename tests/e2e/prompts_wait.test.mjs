// Prompts that come while the box's agent is at work: they wait their turn, and nobody's is lost.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { hutch, output, start } from './lib/command.mjs';
import { connections } from './lib/host.mjs';
import { events, open } from './lib/http.mjs';
import { withCustomers } from './lib/customer.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite({ tcp: true, args: ['--private_webhooks'] });

// It notes that it has begun, and ends when its FIFO, called as the prompt, is written to.
const say = (event, data) => `printf 'event: ${event}\\ndata: %s\\n\\n' '${JSON.stringify(data)}'`;
const kScript = `cd /workspace/home; echo "$2" >> begun; [ -p "$2" ] && read line < "$2"; printf 'event: done\\ndata: {"output":"%s","session_id":"s"}\\n\\n' "$2"`;
const runner = (script) => ({ command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' });
const kAgent = { agent: 'custom', model: 'mine', custom_runner: runner(kScript) };
const withAgent = async (...fifos) => {
  const box = await daemon.box(kAgent);
  if (fifos.length > 0) await box.sh(`mkfifo ${fifos.join(' ')}`);
  return box;
};

/// The events of a prompt, of which the first has come: its run, and what it waits for.
async function ask(box, prompt, more = {}) {
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt, ...more } });
  assert.equal(response.statusCode, 200);
  const all = events(response);
  const { value: { name, data } } = await all.next();
  assert.equal(name, 'run_start');
  const last = async () => {
    let event;
    for await (event of all);
    return event;
  };
  return { run: data.run_id, waits_for: data.waits_for, last, leave: () => all.return() };
}
const send = (box, prompt, more = {}) => daemon.json('POST', `${box.path}/run`, { prompt, ...more });
const runOf = (box, run) => daemon.json('GET', `${box.path}/runs/${run}`);
const begun = (box, text) => until(`${text} has begun`, async () => (await box.sh('cat begun 2>/dev/null || true')) === text);
const ended = (box, run, status) => until(`${run} is ${status}`, async () => (await runOf(box, run)).status === status);

/// Calls `test` with a webhook, and what it was told; `answer` tells the status of each answer.
async function withWebhook(test, answer = () => 200) {
  const heard = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    heard.push(JSON.parse(text));
    response.writeHead(answer(heard.length), { connection: 'close' }).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await test({ webhook: { url: `http://127.0.0.1:${server.address().port}/` } }, heard);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

leakless(daemon, 'prompts come to their turns in the order in which they were asked, each a run from the beginning', async () => {
  const box = await withAgent('one', 'two', 'three');
  const one = await ask(box, 'one');
  const two = await ask(box, 'two');
  const three = await send(box, 'three');
  assert.deepEqual([one.waits_for, two.waits_for, three.waits_for, three.status], [undefined, one.run, two.run, 'running']);
  const { runs } = await daemon.json('GET', `${box.path}/runs`);
  assert.deepEqual(runs.filter(({ type }) => type === 'agent').map(({ id, status, prompt, waits_for }) => [id, status, prompt, waits_for]),
    [[three.run_id, 'running', 'three', two.run], [two.run, 'running', 'two', one.run], [one.run, 'running', 'one', undefined]]);
  assert.equal((await runOf(box, two.run)).waits_for, one.run);
  await begun(box, 'one');
  await box.sh('echo > one');
  assert.deepEqual(await one.last(), { name: 'done', data: { output: 'one', input_tokens: 0, output_tokens: 0, cached_input_tokens: 0, total_cost_usd: 0, session_id: 's' } });
  await begun(box, 'one\ntwo');
  assert.equal((await runOf(box, three.run_id)).waits_for, two.run);
  await box.sh('echo > two');
  assert.equal((await two.last()).data.output, 'two');
  await begun(box, 'one\ntwo\nthree');
  await box.sh('echo > three');
  await ended(box, three.run_id, 'completed');
  assert.equal((await daemon.json('GET', box.path)).total_prompts, 3);
  await daemon.refuses(409, /has ended/, 'POST', `${box.path}/runs/${two.run}/cancel`);
});

leakless(daemon, 'one that waits is cancelled: its stream and its webhook are told, and the one after it has its turn', () => withWebhook(async (hook, heard) => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const two = await ask(box, 'two', hook);
  const three = await send(box, 'three');
  await daemon.refuses(409, /waits for its turn/, 'POST', `${box.path}/runs/${two.run}/signal`, { body: { signal: 'INT' } });
  await daemon.json('POST', `${box.path}/runs/${two.run}/cancel`);
  assert.deepEqual(await two.last(), { name: 'error', data: { error: 'cancelled before its turn came' } });
  const told = await runOf(box, two.run);
  assert.deepEqual([told.status, told.error_message, told.waits_for, told.exit_code], ['cancelled', 'cancelled before its turn came', undefined, null]);
  await until('the webhook is told', () => heard.length === 1);
  assert.deepEqual([heard[0].run_id, heard[0].status, heard[0].error], [two.run, 'failed', 'cancelled before its turn came']);
  await daemon.refuses(409, /has ended \(cancelled\)/, 'POST', `${box.path}/runs/${two.run}/cancel`);
  assert.equal((await runOf(box, three.run_id)).waits_for, one.run);
  await box.sh('echo > one');
  await ended(box, three.run_id, 'completed');
  assert.equal(await box.sh('cat begun'), 'one\nthree');
  assert.equal((await daemon.json('GET', box.path)).total_prompts, 2);
}));

leakless(daemon, 'a client that leaves its stream before its turn does not want it; one that only looked on does not matter', async () => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const two = await ask(box, 'two');
  const looker = events(await open(daemon.socket, 'GET', `${box.path}/runs/${two.run}/events`));
  assert.deepEqual((await looker.next()).value.data, { run_id: two.run, waits_for: one.run });
  await looker.return();
  await until('its connection is closed', () => connections(daemon.socket) === 2);
  assert.equal((await runOf(box, two.run)).status, 'running');
  await two.leave();
  await ended(box, two.run, 'cancelled');
  await box.sh('echo > one');
  await one.last();
  assert.equal(await box.sh('cat begun'), 'one');
});

leakless(daemon, 'sixteen wait in a box, and one more is refused by the name of the limit', async () => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const all = [];
  for (let i = 0; i < 16; ++i) all.push(await send(box, `p${i}`));
  await daemon.refuses(429, /^prompts: 16 wait in box/, 'POST', `${box.path}/run`, { body: { prompt: 'too many' } });
  await daemon.json('POST', `${box.path}/runs/${all[3].run_id}/cancel`);
  await send(box, 'now');
  await box.sh('echo > one');
  await one.last();
  await begun(box, ['one', ...all.map((_, i) => `p${i}`).filter((_, i) => i !== 3), 'now'].join('\n'));
  await until('nobody is at work', async () => (await box.status()) === 'idle');
});

leakless(daemon, 'what is asked with megabytes is not kept waiting', async () => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  await daemon.refuses(413, /^prompt: .*2 MiB/, 'POST', `${box.path}/run`, { body: { prompt: '"'.repeat(1 << 20) } }); // written twice as long
  await box.sh('echo > one');
  await one.last();
});

withCustomers(daemon, 'those that wait count among the commands of their customer', async (alice, bob) => {
  await alice.limit({ commands: 2 });
  const { id } = await alice.box(kAgent);
  const path = `/v2/box/${id}`;
  await alice.json('POST', `${path}/exec`, { command: ['mkfifo', 'one', 'two'] });
  await alice.json('POST', `${path}/run`, { prompt: 'one' });
  const two = await alice.json('POST', `${path}/run`, { prompt: 'two' });
  const refused = await alice.ask('POST', `${path}/run`, { prompt: 'three' });
  assert.equal(refused.status, 429);
  assert.match(refused.json.error, /^commands: 2 of 2/);
  assert.equal((await bob.ask('POST', `${path}/runs/${two.run_id}/cancel`)).status, 404);
  await alice.json('POST', `${path}/runs/${two.run_id}/cancel`);
  assert.equal((await alice.limits()).commands.used, 1);
  const three = await alice.json('POST', `${path}/run`, { prompt: 'three' });
  await alice.limit({ commands: 0 });
  await alice.json('POST', `${path}/exec`, { command: ['sh', '-c', 'echo > one'] });
  await until('the third has ended', async () => (await alice.json('GET', `${path}/runs/${three.run_id}`)).status === 'completed');
  assert.equal((await alice.limits()).commands.used, 0);
});

for (const signal of ['SIGKILL', 'SIGTERM']) {
  leakless(daemon, `those that wait are begun by the next daemon after ${signal}, in their order`, () => withWebhook(async (hook, heard) => {
    const box = await withAgent('one', 'two');
    const one = await ask(box, 'one');
    const two = await ask(box, 'two');
    const three = await send(box, 'three', { folder: '/tmp', env: { X: 'y' }, ...hook });
    await begun(box, 'one');
    await daemon.end(signal);
    await assert.rejects(two.last());
    await daemon.launch();
    assert.deepEqual([(await runOf(box, two.run)).waits_for, (await runOf(box, three.run_id)).waits_for], [one.run, two.run]);
    await box.sh('echo > one');
    const again = events(await open(daemon.socket, 'GET', `${box.path}/runs/${two.run}/events`));
    await begun(box, 'one\ntwo');
    await box.sh('echo > two');
    let last;
    for await (last of again);
    assert.equal(last.data.output, 'two');
    await until('the webhook is told', () => heard.length === 1);
    assert.deepEqual([heard[0].run_id, heard[0].status, heard[0].output], [three.run_id, 'completed', 'three']);
  }));
}

leakless(daemon, 'one whose predecessor ended while no daemon ran is begun at the next start', async () => {
  const box = await withAgent('one');
  await send(box, 'one');
  const two = await send(box, 'two');
  await begun(box, 'one');
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  await daemon.end('SIGKILL');
  fs.writeFileSync(`/proc/${details.init_pid}/root/workspace/home/one`, '\n');
  await daemon.launch();
  await ended(box, two.run_id, 'completed');
  assert.equal(await box.sh('cat begun'), 'one\ntwo');
});

leakless(daemon, 'the end of a box ends those that wait in it, and their webhooks are told, by the next daemon if need be', () => withWebhook(async (hook, heard) => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const two = await ask(box, 'two');
  const three = await send(box, 'three', hook);
  await box.remove();
  assert.match((await one.last()).data.error, /was deleted/);
  assert.deepEqual(await two.last(), { name: 'error', data: { error: 'cancelled: its box was deleted' } });
  await until('the webhook has refused to hear', () => heard.length === 1);
  await daemon.end('SIGKILL');
  await daemon.launch();
  await until('it is told again', () => heard.length === 2);
  for (const { run_id, status, error } of heard) assert.deepEqual([run_id, status, error], [three.run_id, 'failed', 'cancelled: its box was deleted']);
}, (number) => (number === 1 ? 503 : 200)));

leakless(daemon, 'a pause holds the one at work and those that wait; a prompt that comes then wakes the box', async () => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const two = await ask(box, 'two');
  await begun(box, 'one');
  await daemon.json('POST', `${box.path}/pause`);
  assert.equal(await box.status(), 'paused');
  assert.equal((await runOf(box, two.run)).waits_for, one.run);
  const three = await ask(box, 'three');
  assert.deepEqual([three.waits_for, await box.status()], [two.run, 'running']);
  await box.sh('echo > one');
  for (const prompt of [one, two, three]) assert.equal((await prompt.last()).name, 'done');
  assert.equal(await box.sh('cat begun'), 'one\ntwo\nthree');
});

leakless(daemon, 'a rollback cancels those that wait; one that is refused does not. A fork and a snapshot have none of them', () => withWebhook(async (hook, heard) => {
  const box = await withAgent('one');
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201);
  const one = await ask(box, 'one');
  const two = await send(box, 'two', hook);
  await daemon.refuses(404, /snapshot/, 'POST', `${box.path}/rollback`, { body: { snapshot_id: 'none' } });
  assert.equal((await runOf(box, two.run_id)).waits_for, one.run);
  const [fork] = (await daemon.json('POST', `${box.path}/fork`, {}, 201)).boxes;
  const copy = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201);
  for (const made of [fork, copy]) assert.deepEqual((await daemon.json('GET', `/v2/box/${made.id}/runs`)).runs, []);
  await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: id });
  assert.equal((await one.last()).name, 'error');
  await until('the webhook is told', () => heard.length === 1);
  assert.deepEqual([heard[0].run_id, heard[0].error], [two.run_id, 'cancelled: its box was rolled back']);
  assert.equal((await runOf(box, two.run_id)).status, 'cancelled');
  const after = await ask(box, 'after');
  assert.equal((await after.last()).data.output, 'after');
  await daemon.json('DELETE', '/v2/box/snapshots');
}));

leakless(daemon, 'what is asked is judged when its turn has come, by the agent that the box has then', () => withWebhook(async (hook, heard) => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const two = await send(box, 'two', { folder: 'sub', ...hook });
  const three = await ask(box, 'three', { files: [{ data: Buffer.from('given').toString('base64'), filename: 'f' }] });
  await daemon.json('PUT', `${box.path}/config/custom-runner`, { custom_runner: runner(`cat $(printf '%s' "$2" | grep -o '/home/[^ ]*') > got; ${say('done', { output: 'other' })}`) });
  await daemon.json('PUT', `${box.path}/config/model`, { model: 'theirs' });
  await box.sh('echo > one');
  await one.last();
  await ended(box, two.run_id, 'failed');
  const { error_message } = await runOf(box, two.run_id);
  assert.match(error_message, /^folder: /);
  assert.equal((await three.last()).data.output, 'other');
  assert.deepEqual([(await runOf(box, three.run)).model, await box.read('got')], ['theirs', 'given']);
  await until('the webhook is told', () => heard.length === 1);
  assert.deepEqual([heard[0].status, heard[0].error], ['failed', error_message]);
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.ok(logs.some(({ source, message }) => source === 'agent' && message === `run ${two.run_id}: ${error_message}`));
}));

leakless(daemon, 'the output of one that waits is followed from its beginning', async () => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const { run_id } = await send(box, 'two');
  const followed = open(daemon.socket, 'GET', `${box.path}/runs/${run_id}/output?follow=1`);
  const attached = start(daemon, ['attach', box.id, run_id]).ended;
  await box.sh('echo > one');
  await one.last();
  let text = '';
  for await (const piece of await followed) text += piece;
  assert.match(text, /"output":"two"/);
  const { code, stdout } = await attached;
  assert.equal(code, 0);
  assert.match(stdout, /"output":"two"/);
});

leakless(daemon, 'hutch says that a prompt waits and for what, lists it, and cancels it', async () => {
  const box = await withAgent('one');
  const one = await ask(box, 'one');
  const waiting = start(daemon, ['agent', 'run', box.id, 'two']);
  const two = await until('it waits', async () => (await daemon.json('GET', `${box.path}/runs`)).runs.find(({ prompt }) => prompt === 'two'));
  assert.match(await output(daemon, ['runs', box.id]), new RegExp(`^${two.id} +waiting .*two$`, 'm'));
  await output(daemon, ['cancel', box.id, two.id]);
  const { code, stdout, stderr } = await waiting.ended;
  assert.deepEqual([code, stdout, stderr], [1, `waits for run ${one.run}\n`, 'hutch: cancelled before its turn came\n']);
  const next = start(daemon, ['agent', 'run', box.id, 'three']);
  await until('it waits', async () => (await daemon.json('GET', `${box.path}/runs`)).runs.some(({ prompt, waits_for }) => prompt === 'three' && waits_for));
  await box.sh('echo > one');
  assert.match((await next.ended).stdout, new RegExp(`^waits for run ${one.run}\n`));
  await one.last();
  assert.equal((await hutch(daemon, ['agent', 'run', box.id, 'four'])).stdout.includes('waits'), false);
});
