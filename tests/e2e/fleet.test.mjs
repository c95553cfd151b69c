// A fleet: every host is a door to every box.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { open } from './lib/http.mjs';
import { Fleet } from './lib/fleet.mjs';
import { needs } from './lib/suite.mjs';
import { until } from './lib/until.mjs';
import { Session } from './lib/websocket.mjs';

needs('etcd', 'openssl', 'nsenter', 'curl');
const fleet = new Fleet();
const [h1, h2, h3] = fleet.hosts;
before(() => fleet.up(), { timeout: 120_000 });
after(() => fleet.down(), { timeout: 120_000 });

/// A test that removes its boxes.
function fleetTest(name, run) {
  test(name, { timeout: 120_000 }, async (context) => {
    let failure;
    await run(context).catch((error) => (failure = error));
    await fleet.removeAll().catch((error) => (failure ??= error)); // what went wrong first says more
    if (failure) throw failure;
  });
}

/// A box, its host, and a door that is not its host's.
async function elsewhere(body = {}) {
  const box = await h1.box(body);
  const owner = fleet.host(box.data.host);
  const [door] = fleet.others(owner.name);
  return { box, owner, door, seen: door.seen(box) };
}

async function byKey(host, key, method, target, body) {
  const answer = await fetch(host.url + target, { method, headers: { 'x-box-api-key': key, connection: 'close' }, body: body && JSON.stringify(body) });
  return { status: answer.status, headers: answer.headers, json: await answer.json() };
}

fleetTest('boxes are made on all hosts, and every door lists all of them with their host', async () => {
  const made = [];
  for (let i = 0; i < 12; ++i) made.push(await h1.box({ name: `b${i}` }));
  assert.deepEqual([...new Set(made.map((box) => box.data.host))].sort(), ['h1', 'h2', 'h3']);
  for (const host of fleet.hosts) {
    const listed = await host.json('GET', '/v2/box');
    assert.deepEqual(listed.map((box) => `${box.name} ${box.host}`).sort(), made.map((box) => `${box.data.name} ${box.data.host}`).sort());
  }
  const { hosts, self } = await h2.json('GET', '/v2/hosts');
  assert.equal(self, 'h2');
  assert.deepEqual(hosts.map((host) => [host.name, host.state, host.there]), [['h1', 'active', true], ['h2', 'active', true], ['h3', 'active', true]]);
});

fleetTest('a box is used through a door that has none: calls, files, a stream as it comes, a terminal', async () => {
  const { box, owner, door, seen } = await elsewhere({ name: 'web' });
  assert.equal((await door.json('GET', '/v2/box/web')).id, box.id);
  assert.equal((await door.json('GET', '/v2/box/web')).host, owner.name);
  assert.equal(await seen.sh('echo $((6 * 7))'), '42');
  await seen.write('a.txt', 'through a door');
  assert.equal(await owner.seen(box).read('a.txt'), 'through a door');
  await door.refuses(400, /^command: /, 'POST', `${box.path}/exec`, { body: {} });

  const stream = await seen.stream(['sh', '-c', 'echo one; read x < pipe; echo two']);
  await stream.until('one');
  await seen.sh('[ -p pipe ] || true');
  stream.abandon();

  const session = await Session.open(door.socket, `${box.path}/exec-tty`, { command: ['sh', '-c', 'echo ready; read x; echo "got $x"; exit 3'], tty: true });
  await session.until(/ready/);
  session.input('hello\n');
  await session.until(/got hello/);
  assert.equal((await session.finish()).exit_code, 3);
});

fleetTest('a stream is passed on as it comes', async () => {
  const { box, seen } = await elsewhere();
  await seen.sh('mkfifo pipe');
  const stream = await seen.stream(['sh', '-c', 'echo one; read x < pipe; echo "two $x"']);
  await stream.until('one');
  await seen.sh('echo go > pipe');
  await stream.until('two go');
  assert.equal((await stream.finish()).data.exit_code, 0);
  assert.ok(box);
});

fleetTest('large bodies pass both ways, byte for byte', async () => {
  const { box, door, seen } = await elsewhere();
  const bytes = crypto.randomBytes(9 << 20);
  await door.json('POST', `${box.path}/files/write`, { path: 'big', content: bytes.toString('base64'), encoding: 'base64' });
  assert.equal(await seen.sh('sha256sum big | cut -d" " -f1'), crypto.createHash('sha256').update(bytes).digest('hex'));
  const read = await door.json('GET', `${box.path}/files/read?path=big&encoding=base64`);
  assert.ok(Buffer.from(read.content, 'base64').equals(bytes));
});

