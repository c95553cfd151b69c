// What may be changed of a box and of a customer while they are: labels.

import assert from 'node:assert/strict';
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
