// What happens, told as it happens: the stream, how it is resumed, and that it never hides a gap; and the daemon's log.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { complains, output, start } from './lib/command.mjs';
import { open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();
const kKept = 1000;

/// Events of a text/event-stream; what is not whole yet is left out.
function parse(text) {
  const blocks = text.split('\n\n').slice(0, -1);
  return blocks.map((block) => {
    const [, id, type, data] = /^id: (.*)\nevent: (.*)\ndata: (.*)$/.exec(block);
    const event = JSON.parse(data);
    assert.deepEqual([id, type], [`${event.start}-${event.id}`, event.type], block);
    return { place: id, ...event };
  });
}

async function events(query = '', headers = {}) {
  const answer = await daemon.ask('GET', `/v2/events${query}`, { headers });
  assert.deepEqual([answer.status, answer.type], [200, 'text/event-stream'], answer.text);
  return parse(answer.text);
}

/// Where the stream is now.
async function here() {
  return (await events()).at(-1).place;
}

/// A stream that goes on; `leave` ends it.
class Follower {
  static async open(query) {
    const follower = new Follower();
    follower.response = await open(daemon.socket, 'GET', `/v2/events?follow=1${query}`);
    assert.equal(follower.response.statusCode, 200);
    follower.text = '';
    follower.response.setEncoding('utf8').on('data', (piece) => {
      follower.text += piece;
    });
    follower.response.on('error', () => {}); // of a daemon that was killed
    follower.closed = new Promise((resolve) => {
      follower.response.on('close', resolve);
    });
    return follower;
  }

  get events() {
    return parse(this.text);
  }

  async until(type) {
    return until(`there is ${type}: ${this.text}`, () => this.events.find((event) => event.type === type));
  }

  leave() {
    this.response.destroy();
  }
}

const types = (list) => list.map((event) => event.type);
const pause = (box) => daemon.json('POST', `${box.path}/pause`);
const resume = (box) => daemon.json('POST', `${box.path}/resume`);

leakless(daemon, 'the life of a box, from its creation to its end', async () => {
  const before = await here();
  const box = await daemon.box({ name: 'web' });
  await pause(box);
  await resume(box);
  await pause(box);
  await box.sh('exit 0');
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  await until('its end is told', async () => types(await events(`?after=${before}`)).includes('box.stopped'));
  await box.sh('exit 0');
  await box.remove();
  const told = await events(`?after=${before}&box=${box.id}`);
  assert.deepEqual(types(told), [
    'box.created', 'box.paused', 'box.resumed', 'box.paused', 'box.resumed', 'run.started', 'run.ended', 'box.stopped',
    'box.started', 'run.started', 'run.ended', 'box.deleted',
  ]);
  assert.deepEqual(told.filter((event) => event.reason).map(({ type, reason }) => [type, reason]), [
    ['box.resumed', 'work arrived'], ['box.stopped', 'its init ended'], ['box.started', 'work arrived']]);
  for (const [i, event] of told.entries()) {
    assert.deepEqual([event.box_id, event.name, event.start], [box.id, 'web', told[0].start]);
    assert.equal(event.id, told[0].id + i);
    assert.ok(Math.abs(event.time - Date.now()) < 600_000, `${event.time} are Unix milliseconds`);
  }
});

leakless(daemon, 'a run tells how it ended and what it used', async () => {
  const before = await here();
  const box = await daemon.box();
  await box.fails('i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3');
  const { run_id } = await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
  await daemon.json('POST', `${box.path}/runs/${run_id}/cancel`);
  await daemon.ask('POST', `${box.path}/exec`, { body: { command: ['sleep', '1000'], timeout: 1 } });
  const { run_id: lost } = await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
  await box.remove();
  const ended = await until('all have ended', async () => {
    const list = (await events(`?after=${before}`)).filter((event) => event.type === 'run.ended');
    return list.length === 4 && list;
  });
  assert.deepEqual(ended.map(({ status, exit_code }) => [status, exit_code]),
    [['failed', 3], ['cancelled', 137], ['failed', 137], ['failed', null]]);
  assert.ok(ended[0].cpu_ns > 0);
  assert.match(ended[0].prompt, /^sh -c i=0;/);
  assert.equal(ended[1].run_id, run_id);
  assert.match(ended[2].reason, /killed at its timeout of 1 ms/);
  assert.equal(ended[3].run_id, lost);
  assert.match(ended[3].reason, /was deleted; its exit code is not known/);
  const started = (await events(`?after=${before}`)).filter((event) => event.type === 'run.started');
  assert.deepEqual(started.map((event) => event.run_id), ended.map((event) => event.run_id));
});

leakless(daemon, 'what serves another call is no run, and an image is built in no box', async () => {
  const before = await here();
  const body = { from: 'busybox', script: 'echo x > /made' };
  const built = await daemon.ask('POST', '/v2/images/other/build', { body });
  assert.match(built.text, /event: image/);
  await daemon.json('DELETE', '/v2/images/other');
  const told = await events(`?after=${before}`);
  assert.deepEqual(told.map(({ type, name }) => [type, name]), [['image.built', 'other'], ['image.removed', 'other']]);
});

leakless(daemon, 'a box that cannot be made or started says why', async () => {
  const before = await here();
  const box = await daemon.box();
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  await until('its end is noticed', async () => await box.status() === 'paused');
  const upper = `${daemon.store}/uppers/${box.id}`;
  fs.renameSync(upper, `${upper}.away`);
  fs.writeFileSync(upper, 'rubbish');
  assert.equal((await daemon.ask('POST', `${box.path}/resume`)).status, 500);
  fs.rmSync(upper);
  fs.renameSync(`${upper}.away`, upper);
  const failed = (await events(`?after=${before}&box=${box.id}`)).at(-1);
  assert.equal(failed.type, 'box.failed');
  assert.match(failed.reason, new RegExp(box.id));
});

leakless(daemon, 'a box is picked by name or id, before it is there', async () => {
  const follower = await Follower.open(`&box=late&after=${await here()}`);
  const [other, box] = [await daemon.box({ name: 'other' }), await daemon.box({ name: 'late' })];
  await pause(other);
  await pause(box);
  await follower.until('box.paused');
  assert.deepEqual(follower.events.map(({ type, box_id }) => [type, box_id]),
    [['box.created', box.id], ['box.paused', box.id]]);
  follower.leave();
});

leakless(daemon, 'who comes back goes on exactly where he was', async () => {
  const box = await daemon.box();
  const first = await Follower.open(`&box=${box.id}`);
  await pause(box);
  await first.until('box.paused');
  first.leave();
  await resume(box);
  await box.sh('exit 0');
  const { place } = first.events.at(-1);
  const missed = ['box.resumed', 'run.started', 'run.ended'];
  assert.deepEqual(types(await events(`?after=${place}`)), missed);
  assert.deepEqual(types(await events('', { 'last-event-id': place })), missed);
  const { place: first_place } = first.events[0];
  assert.deepEqual(types(await events(`?after=${first_place}`, { 'last-event-id': place })), missed, 'the header is the newer');
  assert.deepEqual(await events(`?after=${await here()}`), []);
});

leakless(daemon, 'what is not a place is refused', async () => {
  const { start: daemon_start, id } = (await events()).at(-1);
  for (const after of ['', '5', '-', '1-', '-1', 'x-1', '1-x', '1--1', '1-1-1', '99999999999999999999-1']) {
    await daemon.refuses(400, /^after: must be START-N/, 'GET', `/v2/events?after=${after}`);
  }
  await daemon.refuses(400, /^after: no event has that id yet/, 'GET', `/v2/events?after=${daemon_start}-${id + 1000}`);
  await daemon.refuses(400, /^Last-Event-ID: must be/, 'GET', '/v2/events', { headers: { 'last-event-id': 'x' } });
  await daemon.refuses(400, /^follow: /, 'GET', '/v2/events?follow=yes');
  await daemon.refuses(405, /method/, 'POST', '/v2/events', { body: {} });
});

leakless(daemon, 'a new daemon says that what was before is not known', async () => {
  const box = await daemon.box();
  const { run_id } = await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
  const [before] = (await events()).slice(-1);
  const follower = await Follower.open('');
  await daemon.end('SIGKILL');
  await follower.closed;
  await daemon.launch();
  const [gap, ...rest] = await events('', { 'last-event-id': before.place });
  assert.deepEqual([gap.type, gap.id, gap.lost, gap.reason], ['gap', 0, null, 'hutchd was started anew']);
  assert.notEqual(gap.start, before.start);
  assert.deepEqual(rest, [], 'what goes on is not told again');
  await daemon.json('POST', `${box.path}/runs/${run_id}/cancel`);
  const told = await events(`?after=${gap.place}`);
  assert.deepEqual(told.map(({ type, id }) => [type, id]), [['run.ended', 1]], 'resumed after the gap, once');
});

leakless(daemon, 'what ended while no daemon ran is told by the next', async () => {
  const box = await daemon.box({ name: 'lone' });
  const { run_id } = await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  await daemon.end('SIGKILL');
  process.kill(details.init_pid, 'SIGKILL');
  await daemon.launch();
  const told = await events('?box=lone');
  assert.deepEqual(told.map(({ type, run_id: run, exit_code }) => [type, run, exit_code]),
    [['box.stopped', undefined, undefined], ['run.ended', run_id, null]]);
});

leakless(daemon, 'a daemon that is stopped does not wait for who follows, and lets him end well', async () => {
  const follower = await Follower.open('');
  const ended = once(follower.response, 'end'); // only of a whole answer
  assert.deepEqual(await daemon.end('SIGTERM'), { code: 0, signal: null });
  await ended;
  assert.ok(!daemon.log.some((line) => line.includes('cut off')), daemon.log.join('\n'));
  await daemon.launch();
});

leakless(daemon, 'who reads too slowly learns how many he has missed; nobody waits for him', async () => {
  const box = await daemon.box();
  const stuck = await open(daemon.socket, 'GET', `/v2/events?follow=1&after=${await here()}`);
  stuck.pause();
  const rounds = 2 * kKept;
  for (let i = 0; i < rounds; ++i) {
    await pause(box);
    await resume(box);
  }
  const { place: last } = (await events()).at(-1);
  assert.equal((await events()).length, kKept);
  let text = '';
  stuck.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  }).resume();
  await until('he has caught up', () => text.includes(`id: ${last}\n`));
  stuck.destroy();
  const told = parse(text);
  const gaps = told.filter((event) => event.type === 'gap');
  assert.ok(gaps.length > 0, 'he has missed some');
  const lost = gaps.reduce((sum, gap) => sum + gap.lost, 0);
  assert.equal(told.length - gaps.length + lost, 2 * rounds, 'each event is told or counted');
  for (let i = 1; i < told.length; ++i) {
    assert.equal(told[i].id, told[i - 1].id + (told[i].type === 'gap' ? told[i].lost : 1));
  }
});