fleetTest('a client that leaves a terminal ends it at the owner', async () => {
  const { box, door, owner } = await elsewhere();
  const session = await Session.open(door.socket, `${box.path}/exec-tty`, { command: ['sh', '-c', 'echo ready; sleep 4711'], tty: true });
  await session.until(/ready/);
  session.abandon();
  await until('the terminal has ended', async () => (await owner.seen(box).fails('pgrep -f "sleep 471[1]"')) !== 0);
});

fleetTest('a box is paused, woken and deleted through any door, and its name is free at once', async () => {
  const { box, door, owner, seen } = await elsewhere({ name: 'web' });
  await door.json('POST', `${box.path}/pause`);
  assert.equal(await owner.seen(box).status(), 'paused');
  assert.equal(await seen.sh('echo awake'), 'awake');
  await seen.remove();
  for (const host of fleet.hosts) await host.refuses(404, /web/, 'GET', '/v2/box/web');
  const again = await h3.box({ name: 'web' });
  assert.notEqual(again.id, box.id);
});

fleetTest('of two that make a box of one name at two doors, one does', async () => {
  for (let i = 0; i < 10; ++i) {
    const answers = await Promise.all([h1, h2, h3].map((host) => host.ask('POST', '/v2/box', { body: { name: `same${i}` } })));
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [201, 409, 409]);
  }
  assert.equal((await h1.json('GET', '/v2/box')).length, 10);
});

fleetTest('a call with an Idempotency-Key makes one box, at whatever doors it comes', async () => {
  const headers = { 'idempotency-key': `k-${crypto.randomUUID()}` };
  const answers = await Promise.all([h1, h2, h3, h1].map((host) => host.ask('POST', '/v2/box', { body: { name: 'once' }, headers })));
  assert.deepEqual(answers.map((answer) => answer.status), [201, 201, 201, 201]);
  assert.equal(new Set(answers.map((answer) => answer.json.id)).size, 1);
  await h2.refuses(409, /came with another call/, 'POST', '/v2/box', { body: { name: 'other' }, headers });
  for (let i = 0; i < 3; ++i) await h1.refuses(400, /Idempotency-Key/, 'POST', '/v2/box', { body: {}, headers: { 'idempotency-key': '' } });
});

fleetTest('boxes of several hosts are deleted by one call, or none when one is not there', async () => {
  const made = [];
  for (let i = 0; i < 6; ++i) made.push(await h1.box());
  const ids = made.map((box) => box.id);
  await h2.refuses(404, /nosuch/, 'DELETE', '/v2/box', { body: { ids: [...ids, 'nosuch'] } });
  assert.equal((await h3.json('GET', '/v2/box')).length, 6);
  await h2.json('DELETE', '/v2/box', { ids });
  assert.equal((await h3.json('GET', '/v2/box')).length, 0);
});

fleetTest('a box is made from a snapshot, and forked, at whatever host that is', async () => {
  const { box, door, owner, seen } = await elsewhere();
  await seen.write('kept', 'yes');
  const { id } = await door.json('POST', `${box.path}/snapshots`, { name: 'one' }, 201);
  assert.equal((await door.json('GET', '/v2/box/snapshots')).snapshots[0].id, id);
  const copy = await door.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201);
  assert.equal(copy.host, owner.name);
  assert.equal((await door.json('GET', `/v2/box/${copy.id}/files/read?path=kept`)).content, 'yes');
  const fork = await door.json('POST', `${box.path}/fork`, { name: 'twin' }, 201);
  await until('the fork is known everywhere', async () => (await h3.ask('GET', `/v2/box/${fork.id}`)).status === 200);
  const second = await owner.json('POST', `${box.path}/snapshots`, { name: 'two' }, 201);
  await seen.remove();
  assert.equal((await door.json('GET', `${box.path}/usage`)).box_id, box.id);
  assert.equal((await door.json('GET', `${box.path}/snapshots`)).snapshots.length, 2);
  await door.refuses(404, /nosuch/, 'DELETE', '/v2/box/snapshots', { body: { ids: [id, 'nosuch'] } });
  await door.json('DELETE', `${box.path}/snapshots/${second.id}`);
  assert.deepEqual(await door.json('DELETE', '/v2/box/snapshots', { ids: [id] }), { deleted: 1 });
  assert.deepEqual((await owner.json('GET', '/v2/box/snapshots')).snapshots, []);
});

