// Making, finding, listing and deleting boxes, and every way to ask for it wrongly.

import assert from 'node:assert/strict';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite();

// API.md, "Box object": every field and its type.
const kFields = {
  id: 'string', customer_id: 'string', name: 'string', labels: 'array', size: 'string', keep_alive: 'boolean',
  model: 'string', agent: 'string', enabled_skills: 'array', runtime: 'string', status: 'string',
  network_policy: 'object', clone_repo: 'string', total_input_tokens: 'number', total_output_tokens: 'number',
  total_prompts: 'number', session_id: 'string', agent_id: 'string', total_cpu_ns: 'number',
  total_compute_cost_usd: 'number', total_token_cost_usd: 'number', use_managed_key: 'boolean', nesting: 'boolean',
  last_activity_at: 'number', created_at: 'number', updated_at: 'number',
};

function typeOf(value) {
  return Array.isArray(value) ? 'array' : typeof value;
}

leakless(daemon, 'a box object has every field of the contract, with its type', async () => {
  const { data } = await daemon.box({ name: 'whole' });
  const types = Object.fromEntries(Object.entries(data).map(([field, value]) => [field, typeOf(value)]));
  assert.deepEqual(types, kFields);
});

leakless(daemon, 'what was asked for stands in the object', async () => {
  const { data } = await daemon.box({ name: 'web', labels: ['ci', 'team:a'], size: 'medium', runtime: 'busybox' });
  const { name, labels, size, runtime, status, network_policy } = data;
  assert.deepEqual({ name, labels, size, runtime, status, network_policy }, {
    name: 'web', labels: ['ci', 'team:a'], size: 'medium', runtime: 'busybox', status: 'idle',
    network_policy: { mode: 'allow-all' },
  });
});

leakless(daemon, 'times are Unix seconds of now', async () => {
  const now = Math.floor(Date.now() / 1000);
  const { data } = await daemon.box();
  for (const field of ['created_at', 'updated_at', 'last_activity_at']) {
    assert.ok(Number.isInteger(data[field]) && Math.abs(data[field] - now) <= 60, `${field}: ${data[field]}`);
  }
});

leakless(daemon, 'without a body a box of the default image and size is made', async () => {
  const answer = await daemon.ask('POST', '/v2/box');
  assert.equal(answer.status, 201);
  assert.deepEqual([answer.json.runtime, answer.json.size, answer.json.name], ['busybox', 'small', '']);
});

leakless(daemon, 'a word of the API is no name of a box', async () => {
  for (const name of ['snapshots', 'settings', 'from-snapshot']) {
    await daemon.refuses(400, /^name: .*choose another/, 'POST', '/v2/box', { body: { name } });
  }
});

leakless(daemon, 'a box is found by id and by name', async () => {
  const { data } = await daemon.box({ name: 'found' });
  assert.equal((await daemon.json('GET', `/v2/box/${data.id}`)).id, data.id);
  assert.equal((await daemon.json('GET', '/v2/box/found')).id, data.id);
});

leakless(daemon, 'the status call answers with the status and nothing else', async () => {
  const box = await daemon.box();
  assert.deepEqual(await daemon.json('GET', `${box.path}/status`), { status: 'idle' });
});

leakless(daemon, 'the list holds every box', async () => {
  const ids = [(await daemon.box()).id, (await daemon.box()).id];
  const list = await daemon.json('GET', '/v2/box');
  assert.deepEqual(list.map((box) => box.id).sort(), ids.sort());
});

leakless(daemon, 'a label picks its boxes from the list', async () => {
  const marked = await daemon.box({ labels: ['red', 'x:1'] });
  await daemon.box({ labels: ['redder'] });
  await daemon.box();
  assert.deepEqual((await daemon.json('GET', '/v2/box?label=red')).map((box) => box.id), [marked.id]);
  assert.deepEqual((await daemon.json('GET', '/v2/box?label=x%3A1')).map((box) => box.id), [marked.id]);
  assert.deepEqual(await daemon.json('GET', '/v2/box?label=blue'), []);
});