leakless(daemon, 'a place that is no longer kept is answered with the gap', async () => {
  const box = await daemon.box();
  const before = await here();
  for (let i = 0; i < kKept / 2 + 10; ++i) {
    await pause(box);
    await resume(box);
  }
  const [gap, ...rest] = await events(`?after=${before}`);
  assert.deepEqual([gap.type, gap.lost, gap.reason, rest.length], ['gap', 20, 'more events than are kept', kKept]);
  assert.equal(rest[0].id, gap.id + 1);
  assert.equal((await events(`?after=${before}&box=nobody`)).length, 1, 'a gap is for everybody');
  assert.equal((await events()).length, kKept, 'who asks for all that is kept misses nothing');
});

leakless(daemon, 'who goes away is forgotten, though nothing happens', async () => {
  const followers = await Promise.all(Array.from({ length: 20 }, () => Follower.open('')));
  for (const follower of followers) follower.leave();
  // assertNoLeak counts connections and descriptors
});

// --- hutch events ---

const lines = (text) => text.trimEnd().split('\n');

leakless(daemon, 'hutch events shows a line for each', async () => {
  const before = await here();
  const box = await daemon.box({ name: 'web' });
  await box.fails('exit 3');
  await box.remove();
  const shown = lines(await output(daemon, ['events', '--box', 'web', '--after', before]));
  const time = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}/;
  for (const line of shown) assert.match(line, time);
  const said = shown.map((line) => line.replace(time, ''));
  assert.match(said[0], /^box\.created {2}web$/);
  assert.match(said[1], /^run\.started {2}web {2}\w+ {2}sh -c exit 3$/);
  assert.match(said[2], /^run\.ended {2}web {2}\w+ {2}failed {2}exit 3 {2}\d\.\d\ds {2}sh -c exit 3$/);
  assert.match(said[3], /^box\.deleted {2}web$/);
  const json = lines(await output(daemon, ['events', '--json', '--after', before])).map((line) => JSON.parse(line));
  assert.deepEqual(types(json), ['box.created', 'run.started', 'run.ended', 'box.deleted']);
});

