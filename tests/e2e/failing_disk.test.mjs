// A disk that fails just after a row was written: the call is refused, and the daemon of now and the next one have the
// same in mind. What was written down stands, or was taken back; neither loses files.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Box } from './lib/box.mjs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';

needs();
if (!fs.existsSync(process.env.THROWS ?? '')) skip('needs THROWS, the library to preload');
const control = `/var/tmp/hutch-fails-${process.pid}`;
const daemon = suite({ env: { LD_PRELOAD: process.env.THROWS, HUTCH_THROWS: control } });

/// The call that has the disk fail in its `which`-th wait for it is refused, and says so.
async function refused(which, method, path, body, about = /hutch\.db: Input\/output error/) {
  fs.writeFileSync(`${control}.new`, `fail:fdatasync hutch.db-wal ${which - 1}\n`);
  fs.renameSync(`${control}.new`, control);
  try {
    await daemon.refuses(500, about, method, path, { body });
    assert.ok(!fs.existsSync(control), 'the disk did not fail');
  } finally {
    fs.rmSync(control, { force: true });
  }
}

/// `look` finds the same before and after the daemon was killed.
async function same(look) {
  const before = await look();
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.deepEqual(await look(), before);
  // Links are made ahead, for boxes to come; killed between a link and its row, the next daemon removes it.
  assert.ok(!daemon.log.some((line) => /not in the store|removed (?!link).*no record knows/.test(line)), daemon.log.join('\n'));
  return before;
}

const snapshots = async () => (await daemon.json('GET', '/v2/box/snapshots')).snapshots.map(({ id, name }) => [id, name]);

/// What stands can be used, though its box is gone, and is given up as any other.
async function usable(box, file) {
  const [[id]] = await snapshots();
  await box.remove();
  const copy = new Box(daemon, await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201));
  assert.equal(await copy.sh('cat file'), file);
  await daemon.json('DELETE', '/v2/box/snapshots', { ids: [id] });
}

leakless(daemon, 'a limit that was written down is the limit', async () => {
  await daemon.json('POST', '/v2/keys', { name: 'alice' }, 201);
  await refused(1, 'PUT', '/v2/keys/alice/limits', { boxes: 7 }, /it is done, but a power cut may undo it/);
  const limits = await same(async () => (await daemon.json('GET', '/v2/keys')).keys.find(({ name }) => name === 'alice').limits);
  assert.equal(limits.boxes.limit, 7);
  await daemon.json('DELETE', '/v2/keys/alice');
});

leakless(daemon, 'a key that nobody was told is none; one that was removed is gone', async () => {
  const names = async () => (await daemon.json('GET', '/v2/keys')).keys.map(({ name }) => name);
  await refused(1, 'POST', '/v2/keys', { name: 'alice' });
  assert.deepEqual(await same(names), []);
  await daemon.json('POST', '/v2/keys', { name: 'alice' }, 201);
  await refused(1, 'DELETE', '/v2/keys/alice');
  assert.deepEqual(await same(names), []);
});

leakless(daemon, 'a snapshot of a box at rest: not begun, it is none', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > file');
  await refused(1, 'POST', `${box.path}/snapshots`, { name: 'first' });
  assert.deepEqual(await same(snapshots), []);
  assert.equal(await box.sh('cat file'), 'kept');
});

leakless(daemon, 'a snapshot of a box at rest: written down, it is one', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > file');
  await refused(2, 'POST', `${box.path}/snapshots`, { name: 'first' }, /it is done, but a power cut may undo it/);
  assert.equal((await same(snapshots)).length, 1);
  assert.equal(await box.sh('cat file'), 'kept');
  await usable(box, 'kept');
});

leakless(daemon, 'a snapshot of a box at work: written down, it is one', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > file; sleep 1000 > /dev/null 2>&1 &');
  await refused(1, 'POST', `${box.path}/snapshots`, { name: 'first' }, /it is done, but a power cut may undo it/);
  await box.sh('echo more >> file');
  assert.equal((await same(snapshots)).length, 1);
  await usable(box, 'kept');
});

leakless(daemon, 'its row goes with it, without the daemon that took it', async () => {
  const box = await daemon.box();
  await box.sh('sleep 1000 > /dev/null 2>&1 &');
  await refused(1, 'POST', `${box.path}/snapshots`, { name: 'first' });
  await box.remove();
  assert.equal((await same(snapshots)).length, 1);
  await daemon.json('DELETE', '/v2/box/snapshots', {});
  assert.deepEqual(await same(snapshots), []);
});

leakless(daemon, 'a rollback: not begun, the files stay; from then on they are those of the snapshot', async () => {
  const box = await daemon.box();
  await box.sh('echo one > file');
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'first' }, 201);
  await box.sh('echo two > file');
  const read = () => box.read('file');
  await refused(1, 'POST', `${box.path}/rollback`, { snapshot_id: id });
  assert.equal(await same(read), 'two\n');
  await refused(2, 'POST', `${box.path}/rollback`, { snapshot_id: id });
  await box.sh('echo three >> file');
  assert.equal(await same(read), 'one\nthree\n');
  await daemon.json('DELETE', '/v2/box/snapshots', {});
});

leakless(daemon, 'forks: none is made, and the box stays as it was', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > file');
  for (const which of [1, 2]) await refused(which, 'POST', `${box.path}/fork`, { count: 2 });
  assert.deepEqual(await same(async () => (await daemon.json('GET', '/v2/box')).map(({ id }) => id)), [box.id]);
  assert.equal(await box.sh('cat file'), 'kept');
});

leakless(daemon, 'a network policy that was written down is in force', async () => {
  const box = await daemon.box();
  await refused(1, 'PUT', `${box.path}/config/network-policy`, { mode: 'deny-all' }, /it is done, but a power cut may undo it/);
  assert.equal(await box.fails('nslookup example.com'), 1);
  assert.equal((await same(async () => (await daemon.json('GET', box.path)).network_policy)).mode, 'deny-all');
});