fleetTest('an API key that was made at one door is good at all, for its own boxes alone, until it is removed', async () => {
  const { key } = await h1.json('POST', '/v2/keys', { name: 'alice' }, 201);
  for (const host of fleet.hosts) {
    await until(`${host.name} knows the key`, async () => (await byKey(host, key, 'GET', '/v2/box')).status === 200);
  }
  await h2.refuses(409, /alice/, 'POST', '/v2/keys', { body: { name: 'alice' } });
  const others = await h1.box({ name: 'others' });
  const made = await byKey(h2, key, 'POST', '/v2/box', { name: 'hers' });
  assert.equal(made.status, 201);
  assert.equal(made.json.customer_id, 'alice');
  for (const host of fleet.hosts) {
    assert.deepEqual((await byKey(host, key, 'GET', '/v2/box')).json.map((box) => box.name), ['hers']);
    assert.equal((await byKey(host, key, 'GET', `/v2/box/${others.id}`)).status, 404);
    const claim = await fetch(`${host.url}/v2/box/${others.id}`, { headers: { 'x-box-api-key': key, 'x-hutch-customer': 'local', 'x-hutch-operator': '1', connection: 'close' } });
    assert.equal(claim.status, 404);
  }
  await h3.json('DELETE', `/v2/box/${made.json.id}`);
  await h3.json('DELETE', '/v2/keys/alice');
  for (const host of fleet.hosts) {
    await until(`${host.name} refuses the key`, async () => (await byKey(host, key, 'GET', '/v2/box')).status === 401);
  }
});

fleetTest('what a customer sets for all its boxes holds on all hosts', async () => {
  await h2.json('PUT', '/v2/box/settings/env/EVERYWHERE', { value: 'yes' });
  for (let i = 0; i < 6; ++i) {
    const box = await h1.box();
    assert.equal(await box.sh('echo $EVERYWHERE'), 'yes', box.data.host);
  }
  await h3.json('DELETE', '/v2/box/settings/env/EVERYWHERE');
  for (const host of fleet.hosts) assert.deepEqual((await host.json('GET', '/v2/box/settings/env')).env_vars, {});
});

fleetTest('a cordoned host gets no box, and a refusal has each host\'s reason', async () => {
  for (const host of [h2, h3]) await h1.json('PUT', `/v2/hosts/${host.name}`, { state: 'cordoned' });
  await until('it is known', async () => (await h2.json('GET', '/v2/hosts')).hosts.filter((host) => host.state === 'cordoned').length === 2);
  for (let i = 0; i < 4; ++i) assert.equal((await h2.box()).data.host, 'h1');
  await h1.json('PUT', '/v2/hosts/h1', { state: 'cordoned' });
  await until('it is known', async () => (await h3.json('GET', '/v2/hosts')).hosts.every((host) => host.state === 'cordoned'));
  await h3.refuses(503, /h1: is cordoned; h2: is cordoned; h3: is cordoned/, 'POST', '/v2/box', { body: {} });
  for (const host of fleet.hosts) await h1.json('PUT', `/v2/hosts/${host.name}`, { state: 'active' });
  await h1.refuses(404, /h9/, 'PUT', '/v2/hosts/h9', { body: { state: 'active' } });
  await h1.refuses(409, /is there/, 'DELETE', '/v2/hosts/h2');
});

fleetTest('hutch host lists, cordons and uncordons; hutch ls tells where a box is', async () => {
  const hutch = (...args) => execFileSync(process.env.HUTCH, ['--host', `unix://${h2.socket}`, ...args], { encoding: 'utf8' });
  const box = await h1.box({ name: 'web' });
  assert.match(hutch('ls'), new RegExp(`HOST\\s*\nweb .* ${box.data.host}\\s*\n$`));
  assert.equal(hutch('ls', '--format', 'name,host'), `web\t${box.data.host}\n`);
  await box.remove();
  hutch('host', 'cordon', 'h3');
  await until('h3 is told as cordoned', () => /^h3 +cordoned /m.test(hutch('host', 'ls')));
  hutch('host', 'uncordon', 'h3');
  await until('h3 is told as active', () => /^h3 +active /m.test(hutch('host', 'ls')));
  assert.throws(() => execFileSync(process.env.HUTCH, ['--host', `unix://${h2.socket}`, 'host', 'rm', 'h3'], { stdio: 'pipe' }), /is there; stop its hutchd first/);
});

fleetTest('who is no host of the fleet is not heard by the others', async () => {
  const tls = `${fleet.directory}/tls`;
  const address = `https://${fleet.net}.12:7433/v2/box`;
  const told = ['-H', 'X-Hutch-Customer: local', '-H', 'X-Hutch-Operator: 1'];
  assert.throws(() => execFileSync('curl', ['-sfk', ...told, address], { stdio: 'ignore' }));
  // etcd's certificate is the authority's too, and no host's
  assert.throws(() => execFileSync('curl', ['-sfk', ...told, '--cert', `${tls}/etcd.pem`, '--key', `${tls}/etcd.key`, address], { stdio: 'ignore' }));
  execFileSync('curl', ['-sfk', ...told, '--cert', `${tls}/h1.pem`, '--key', `${tls}/h1.key`, address], { stdio: 'ignore' });
});