leakless(daemon, 'hutch events --follow goes on, and says when the daemon ends', async () => {
  const { child, ended } = start(daemon, ['events', '--follow', '--json', '--box', 'web', '--after', await here()]);
  let said = '';
  child.stdout.on('data', (piece) => {
    said += piece;
  });
  await daemon.box({ name: 'web' });
  await until('it is told', () => said.includes('\n'));
  assert.equal(JSON.parse(said).type, 'box.created');
  await daemon.end('SIGTERM');
  const { code, stderr } = await ended;
  assert.equal(code, 1);
  assert.match(stderr, /^hutch: hutchd is shutting down[^\n]*\n$/);
  await daemon.launch();
});

leakless(daemon, 'hutch events tells of gaps, refuses nonsense, and shows no control characters', async () => {
  const box = await daemon.box({ name: 'web' });
  const before = await here();
  await box.exec(['printf', '\x1b[2Jx\ny']);
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.match(await output(daemon, ['events', '--after', before]), /gap {2}hutchd was started anew {2}what happened before is not known\n/);
  await box.exec(['echo', '\x1b[2Jx\ny']);
  assert.match(await output(daemon, ['events', '--box', 'web']), /run\.started {2}web {2}\w+ {2}echo \?\[2Jx\?y\n/);
  await complains(daemon, 1, /after: must be START-N/, ['events', '--after', 'yesterday']);
  await complains(daemon, 2, /BOX|argument/, ['events', '--box']);
});

// --- the daemon's log ---

leakless(daemon, 'each line of the log is a JSON object, and one about a box names it', async () => {
  const box = await daemon.box();
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  const said = await until('its end is logged', () => daemon.log.map((line) => JSON.parse(line)).find((line) => line.box === box.id));
  assert.deepEqual([said.level, said.message], ['warning', `box ${box.id}: its init ended`]);
  assert.match(said.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.ok(Math.abs(Date.parse(said.time) - Date.now()) < 600_000);
});

leakless(daemon, 'the log is text where that is wanted, by option or in the configuration', async () => {
  const { args } = daemon;
  const config = `${daemon.directory}/hutchd.toml`;
  fs.writeFileSync(config, 'log_format = "text"\n');
  for (const more of [['--log_format', 'text'], ['--config', config]]) {
    await daemon.end('SIGTERM');
    daemon.args = [...args, ...more];
    await daemon.launch();
    assert.match(daemon.log.at(-1), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info listening on /);
  }
  await daemon.end('SIGTERM');
  daemon.args = args;
  await daemon.launch();
});
