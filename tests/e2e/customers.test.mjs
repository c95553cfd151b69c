// API keys are customers: what is another's does not exist, whichever way it is asked for.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { complains, hutch, output } from './lib/command.mjs';
import { Customer, withCustomers } from './lib/customer.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite({ tcp: true });

const kEnv = '/v2/box/settings/env';
const run = (...args) => output(daemon, args);

withCustomers(daemon, 'each has its own boxes, and names of its own', async (alice, bob) => {
  const box = await alice.json('POST', '/v2/box', { name: 'web' }, 201);
  assert.equal(box.customer_id, 'alice');
  const other = await bob.json('POST', '/v2/box', { name: 'web' }, 201);
  await alice.json('POST', '/v2/box', { name: 'web' }, 409);
  assert.equal((await alice.json('GET', '/v2/box/web')).id, box.id);
  assert.equal((await bob.json('GET', '/v2/box/web')).id, other.id);
  assert.deepEqual((await alice.json('GET', '/v2/box')).map(({ id }) => id), [box.id]);
  const { exit_code } = await alice.json('POST', '/v2/box/web/exec', { command: ['true'] });
  assert.equal(exit_code, 0);
  const { runs } = await alice.json('GET', '/v2/box/web/runs');
  assert.equal(runs[0].customer_id, 'alice');
  await daemon.refuses(404, /"web"/, 'GET', '/v2/box/web');
});

// What a handler would want to read before it looks for the box: a refusal must come first all the same.
const kBody = { name: 'x', command: ['true'], label: 'x', mode: 'deny-all', init_command: 'x', path: 'x', content: 'x', value: 'x' };

withCustomers(daemon, 'no call finds another\'s box, run or snapshot, or does anything to it', async (alice, bob) => {
  const box = await alice.json('POST', '/v2/box', { name: 'web', keep_alive: true, labels: ['x'] }, 201);
  await alice.json('POST', '/v2/box/web/exec', { command: ['sh', '-c', 'echo mine > file'] });
  const { runs: [{ id: runId }] } = await alice.json('GET', '/v2/box/web/runs');
  const snapshot = await alice.json('POST', '/v2/box/web/snapshots', { name: 'now' }, 201);
  const before = await alice.json('GET', '/v2/box/web');

  const { calls } = await bob.json('GET', '/v2');
  const ofBoxes = calls.map((call) => call.split(' ')).filter(([, path]) => path.includes('/{id}'));
  assert.ok(ofBoxes.length > 30, 'the list is that of the router');
  for (const id of [box.id, 'web']) {
    for (const [method, pattern] of ofBoxes) {
      const path = pattern.replace('{id}', id).replace('{run}', runId).replace('{snapshot}', snapshot.id).replaceAll(/\{\w+\}/g, 'x');
      const { status, text } = await bob.ask(method, path, method === 'GET' ? undefined : { ...kBody, snapshot_id: snapshot.id });
      // A name is another box's for each customer: of this one there is none, whatever a call complains of first.
      assert.ok(status === 404 || (id === 'web' && status >= 400), `${method} ${path}: ${status} ${text}`);
      assert.doesNotMatch(text, /mine/);
    }
  }
  await bob.json('DELETE', '/v2/box', { ids: [box.id] }, 404);
  await bob.json('DELETE', '/v2/box/snapshots', { ids: [snapshot.id] }, 404);
  assert.deepEqual(await bob.json('DELETE', '/v2/box/snapshots', {}), { deleted: 0 });
  await bob.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id }, 404);
  const own = await bob.json('POST', '/v2/box', {}, 201);
  await bob.json('GET', `/v2/box/${own.id}/diff?against=${snapshot.id}`, undefined, 404);
  await bob.json('POST', `/v2/box/${own.id}/rollback`, { snapshot_id: snapshot.id }, 404);
  await bob.json('DELETE', `/v2/box/${own.id}/snapshots/${snapshot.id}`, undefined, 404);
  await bob.json('GET', `/v2/box/${own.id}/runs/${runId}`, undefined, 404);

  // Its times, its cost and, while it gets a fresh init after the snapshot, its status are its own affair.
  const settings = ({ name, labels, keep_alive, network_policy }) => ({ name, labels, keep_alive, network_policy });
  assert.deepEqual(settings(await alice.json('GET', '/v2/box/web')), settings(before));
  assert.equal((await alice.json('GET', '/v2/box/web/startup')).init_command, '');
  assert.equal((await alice.json('GET', '/v2/box/web/files/read?path=file')).content, 'mine\n');
  assert.deepEqual((await alice.json('GET', '/v2/box/snapshots')).snapshots.map(({ id }) => id), [snapshot.id]);
});

