// What may be changed of a box and of a customer while they are: labels, environment.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { complains, output } from './lib/command.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite();

const hutch = (...args) => output(daemon, args);

async function crash() {
  await daemon.end('SIGKILL');
  await daemon.launch();
}

// --- labels ---

const labelled = async (label) => (await daemon.json('GET', `/v2/box?label=${encodeURIComponent(label)}`)).map((box) => box.name);
const addLabel = (box, label) => daemon.json('POST', `${box.path}/config/labels`, { label });

leakless(daemon, 'labels come and go, and the list finds its boxes by them at once', async () => {
  const box = await daemon.box({ name: 'web', labels: ['old'] });
  assert.deepEqual(await addLabel(box, 'team:a'), { labels: ['old', 'team:a'] });
  assert.deepEqual(await addLabel(box, 'team:a'), { labels: ['old', 'team:a'] }, 'one that it has is kept once');
  assert.deepEqual(await labelled('team:a'), ['web']);
  assert.deepEqual(await daemon.json('DELETE', `${box.path}/config/labels/old`), { labels: ['team:a'] });
  assert.deepEqual(await labelled('old'), []);
  await crash();
  assert.deepEqual((await daemon.json('GET', box.path)).labels, ['team:a']);
});

leakless(daemon, 'labels that are none, too many, or not there are refused', async () => {
  const box = await daemon.box({ labels: ['a', 'b', 'c', 'd', 'd', 'e'] });
  const labels = `${box.path}/config/labels`;
  for (const label of ['', 'a b', 'ä', 'l'.repeat(21), '../x']) {
    await daemon.refuses(400, /^label: /, 'POST', labels, { body: { label } });
  }
  await daemon.refuses(400, /^label: is required/, 'POST', labels, { body: {} });
  await daemon.refuses(400, /^label: must be a string/, 'POST', labels, { body: { label: 1 } });
  await daemon.refuses(400, /^label: at most 5/, 'POST', labels, { body: { label: 'f' } });
  await daemon.refuses(404, /"f"/, 'DELETE', `${labels}/f`);
  await daemon.refuses(404, /"nobody"/, 'POST', '/v2/box/nobody/config/labels', { body: { label: 'x' } });
  assert.deepEqual((await daemon.json('GET', box.path)).labels, ['a', 'b', 'c', 'd', 'e']);
});

leakless(daemon, 'hutch label', async () => {
  await daemon.box({ name: 'web' });
  await hutch('label', 'add', 'web', 'team:a', 'beta');
  assert.equal(await hutch('label', 'ls', 'web'), 'team:a\nbeta\n');
  await hutch('label', 'rm', 'web', 'team:a');
  assert.equal(await hutch('label', 'ls', 'web', '--json'), '[\n  "beta"\n]\n');
  await complains(daemon, 1, /"team:a"/, ['label', 'rm', 'web', 'team:a']);
});

// --- environment for all boxes ---

const kEnv = '/v2/box/settings/env';

/// A test that takes the variables away again.
function withVariables(name, run) {
  leakless(daemon, name, async () => {
    try {
      await run();
    } finally {
      await daemon.json('PUT', kEnv, { env_vars: {} });
    }
  });
}

withVariables('variables for all boxes are there for every command that begins from then on', async () => {
  const old = await daemon.box();
  assert.equal(await old.sh('echo "[$A]"'), '[]');
  assert.deepEqual(await daemon.json('PUT', kEnv, { env_vars: { A: 'one=1 two', B: 'b' } }), { env_vars: { A: '********', B: '********' } });
  assert.equal(await old.sh('echo "[$A]"'), '[one=1 two]');
  await daemon.json('PUT', `${kEnv}/A`, { value: 'new' });
  const box = await daemon.box();
  assert.equal(await box.sh('echo "$A$B"'), 'newb');
  const run = await box.stream(['sh', '-c', 'echo "$A"']);
  assert.equal((await run.finish()).output.toString(), 'new\n');
  assert.deepEqual(await daemon.json('DELETE', `${kEnv}/A`), { env_vars: { B: '********' } });
  assert.equal(await box.sh('echo "[$A]"'), '[]');
  await daemon.json('PUT', kEnv, { env_vars: { C: 'c' } });
  assert.equal(await box.sh('echo "$B$C"'), 'c', 'a replacement leaves nothing of what was there');
  await crash();
  assert.equal(await box.sh('echo "$C"'), 'c');
});

