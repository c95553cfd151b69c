// What one customer may take: each limit is told by name to whom it stops, and another customer gets all the same.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { after } from 'node:test';
import { complains, output } from './lib/command.mjs';
import { withCustomers } from './lib/customer.mjs';
import { gitImage } from './lib/git-image.mjs';
import { needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('git', 'ldd');
const directory = fs.mkdtempSync('/var/tmp/hutch-limits-');

/// A server that takes requests, and says nothing until it is let go.
class Silent {
  constructor() {
    this.held = new Set();
    this.ended = 0; // given up by who asked
    this.server = http.createServer((request, response) => {
      this.held.add(response);
      response.on('close', () => {
        if (!response.writableEnded) ++this.ended;
      });
    }).listen(0, '127.0.0.1');
  }
  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }
  async let_go() {
    for (const response of this.held) response.writeHead(201, { connection: 'close' }).end('{"html_url":"x","number":7}');
    this.held.clear();
  }
  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

const forge = new Silent();
await once(forge.server, 'listening');
const provider = http.createServer((request, response) => {
  request.resume();
  response.shouldKeepAlive = false;
  provider.answer(response.writeHead(200, { 'content-type': 'text/event-stream' }));
}).listen(0, '127.0.0.1');
await once(provider, 'listening');
const daemon = suite({ tcp: true, import: { git: gitImage(directory) },
  args: ['--private_webhooks', '--github_url', 'http://forge.invalid', '--github_api_url', forge.url, '--anthropic_url', `http://127.0.0.1:${provider.address().port}`] });
after(() => {
  forge.close();
  provider.close();
  fs.rmSync(directory, { recursive: true });
});

const kGiB = 1 << 30;
let count = 0;
/// With customers that no test before has limited.
const limited = (name, test) => withCustomers(daemon, name, test, ++count);
const run = (...args) => output(daemon, args);

/// Refused by that limit, by name, with what is used and what to do.
async function refused(about, customer, method, path, body) {
  const { status, text } = await customer.ask(method, path, body);
  assert.equal(status, 429, text);
  const { error } = JSON.parse(text);
  assert.match(error, about);
  assert.match(error, /; .+, or ask the host's operator for more \(hutch key limit alice\d+ --[\w-]+ N\)$/);
}

limited('boxes: asked for at once, so many are made and no more; a fork is made whole or not at all', async (alice, bob) => {
  await alice.limit({ boxes: 3 });
  const answers = await Promise.all(Array.from({ length: 12 }, () => alice.ask('POST', '/v2/box', {})));
  const made = answers.filter(({ status }) => status === 201);
  assert.equal(made.length, 3);
  assert.ok(answers.every(({ status }) => status === 201 || status === 429));
  await refused(/^boxes: 3 of 3 \(boxes\) in use; delete some/, alice, 'POST', '/v2/box', {});
  await bob.box();

  const { id } = made[0].json;
  await alice.json('DELETE', `/v2/box/${made[1].json.id}`);
  await refused(/^boxes: 2 of 3 \(boxes\) in use, and 2 more asked for; /, alice, 'POST', `/v2/box/${id}/fork`, { count: 2 });
  assert.equal((await alice.json('GET', '/v2/box')).length, 2, 'nothing of the fork is left');
  assert.equal((await alice.limits()).boxes.used, 2);
  await alice.json('POST', `/v2/box/${id}/fork`, { count: 1 }, 201);
  const { id: snapshot } = await alice.json('POST', `/v2/box/${id}/snapshots`, { name: 'now' }, 201);
  await refused(/^boxes: /, alice, 'POST', '/v2/box/from-snapshot', { snapshot_id: snapshot });
});

limited('commands: of all boxes together, until they end', async (alice, bob) => {
  await alice.limit({ commands: 2 });
  const [one, two, his] = [await alice.box(), await alice.box(), await bob.box()];
  const sleep = { command: ['sleep', '1000'], detach: true };
  const { run_id: first } = await alice.json('POST', `/v2/box/${one.id}/exec`, sleep, 202);
  await alice.json('POST', `/v2/box/${two.id}/exec`, sleep, 202);
  for (const box of [one, two]) await refused(/^commands: 2 of 2 /, alice, 'POST', `/v2/box/${box.id}/exec`, { command: ['true'] });
  await bob.json('POST', `/v2/box/${his.id}/exec`, { command: ['true'] });
  // Those that a daemon takes over count for the next one.
  await daemon.end('SIGKILL');
  await daemon.launch();
  await until('both are taken over', async () => (await alice.limits()).commands.used === 2);
  await refused(/^commands: /, alice, 'POST', `/v2/box/${two.id}/exec`, { command: ['true'] });
  await alice.json('POST', `/v2/box/${one.id}/runs/${first}/cancel`);
  await until('it has ended', async () => (await alice.limits()).commands.used === 1);
  for (let i = 0; i < 5; ++i) await alice.json('POST', `/v2/box/${two.id}/exec`, { command: ['true'] });
});

limited('memory: the sizes of boxes that are awake; who sleeps takes none, and is not woken without', async (alice, bob) => {
  await alice.limit({ memory_bytes: 8 * kGiB }); // of two small ones
  const [one, two] = [await alice.box(), await alice.box()];
  await refused(/^memory_bytes: 8\.0 GiB of 8\.0 GiB .*, and 4\.0 GiB more asked for; pause or delete/, alice, 'POST', '/v2/box', {});
  await bob.box({ size: 'large' });
  await alice.json('POST', `/v2/box/${one.id}/pause`);
  const three = await alice.box();
  await refused(/^memory_bytes: /, alice, 'POST', `/v2/box/${one.id}/exec`, { command: ['true'] });
  assert.equal((await alice.json('GET', `/v2/box/${one.id}/status`)).status, 'paused');
  // A snapshot of one at rest gives it a fresh init: nobody else takes its place meanwhile.
  await alice.json('POST', `/v2/box/${two.id}/snapshots`, { name: 'now' }, 201);
  await refused(/^memory_bytes: /, alice, 'POST', '/v2/box', {});
  await alice.json('POST', `/v2/box/${two.id}/exec`, { command: ['true'] });
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.deepEqual((await alice.limits()).memory_bytes, { used: 8 * kGiB, limit: 8 * kGiB });
  await alice.json('DELETE', `/v2/box/${three.id}`);
  await alice.json('POST', `/v2/box/${one.id}/exec`, { command: ['true'] });
});

limited('disk: writing and keeping in turns fills one\'s own share, and ends there', async (alice, bob) => {
  const kMiB = 1 << 20;
  await alice.limit({ disk_bytes: 40 * kMiB });
  const inTurns = async (customer, times) => {
    const { id } = await customer.box();
    for (let i = 0; i < times; ++i) {
      const wrote = await customer.ask('POST', `/v2/box/${id}/exec`, { command: ['sh', '-c', `head -c ${8 * kMiB} /dev/urandom > ${i}`] });
      assert.equal(wrote.status, 200, wrote.text);
      if (wrote.json.exit_code !== 0) return { id, kept: i, full: true }; // where the file system holds it to its share
      const { status, text } = await customer.ask('POST', `/v2/box/${id}/snapshots`, { name: `${i}` });
      if (status !== 201) return { id, kept: i, text };
    }
    return { id, kept: times };
  };
  const { id, kept, text, full } = await inTurns(alice, 8);
  assert.ok(kept >= 2 && kept < 5, `${kept} times ${text}`);
  if (!full) assert.match(JSON.parse(text).error, /^disk_bytes: .* of 40 MiB /);
  await refused(/^disk_bytes: /, alice, 'POST', `/v2/box/${id}/fork`, { count: 1 });
  assert.equal((await inTurns(bob, 6)).kept, 6);
  // Who makes room goes on.
  await alice.json('DELETE', '/v2/box/snapshots', {});
  await alice.json('POST', `/v2/box/${id}/exec`, { command: ['sh', '-c', 'rm -f ?'] });
  const fresh = await alice.box();
  await alice.json('DELETE', `/v2/box/${id}`);
  await until('its files count no more', async () => (await alice.limits()).disk_bytes.used < kMiB);
  await alice.json('POST', `/v2/box/${fresh.id}/snapshots`, { name: 'now' }, 201);
});

/// A connection that stays, with the answer to one request.
async function connect(customer, path = '/v2/box') {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const request = http.request(`${daemon.url}${path}`, { agent, headers: { 'x-box-api-key': customer.key } }).end();
  const [response] = await once(request, 'response');
  return { agent, response, status: response.statusCode, connection: response.headers.connection };
}

limited('connections: each that has shown the key', async (alice, bob) => {
  await alice.limit({ connections: 3 });
  const kept = [];
  for (let i = 0; i < 3; ++i) {
    kept.push(await connect(alice));
    kept[i].response.resume();
    assert.equal(kept[i].status, 200);
  }
  const fourth = await connect(alice);
  assert.deepEqual([fourth.status, fourth.connection], [429, 'close']);
  fourth.response.resume();
  await refused(/^connections: 3 of 3 /, alice, 'GET', '/v2/box');
  await bob.json('GET', '/v2/box');
  for (const { agent } of kept) agent.destroy();
  await until('they have ended', async () => (await alice.limits()).connections.used === 0);
  await alice.json('GET', '/v2/box');
});

limited('snapshots: those of one\'s own, however little is in them', async (alice, bob) => {
  await alice.limit({ snapshots: 2 });
  const { id } = await alice.json('POST', '/v2/box', {}, 201);
  for (const name of ['one', 'two']) await alice.json('POST', `/v2/box/${id}/snapshots`, { name }, 201);
  await refused(/^snapshots: 2 of 2 /, alice, 'POST', `/v2/box/${id}/snapshots`, { name: 'three' });
  const his = await bob.json('POST', '/v2/box', {}, 201);
  await bob.json('POST', `/v2/box/${his.id}/snapshots`, { name: 'one' }, 201);
  await alice.json('DELETE', '/v2/box/snapshots', {});
  assert.equal((await alice.limits()).snapshots.used, 0);
  await alice.json('POST', `/v2/box/${id}/snapshots`, { name: 'again' }, 201);
  for (const customer of [alice, bob]) await customer.json('DELETE', '/v2/box/snapshots', {});
});

limited('followers of events', async (alice, bob) => {
  await alice.limit({ followers: 1 });
  const follower = await connect(alice, '/v2/events?follow=1');
  await refused(/^followers: 1 of 1 /, alice, 'GET', '/v2/events?follow=1');
  await alice.json('GET', '/v2/box');
  assert.equal((await alice.ask('GET', '/v2/events')).status, 200, 'who only looks is none');
  const his = await connect(bob, '/v2/events?follow=1');
  assert.equal(his.status, 200);
  follower.agent.destroy();
  await until('it is gone', async () => (await alice.limits()).followers.used === 0);
  his.agent.destroy();
});

limited('receivers of webhooks that say nothing keep nobody else from theirs', async (alice, bob) => {
  const silent = new Silent();
  await once(silent.server, 'listening');
  const prompt = async (customer, url) => {
    const script = `printf 'event: done\\ndata: {}\\n\\n'`;
    const box = await customer.box({ agent: 'custom', model: 'm', custom_runner: { command: '/bin/sh', args: ['-c', script], protocol: 'box-sse-v1' } });
    await customer.json('POST', `/v2/box/${box.id}/run`, { prompt: 'x', webhook: { url } });
  };
  for (let i = 0; i < 6; ++i) await prompt(alice, silent.url);
  await until('some of hers are told', () => silent.held.size >= 2);
  const heard = http.createServer((_, response) => response.end()).listen(0, '127.0.0.1');
  await once(heard, 'listening');
  const his = once(heard, 'request');
  await prompt(bob, `http://127.0.0.1:${heard.address().port}`);
  await his;
  assert.equal(silent.ended, 0, 'he was told before any of hers was given up');
  await until('all of hers are told at once', () => silent.held.size === 6);
  await silent.let_go();
  silent.close();
  heard.close();
  heard.closeAllConnections();
});

limited('webhooks that wait for a slow receiver take a share of memory; beyond it what is on record is told', async (alice) => {
  const kSize = 1_000_000;
  const peak = () => Number(/VmHWM:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8'))[1]) / 1024;
  const script = `printf 'event: done\ndata: {"output":"'; head -c ${kSize} /dev/zero | tr '\\0' x; printf '"}\n\n'`;
  const box = await alice.box({ agent: 'custom', model: 'm', custom_runner: { command: '/bin/sh', args: ['-c', script], protocol: 'box-sse-v1' } });
  const heard = new Map();
  const waiting = [];
  const release = () => waiting.splice(0).forEach((response) => response.end());
  let slow = true;
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    const { run_id, output: said } = JSON.parse(text);
    heard.set(run_id, said.length);
    waiting.push(response);
    if (!slow) release();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const webhook = { url: `http://127.0.0.1:${server.address().port}/hook` };
  const runs = [];
  const prompts = async (count) => {
    while (runs.length < count) {
      const { run_id } = await alice.json('POST', `/v2/box/${box.id}/run`, { prompt: 'x', webhook });
      await until('it has ended', async () => (await daemon.json('GET', `/v2/box/${box.id}/runs/${run_id}`)).status !== 'running');
      runs.push(run_id);
    }
  };
  await prompts(10);
  const before = peak();
  await prompts(110);
  assert.ok(heard.size < runs.length, 'all were told at once');
  assert.ok(peak() < before + 100, `${peak()} MiB after ${before}`);
  slow = false;
  release();
  await until('all are told', () => runs.every((run) => heard.has(run)), 60_000);
  assert.ok([...heard.values()].every((size) => size === kSize));
  server.close();
  server.closeAllConnections();
});

limited('a forge that says nothing keeps no box of another from being made', async (alice, bob) => {
  const { id } = await alice.box({ runtime: 'git' });
  const { exit_code, output: said } = await alice.json('POST', `/v2/box/${id}/exec`, { command: ['sh', '-c', 'git init -q p && git -C p remote add origin http://forge.invalid/me/p.git'] });
  assert.equal(exit_code, 0, said);
  const asked = Array.from({ length: 6 }, () => alice.ask('POST', `/v2/box/${id}/git/create-pr`, { title: 'x', base: 'main', github_token: 't', folder: 'p' }));
  await until('the forge holds as many as there are workers', () => forge.held.size >= 4);
  const box = await bob.box();
  await bob.json('POST', `/v2/box/${box.id}/exec`, { command: ['true'] });
  await bob.json('POST', `/v2/box/${box.id}/files/write`, { path: 'x', content: 'x' });
  assert.equal(forge.ended, 0, 'before any of her calls was given up');
  await until('all are asked', () => forge.held.size === 6);
  await forge.let_go();
  for (const answer of await Promise.all(asked)) assert.equal(answer.status, 200, answer.text);
});

limited('out of memory, the kernel takes boxes before the daemon', async () => {
  const score = (pid) => Number(fs.readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'));
  const { details, id } = await daemon.json('POST', '/v2/box?details=1', {}, 201);
  assert.equal(score(details.init_pid), 500);
  assert.ok(score(daemon.process.pid) <= score(process.pid));
  const { output: own } = await daemon.json('POST', `/v2/box/${id}/exec`, { command: ['cat', '/proc/self/oom_score_adj'] });
  assert.equal(own.trim(), '500');
});

limited('tokens of models: as the provider tells them, each day anew', async (alice, bob) => {
  await alice.limit({ model_tokens: 100 });
  const ask = async (customer) => {
    const call = `wget -q -O - -S --header "x-api-key: $HUTCH_MODEL_TOKEN" --post-data '{}' "$HUTCH_MODEL_URL/v1/messages"`;
    const script = `${call} > /tmp/said 2>&1; printf 'event: done\\ndata: {"output":"%s"}\\n\\n' "$(tr -d '\\r\\n"\\\\' < /tmp/said)"`;
    const box = await customer.box({ agent: 'custom', model: 'anthropic/m', agent_api_key: 'key', custom_runner: { command: '/bin/sh', args: ['-c', script], protocol: 'box-sse-v1' } });
    const { text } = await customer.ask('POST', `/v2/box/${box.id}/run/stream`, { prompt: 'x' });
    return JSON.parse(/event: done\ndata: (.*)/.exec(text)[1]).output;
  };
  // Told as it grows; what the model says counts for nothing.
  const told = ['data: {"message":{"usage":{"input_tokens":70,"output_tokens":1}}}\n\n', 'data: {"text":"\\"output_tokens\\": 5000"}\n\n', 'data: {"usage":{"output_', 'tokens":30}}\n\n'];
  provider.answer = (response) => {
    for (const piece of told) response.write(piece);
    response.end();
  };
  assert.match(await ask(alice), /data:/);
  assert.deepEqual((await alice.limits()).model_tokens, { used: 100, limit: 100 });
  assert.match(await ask(alice), /429 Too Many Requests/);
  assert.match(await ask(bob), /data:/);
  // Who breaks off before it is told is charged by what went over the wire.
  await alice.limit({ model_tokens: 0 });
  provider.answer = (response) => {
    response.write('x'.repeat(4000));
    response.socket.destroySoon();
  };
  await ask(alice);
  assert.ok((await alice.limits()).model_tokens.used > 500);
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.ok((await alice.limits()).model_tokens.used > 500, 'kept');
});

limited('limits are set by the operator, shown with what is used, and kept', async (alice) => {
  await alice.box();
  assert.match(await run('key', 'ls'), /^NAME +AGE +BOXES +COMMANDS +MEMORY +DISK +SNAPSHOTS +CONNECTIONS +FOLLOWERS +MODEL TOKENS +URL CONNECTIONS +SCHEDULES +PULL +NESTING\nalice\d+ +\S+ +1\/100 +0\/500 +4\.0 GiB\/\S+ GiB /);
  assert.match(await run('key', 'limit', alice.name, '--boxes', '20', '--disk', '1536M', '--memory', '0'), /^BOXES .*\n1\/20 +0\/500 +4\.0 GiB +\S+ \S+\/1\.5 GiB /);
  assert.match(await run('key', 'limit', alice.name), /\n1\/20 /, 'what is not named stays');
  await daemon.end('SIGKILL');
  await daemon.launch();
  const { boxes, disk_bytes, memory_bytes } = await alice.limits();
  assert.deepEqual([boxes.limit, disk_bytes.limit, memory_bytes.limit], [20, 1.5 * kGiB, null]);
  await alice.limit({ boxes: 1 });
  await refused(/^boxes: 1 of 1 /, alice, 'POST', '/v2/box', {});
  await complains(daemon, 1, /"nobody"/, ['key', 'limit', 'nobody', '--boxes', '1']);
  await alice.json('PUT', `/v2/keys/${alice.name}/limits`, { boxes: 0 }, 403);
});