fleetTest('the boxes of a host that was killed are said to be away, not gone, and are there when it is back', async () => {
  const { box, owner, door, seen } = await elsewhere({ name: 'web' });
  const mine = await door.box({ name: 'other' });
  await seen.sh('sleep 4712 > /dev/null 2>&1 & echo $! > pid');
  await owner.kill();
  await door.refuses(503, new RegExp(`"web" is on host ${owner.name}, which does not answer|${owner.name}, silent since|${owner.name}: Host`), 'GET', '/v2/box/web');
  await until('its lease has ended', async () => (await door.json('GET', '/v2/hosts')).hosts.some((host) => !host.there), 60_000);
  const answer = await open(door.socket, 'POST', `${box.path}/exec`, { body: { command: ['true'] } });
  assert.equal(answer.statusCode, 503);
  assert.ok(Number(answer.headers['retry-after']) > 0);
  answer.resume();
  await door.refuses(503, new RegExp(`on host ${owner.name}, silent since 20..-..-..T..:..:..Z`), 'DELETE', '/v2/box/web');
  await door.refuses(409, /web/, 'POST', '/v2/box', { body: { name: 'web' } });
  const list = await open(door.socket, 'GET', '/v2/box');
  assert.equal(list.headers['x-hutch-partial'], owner.name);
  list.resume();
  const told = spawnSync(process.env.HUTCH, ['--host', `unix://${door.socket}`, 'ls'], { encoding: 'utf8' });
  assert.match(told.stderr, new RegExp(`the boxes of ${owner.name} are not listed`));
  for (let i = 0; i < 6; ++i) assert.notEqual((await door.box()).data.host, owner.name);
  if (mine.data.host !== owner.name) assert.equal(await mine.sh('echo here'), 'here');
  await owner.start();
  await fleet.whole();
  assert.equal(await seen.sh('kill -0 $(cat pid) && echo alive'), 'alive');
});

fleetTest('without etcd each host goes on with its own boxes, and says why it makes none', async () => {
  const box = await h1.box({ name: 'web' });
  const owner = fleet.host(box.data.host);
  const [door] = fleet.others(owner.name);
  await fleet.killEtcd();
  const own = owner.seen(box);
  assert.equal(await own.sh('echo on'), 'on');
  await own.write('f', 'x');
  await owner.json('POST', `${box.path}/pause`);
  assert.equal(await own.read('f'), 'x');
  assert.equal(await door.seen(box).sh('echo through'), 'through');
  await owner.refuses(503, /etcd/, 'POST', '/v2/box', { body: { name: 'more' } });
  await owner.refuses(503, /etcd/, 'POST', '/v2/keys', { body: { name: 'bob' } });
  await owner.refuses(503, /etcd/, 'GET', '/v2/box/nosuch');
  await owner.json('DELETE', box.path);
  for (const host of [owner, door]) await host.refuses(404, /web/, 'GET', '/v2/box/web');
  await door.refuses(503, /etcd/, 'POST', '/v2/box', { body: { name: 'web' } });
  fleet.script('etcd');
  await fleet.whole();
  const again = await until('the name is free again', async () => {
    const answer = await door.ask('POST', '/v2/box', { body: { name: 'web' } });
    return answer.status === 201 && answer.json;
  }, 100_000);
  assert.notEqual(again.id, box.id);
});

fleetTest('what a hand-made row says of a box that is nowhere goes', async () => {
  const tls = `${fleet.directory}/tls`;
  const etcdctl = (...args) => execFileSync('etcdctl', ['--endpoints', `https://${fleet.net}.1:2379`, '--cacert', `${tls}/ca.pem`, '--cert', `${tls}/h1.pem`, '--key', `${tls}/h1.key`, ...args],
    { encoding: 'utf8', env: { ...process.env, ETCDCTL_API: '3' } });
  if (!fs.existsSync('/usr/bin/etcdctl')) return;
  const prefix = `/hutch/${fleet.env.FLEET_NAME}`;
  etcdctl('put', `${prefix}/box/local/ghost`, '{"host":"h2","name":"ghost","created_at":1000}');
  etcdctl('put', `${prefix}/name/local/ghost`, 'ghost');
  await until('the row is gone', () => etcdctl('get', '--prefix', `${prefix}/name/local/ghost`) === '', 60_000);
});