withCustomers(daemon, 'lists, usage, events and variables are each one\'s own', async (alice, bob) => {
  await alice.json('PUT', kEnv, { env_vars: { SECRET: 'of alice' } });
  const box = await alice.json('POST', '/v2/box', { name: 'hidden-box' }, 201);
  const snapshot = await alice.json('POST', `/v2/box/${box.id}/snapshots`, { name: 'hidden' }, 201);
  const own = await bob.json('POST', '/v2/box', { name: 'own' }, 201);
  assert.ok(!(await bob.json('POST', '/v2/box/own/exec', { command: ['env'] })).output.includes('SECRET'));
  const seen = async (customer) => {
    const texts = [];
    for (const path of ['/v2/box', '/v2/box?all=1', '/v2/box/snapshots?all=1', '/v2/usage?all=1', '/v2/events?all=1', `/v2/events?box=${box.id}`, kEnv]) {
      texts.push((await customer.ask('GET', path)).text);
    }
    return texts.join('\n');
  };
  const [hers, his] = [await seen(alice), await seen(bob)];
  for (const mark of [box.id, 'hidden-box', 'SECRET']) {
    assert.ok(hers.includes(mark), mark);
    assert.ok(!his.includes(mark), mark);
  }
  assert.ok(hers.includes(snapshot.id) && !his.includes(snapshot.id) && his.includes(own.id) && !hers.includes(own.id));
  // When it is gone its bill and its snapshots are still its customer's.
  await alice.json('DELETE', `/v2/box/${box.id}`);
  await alice.json('GET', `/v2/box/${box.id}/usage`);
  assert.equal((await alice.json('GET', `/v2/box/${box.id}/snapshots`)).snapshots.length, 1);
  await bob.json('GET', `/v2/box/${box.id}/usage`, undefined, 404);
  await bob.json('GET', `/v2/box/${box.id}/snapshots`, undefined, 404);
  await bob.json('DELETE', `/v2/box/${box.id}/snapshots/${snapshot.id}`, undefined, 404);
});

withCustomers(daemon, 'what is the host\'s is not a customer\'s; images are for all', async (alice) => {
  for (const [method, path, body] of [['GET', '/v2/host'], ['GET', '/metrics'], ['GET', '/v2/keys'], ['POST', '/v2/keys', { name: 'eve' }],
    ['DELETE', '/v2/keys/bob'], ['DELETE', '/v2/images/busybox'], ['PUT', '/v2/images/mine'], ['POST', '/v2/images/mine/build', { script: 'true' }]]) {
    const { status, text } = await alice.ask(method, path, body);
    assert.equal(status, 403, `${method} ${path}: ${text}`);
  }
  assert.ok((await alice.json('GET', '/v2/images')).images.length > 0);
});

withCustomers(daemon, 'the operator sees all when it asks for all, and reaches each by its id', async (alice) => {
  const box = await alice.json('POST', '/v2/box', { name: 'web' }, 201);
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  assert.deepEqual((await daemon.json('GET', '/v2/box?all=1')).map(({ id }) => id), [box.id]);
  assert.equal((await daemon.json('GET', `/v2/box/${box.id}`)).customer_id, 'alice');
  assert.match(await run('ls', '--all'), /^NAME .*CUSTOMER\nweb .*alice\n$/);
  await daemon.json('DELETE', `/v2/box/${box.id}`);
  assert.deepEqual(await alice.json('GET', '/v2/box'), []);
});

leakless(daemon, 'a key of the file is the host\'s own customer, but no operator', async () => {
  const file = new Customer(daemon, 'local', daemon.key);
  const box = await daemon.box({ name: 'web' });
  assert.equal((await file.json('GET', '/v2/box/web')).id, box.id);
  await file.json('GET', '/v2/host');
  await file.json('GET', '/v2/keys', undefined, 403);
  const alice = await Customer.make(daemon, 'alice');
  const hers = await alice.json('POST', '/v2/box', {}, 201);
  await file.json('GET', `/v2/box/${hers.id}`, undefined, 404);
  await alice.remove();
});

leakless(daemon, 'a key is shown once, kept as a hash, and works until it is removed', async () => {
  const key = (await run('key', 'add', 'alice')).trim();
  assert.match(key, /^hutch_[a-z0-9]{52}$/);
  const alice = new Customer(daemon, 'alice', key);
  const box = await alice.json('POST', '/v2/box', { name: 'web' }, 201);
  assert.match(await run('key', 'ls'), /^NAME +AGE +BOXES .*\nalice +\S+ +1\/100 .*\n$/);
  await complains(daemon, 1, /"alice" has a key/, ['key', 'add', 'alice']);
  await complains(daemon, 1, /local is the host's own/, ['key', 'add', 'local']);
  await daemon.refuses(400, /^name: /, 'POST', '/v2/keys', { body: { name: 'no/slash' } });
  for (const name of fs.readdirSync(daemon.state).filter((file) => file.startsWith('hutch.db'))) {
    assert.ok(!fs.readFileSync(`${daemon.state}/${name}`).includes(key), name);
  }
  await daemon.end('SIGKILL');
  await daemon.launch();
  await alice.json('GET', '/v2/box/web');
  for (const wrong of [key.slice(0, -1), `${key}x`, key.toUpperCase(), '']) {
    await new Customer(daemon, 'alice', wrong).json('GET', '/v2/box', undefined, 401);
  }
  await run('key', 'rm', 'alice');
  await alice.json('GET', '/v2/box', undefined, 401);
  await complains(daemon, 1, /"alice"/, ['key', 'rm', 'alice']);
  const again = new Customer(daemon, 'alice', JSON.parse(await run('key', 'add', 'alice', '--json')).key);
  assert.notEqual(again.key, key);
  assert.equal((await again.json('GET', '/v2/box/web')).id, box.id, 'what is the customer\'s is its next key\'s');
  await alice.json('GET', '/v2/box', undefined, 401);
  const { code } = await hutch(daemon, ['ls'], { env: { HUTCH_HOST: daemon.url, HUTCH_API_KEY: again.key } });
  assert.equal(code, 0);
  await again.remove();
});