withVariables('a box\'s own variable wins, in its snapshots and forks too', async () => {
  await daemon.json('PUT', kEnv, { env_vars: { A: 'of all', B: 'of all' } });
  const box = await daemon.box({ env_vars: { A: 'of the box' } });
  assert.equal(await box.sh('echo "$A, $B"'), 'of the box, of all');
  const { boxes: [fork] } = await daemon.json('POST', `${box.path}/fork`, {}, 201);
  const { output } = await daemon.json('POST', `/v2/box/${fork.id}/exec`, { command: ['sh', '-c', 'echo "$A, $B"'] });
  assert.equal(output, 'of the box, of all\n');
});

withVariables('values are told to nobody but commands', async () => {
  const secret = 'f2c9a1d4-secret';
  const answers = [await daemon.ask('PUT', `${kEnv}/TOKEN`, { body: { value: secret } }), await daemon.ask('GET', kEnv)];
  const box = await daemon.box();
  assert.equal(await box.sh('test -n "$TOKEN" && echo there'), 'there');
  answers.push(await daemon.ask('GET', box.path), await daemon.ask('GET', `${box.path}/runs`), await daemon.ask('GET', `${box.path}/logs`));
  answers.push(await daemon.ask('GET', '/v2/events'), await daemon.ask('GET', '/metrics'));
  for (const { text } of answers) assert.ok(!text.includes(secret), text);
  assert.ok(!daemon.log.join('\n').includes(secret));
  assert.equal(fs.statSync(`${daemon.state}/hutch.db`).mode & 0o077, 0);
});

withVariables('names and values that may not be are refused, and change nothing', async () => {
  await daemon.json('PUT', kEnv, { env_vars: { KEPT: '1' } });
  for (const name of ['HOME', 'LD_PRELOAD', 'LD_LIBRARY_PATH', 'NODE_OPTIONS', '1A', 'A-B', 'A B', 'Ä', '', 'A=B']) {
    await daemon.refuses(400, /^env_vars: /, 'PUT', kEnv, { body: { env_vars: { OTHER: '1', [name]: 'x' } } });
    if (name !== '') await daemon.refuses(400, /^key: /, 'PUT', `${kEnv}/${encodeURIComponent(name)}`, { body: { value: 'x' } });
  }
  await daemon.refuses(400, /^env_vars: is required/, 'PUT', kEnv, { body: {} });
  await daemon.refuses(400, /^env_vars: must be an object of strings/, 'PUT', kEnv, { body: { env_vars: { A: 1 } } });
  await daemon.refuses(400, /^value: is required/, 'PUT', `${kEnv}/A`, { body: {} });
  await daemon.refuses(400, /NUL/, 'PUT', `${kEnv}/A`, { body: { value: 'a\0b' } });
  await daemon.refuses(400, /^key: .*64 KiB/, 'PUT', `${kEnv}/A`, { body: { value: 'x'.repeat(65536) } });
  await daemon.refuses(400, /^env_vars: .*64 KiB/, 'POST', '/v2/box', { body: { env_vars: { A: 'x'.repeat(65536) } } });
  await daemon.refuses(404, /"NONE"/, 'DELETE', `${kEnv}/NONE`);
  assert.deepEqual(await daemon.json('GET', kEnv), { env_vars: { KEPT: '********' } });
});

withVariables('hutch env', async () => {
  await output(daemon, ['env', 'set', 'A=1=2', 'TOKEN'], { env: { TOKEN: 'of the environment' } });
  assert.equal(await hutch('env', 'ls'), 'A=********\nTOKEN=********\n');
  const box = await daemon.box();
  assert.equal(await box.sh('echo "$A $TOKEN"'), '1=2 of the environment');
  await hutch('env', 'unset', 'A');
  assert.deepEqual(JSON.parse(await hutch('env', 'ls', '--json')), { TOKEN: '********' });
  await complains(daemon, 1, /HOME is reserved/, ['env', 'set', 'HOME=/x']);
  await complains(daemon, 2, /"NOWHERE" is neither/, ['env', 'set', 'NOWHERE']);
});