leakless(daemon, 'a deleted box is unknown under its id and its name', async () => {
  const box = await daemon.box({ name: 'gone' });
  assert.deepEqual(await daemon.json('DELETE', '/v2/box/gone'), {});
  await daemon.refuses(404, /gone/, 'GET', '/v2/box/gone');
  await daemon.refuses(404, new RegExp(box.id), 'GET', box.path);
});

leakless(daemon, 'who deletes with details is told what each step took', async () => {
  const box = await daemon.box();
  const { details } = await daemon.json('DELETE', `${box.path}?details=1`);
  assert.deepEqual(Object.keys(details.delete_ns).sort(), ['files', 'kill', 'record']);
  for (const [step, time] of Object.entries(details.delete_ns)) assert.ok(time >= 0, `${step}: ${time}`);
});

leakless(daemon, 'a name is free again once its box is deleted', async () => {
  await (await daemon.box({ name: 'again' })).remove();
  await daemon.box({ name: 'again' });
});

leakless(daemon, 'many are deleted by one call, by id or name', async () => {
  const one = await daemon.box();
  await daemon.box({ name: 'two' });
  const kept = await daemon.box();
  assert.deepEqual(await daemon.json('DELETE', '/v2/box', { ids: [one.id, 'two'] }), {});
  assert.deepEqual((await daemon.json('GET', '/v2/box')).map((box) => box.id), [kept.id]);
});

leakless(daemon, 'deleting many with one unknown deletes none', async () => {
  const box = await daemon.box();
  await daemon.refuses(404, /nobody/, 'DELETE', '/v2/box', { body: { ids: [box.id, 'nobody'] } });
  assert.equal((await daemon.json('GET', '/v2/box')).length, 1);
});

leakless(daemon, 'a name that is taken is a conflict', async () => {
  await daemon.box({ name: 'one' });
  await daemon.refuses(409, /^name: .*one/, 'POST', '/v2/box', { body: { name: 'one' } });
});

leakless(daemon, 'of creates with one name at the same time one succeeds', async () => {
  const race = Array.from({ length: 8 }, () => daemon.ask('POST', '/v2/box', { body: { name: 'race' } }));
  const statuses = (await Promise.all(race)).map((answer) => answer.status).sort();
  assert.deepEqual(statuses, [201, ...Array(7).fill(409)]);
});

leakless(daemon, 'a box under deletion by two calls goes once', async () => {
  const box = await daemon.box();
  const answers = await Promise.all([daemon.ask('DELETE', box.path), daemon.ask('DELETE', box.path)]);
  for (const answer of answers) assert.ok([200, 404].includes(answer.status), answer.text);
});

leakless(daemon, 'the settings of a box hold in its commands', async () => {
  const box = await daemon.box({ env_vars: { GREETING: 'two words=2', EMPTY: '' }, name: 'my-host' });
  assert.equal(await box.sh('echo "$GREETING" "${EMPTY-unset}" $(hostname)'), 'two words=2  my-host');
});

leakless(daemon, 'the log of a box tells of its making', async () => {
  const box = await daemon.box();
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.deepEqual(logs.map(({ level, source, message }) => [level, source, message]),
    [['info', 'system', 'created from image busybox']]);
});

// --- bad input: status, and the field in the sentence ---

