// Calls that make boxes, sent again with the same Idempotency-Key: one box, and the same answer.

import assert from 'node:assert/strict';
import { Clock } from './lib/clock.mjs';
import { withCustomers } from './lib/customer.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const clock = new Clock();
const daemon = suite({ tcp: true, env: clock.env });

let made = 0;
const newKey = () => `key-${++made}`;
const send = (path, key, body = {}) => daemon.ask('POST', path, { body, headers: { 'idempotency-key': key } });
const ids = async () => (await daemon.json('GET', '/v2/box')).map(({ id }) => id);
/// A call that must succeed: the id of its box.
const make = async (key, body, path = '/v2/box') => {
  const answer = await send(path, key, body);
  assert.equal(answer.status, 201, answer.text);
  return answer.json.id ?? answer.json.boxes.map(({ id }) => id).join();
};
const refuses = async (error, ...call) => {
  const answer = await send(...call);
  assert.deepEqual([answer.status, Object.keys(answer.json)], [409, ['error']], answer.text);
  assert.match(answer.json.error, error);
};

leakless(daemon, 'the same call again answers the same box, over a restart and a kill too', async () => {
  const key = newKey();
  const body = { name: 'mine', labels: ['a'] };
  const id = await make(key, body);
  assert.equal(await make(key, body), id);
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    await daemon.end(signal);
    await daemon.launch();
    assert.equal(await make(key, body), id);
  }
  assert.deepEqual(await ids(), [id]);
  assert.notEqual(await make(newKey(), {}), id);
});

leakless(daemon, 'another body, or another call, with the same key is refused', async () => {
  const key = newKey();
  const id = await make(key, { size: 'small' });
  for (const [path, body] of [['/v2/box', { size: 'medium' }], ['/v2/box', {}], ['/v2/box/from-snapshot', { size: 'small' }], [`/v2/box/${id}/fork`, { size: 'small' }]]) {
    await refuses(/^Idempotency-Key: key-\d+ came with another call or another body before/, path, key, body);
  }
  assert.deepEqual(await ids(), [id]);
});

leakless(daemon, 'two at once make one box; one of them with another body is refused', async () => {
  const key = newKey();
  const all = await Promise.all([...Array.from({ length: 8 }, () => send('/v2/box', key, { name: 'n' })), send('/v2/box', key, { name: 'm' })]);
  const [id] = await ids();
  assert.equal((await ids()).length, 1);
  for (const answer of all.slice(0, 8)) assert.deepEqual([answer.status, answer.json.id], [201, id]);
  assert.equal(all[8].status, 409);
});

leakless(daemon, 'of a call that fails the key is free again', async () => {
  const key = newKey();
  const bad = await send('/v2/box', key, { size: 'vast' });
  assert.equal(bad.status, 400);
  const agent = await send('/v2/box', key, { model: 'openai/gpt-5' });
  assert.match(agent.json.error, /^agent: its program codex/);
  assert.deepEqual(await ids(), []);
  const id = await make(key, {});
  assert.deepEqual(await ids(), [id]);
});

leakless(daemon, 'when its box is deleted, the key makes no other until a day has passed', async () => {
  const key = newKey();
  const id = await make(key, {});
  await daemon.json('DELETE', `/v2/box/${id}`);
  await refuses(new RegExp(`^Idempotency-Key: ${key} made box ${id}, which was deleted; use a new key`), '/v2/box', key);
  await clock.pass(24 * 3600 - 60, daemon);
  await refuses(/which was deleted/, '/v2/box', key);
  await clock.pass(60, daemon);
  assert.notEqual(await make(key, {}), id);
});

leakless(daemon, 'a key is good for a day, and swept after that', async () => {
  const key = newKey();
  const id = await make(key, {});
  await clock.pass(24 * 3600 - 60, daemon);
  assert.equal(await make(key, {}), id);
  await clock.pass(60, daemon);
  const other = await make(key, {});
  assert.notEqual(other, id);
  await daemon.end('SIGKILL');
  await clock.pass(24 * 3600, daemon);
  await daemon.launch();
  assert.notEqual(await make(key, { name: 'now' }), other);
});

leakless(daemon, 'boxes from a snapshot and forks too', async () => {
  const box = await daemon.box();
  const { id: snapshot } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201);
  const one = newKey();
  const id = await make(one, { snapshot_id: snapshot }, '/v2/box/from-snapshot');
  assert.equal(await make(one, { snapshot_id: snapshot }, '/v2/box/from-snapshot'), id);
  const two = newKey();
  const forks = await make(two, { count: 3, name: 'f' }, `${box.path}/fork`);
  assert.equal(await make(two, { count: 3, name: 'f' }, `${box.path}/fork`), forks);
  assert.deepEqual((await ids()).sort(), [box.id, id, ...forks.split(',')].sort());
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'a key that is none is named', async () => {
  for (const key of ['', 'a b', 'x'.repeat(256), 'é']) {
    const answer = await send('/v2/box', key);
    assert.equal(answer.status, 400);
    assert.match(answer.json.error, /^Idempotency-Key: must be/);
  }
  assert.deepEqual(await ids(), []);
});

withCustomers(daemon, 'a key is its customer\'s own', async (alice, bob) => {
  const post = (customer, body) => fetch(`${daemon.url}/v2/box`, { method: 'POST', headers: { 'x-box-api-key': customer.key, 'idempotency-key': 'same', connection: 'close' }, body: JSON.stringify(body) });
  const first = await (await post(alice, { name: 'a' })).json();
  const second = await (await post(bob, { name: 'b' })).json();
  assert.deepEqual([first.name, second.name, first.id === second.id], ['a', 'b', false]);
  assert.equal((await (await post(alice, { name: 'a' })).json()).id, first.id);
});
