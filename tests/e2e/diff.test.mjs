// `diff` of a box that is an enemy: deep trees, and names that no archive of changes can hold.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { complains, hutch } from './lib/command.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite();

/// Bytes that the daemon has held at most since the last call.
function peak() {
  const of = (name) => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(fs.readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8'))[1]);
  const most = of('VmHWM');
  fs.writeFileSync(`/proc/${daemon.process.pid}/clear_refs`, '5');
  return most;
}

const kPiece = 1000;
/// So many directories, each in the one before.
const nest = (box, depth) => box.sh(`set -e; piece=$(printf 'd/%.0s' $(seq ${kPiece}))
  for i in $(seq ${depth / kPiece}); do mkdir -p $piece; cd -P $piece 2> /dev/null || cd $piece; done`);

leakless(daemon, 'a list of 10,000 directories in each other is refused for little memory, and so is an archive', async () => {
  const box = await daemon.box({ name: 'deep' });
  await nest(box, 10_000);
  peak();
  const begun = peak();
  assert.ok((await daemon.refuses(413, /format=tar/, 'GET', `${box.path}/diff`)).length < 1000);
  assert.ok(peak() - begun < 200e6, 'the daemon held too much');
  const { code, stderr } = await hutch(daemon, ['diff', 'deep', '--tar']);
  assert.equal(code, 1);
  assert.match(stderr, /broke off|4,095 bytes/);
  assert.ok(peak() - begun < 200e6, 'the daemon held too much');
});

leakless(daemon, 'a list of 1,000 directories in each other names each', async () => {
  const box = await daemon.box();
  await nest(box, 1000);
  const { changes } = await daemon.json('GET', `${box.path}/diff`);
  assert.equal(changes.length, 1000);
  assert.equal(changes.at(-1).path, `/workspace/home${'/d'.repeat(1000)}`);
});

leakless(daemon, 'an archive that cannot be finished is no success, and the log of the box says why', async () => {
  const box = await daemon.box({ name: 'odd' });
  await box.sh('head -c 1000000 /dev/urandom > first; echo x > z.wh.; echo x > .wh.name');
  await complains(daemon, 1, /\.wh\.name|broke off/, ['diff', 'odd', '--tar']);
  await box.sh('mkdir z; echo x > z/.wh.name; rm .wh.name');
  const { code, stderr } = await hutch(daemon, ['diff', 'odd', '--tar']);
  assert.equal(code, 1);
  assert.match(stderr, /^hutch: the daemon broke off its answer: [^\n]*; `hutch logs odd` may say why\n$/);
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.ok(logs.some(({ level, message }) => level === 'error' && /broken off: .*z\/\.wh\.name/.test(message)), JSON.stringify(logs));
});