const kLong = 'n'.repeat(300);
const kBadBodies = {
  'an unknown image': [{ runtime: 'gentoo' }, /^runtime: .*gentoo/],
  'a name with a slash': [{ name: 'a/b' }, /^name: /],
  'a name of dots': [{ name: '..' }, /^name: /],
  'a name with a control character': [{ name: 'a\u0007b' }, /^name: /],
  'a name of 300 characters': [{ name: kLong }, /^name: /],
  'a name that is a number': [{ name: 7 }, /^name: must be a string/],
  'a label of 21 characters': [{ labels: ['l'.repeat(21)] }, /^labels: /],
  'a label with a space': [{ labels: ['a b'] }, /^labels: /],
  'an empty label': [{ labels: [''] }, /^labels: /],
  'six labels': [{ labels: ['a', 'b', 'c', 'd', 'e', 'f'] }, /^labels: .*5/],
  'labels that are no array': [{ labels: 'a' }, /^labels: must be an array/],
  'a label that is no text': [{ labels: [1] }, /^labels: must be an array of strings/],
  'an unknown size': [{ size: 'huge' }, /^size: .*small, medium, large/],
  'env_vars that are no object': [{ env_vars: ['A=1'] }, /^env_vars: must be an object/],
  'a variable that is no text': [{ env_vars: { A: 1 } }, /^env_vars: must be an object of strings/],
  'a variable with a bad name': [{ env_vars: { '1A': '' } }, /^env_vars: .*1A/],
  'a variable with "=" in its name': [{ env_vars: { 'A=B': '' } }, /^env_vars: .*A=B/],
  'a variable with a NUL': [{ env_vars: { A: 'x\u0000y' } }, /^env_vars: .*A/],
  'keep_alive that is no boolean': [{ keep_alive: 'yes' }, /^keep_alive: must be true or false/],
  'an init command with a NUL': [{ keep_alive: true, init_command: 'a\u0000b' }, /^init_command: /],
  'an init command that is too long': [{ keep_alive: true, init_command: 'x'.repeat(70_000) }, /^init_command: /],
  'an idle_timeout below 0': [{ idle_timeout: -2 }, /^idle_timeout: /],
  'an idle_timeout that is no number': [{ idle_timeout: '1h' }, /^idle_timeout: must be a whole number/],
  'an idle_timeout of a box that is kept alive': [{ keep_alive: true, idle_timeout: 5 }, /^idle_timeout: .*keep_alive/],
  'a ttl of a box that is not ephemeral': [{ ttl: 60 }, /^ttl: .*ephemeral/],
  'a ttl of nothing': [{ ephemeral: true, ttl: 0 }, /^ttl: /],
  'a ttl of more than three days': [{ ephemeral: true, ttl: 259_201 }, /^ttl: .*259200/],
  'a network policy that is no object': [{ network_policy: 'deny-all' }, /^network_policy: must be an object/],
  'a body that is an array': [[], /^body: must be a JSON object/],
  'a body that is not JSON': ['{"name":', /^body: not valid JSON/],
  'JSON that is too deep': ['['.repeat(100_000), /^body: .*deeper/],
};
for (const name of ['HOME', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'NODE_OPTIONS']) {
  kBadBodies[`the reserved variable ${name}`] = [{ env_vars: { [name]: 'x' } }, new RegExp(`^env_vars: ${name}`)];
}
for (const [what, [body, about]] of Object.entries(kBadBodies)) {
  leakless(daemon, `${what} is refused with 400`, async () => {
    await daemon.refuses(400, about, 'POST', '/v2/box', { body });
    assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  });
}

leakless(daemon, 'unknown fields are ignored', async () => {
  await daemon.box({ flavour: 'vanilla', nested: { a: [1] } });
});

leakless(daemon, 'null stands for a field that is not there', async () => {
  const { data } = await daemon.box({ name: null, labels: null, size: null, env_vars: null, runtime: null });
  assert.equal(data.size, 'small');
});

leakless(daemon, 'an unknown path is 404 and a wrong method 405', async () => {
  await daemon.refuses(404, /no such call/, 'GET', '/v2/bottle');
  await daemon.refuses(405, /method/, 'PATCH', '/v2/box');
});

leakless(daemon, 'ids that are no ids are unknown or bad, never a path', async () => {
  for (const id of ['..', '%2e%2e', kLong, '%01', 'a%20b', '']) {
    const answer = await daemon.ask('GET', `/v2/box/${id}`);
    assert.ok([400, 404].includes(answer.status), `${id}: ${answer.status}`);
  }
  await daemon.refuses(400, /escape/, 'GET', '/v2/box/a%2fb');
  await daemon.refuses(400, /escape/, 'GET', '/v2/box/a%00b');
  await daemon.refuses(400, /escape/, 'GET', '/v2/box/%zz');
});

leakless(daemon, 'deleting many without ids is refused', async () => {
  await daemon.refuses(400, /^ids: /, 'DELETE', '/v2/box', { body: {} });
  await daemon.refuses(400, /^ids: must be an array/, 'DELETE', '/v2/box', { body: { ids: 'all' } });
});

leakless(daemon, 'a page in a browser is refused', async () => {
  await daemon.refuses(401, /^Origin: /, 'GET', '/v2/box', { headers: { origin: 'https://example.org' } });
});
