// What must outlive a power cut is on the disk when it is answered, and the event loop has not waited for that: a thread
// of its own has (tests/e2e/turns.cpp ends a daemon whose loop calls fsync).

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';

needs();
if (!fs.existsSync(process.env.TURNS ?? '')) skip('needs TURNS, the library to preload');
const daemon = suite({ env: { HUTCH_NO_SYNC: '1' } });

leakless(daemon, 'keys, snapshots, rollbacks and policies wait for the disk elsewhere', async () => {
  await daemon.json('POST', '/v2/keys', { name: 'alice' }, 201);
  await daemon.json('DELETE', '/v2/keys/alice');
  const box = await daemon.box();
  await box.sh('echo one > f');
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'first' }, 201); // at rest
  await box.sh('echo two > f; sleep 1000 > /dev/null 2>&1 &');
  const second = await daemon.json('POST', `${box.path}/snapshots`, { name: 'second' }, 201); // at work
  await daemon.json('PUT', `${box.path}/config/network-policy`, { mode: 'deny-all' });
  await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: snapshot.id });
  assert.equal(await box.read('f'), 'one\n');
  const { boxes: [fork] } = await daemon.json('POST', `${box.path}/fork`, { count: 1 }, 201);
  await daemon.json('DELETE', `/v2/box/${fork.id}`);
  assert.deepEqual(await daemon.json('DELETE', '/v2/box/snapshots', { ids: [snapshot.id, second.id] }), { deleted: 2 });
});

leakless(daemon, 'a daemon that is killed right after finds them all', async () => {
  const box = await daemon.box();
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'kept' }, 201);
  await daemon.json('POST', '/v2/keys', { name: 'bob' }, 201);
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.deepEqual((await daemon.json('GET', '/v2/box/snapshots')).snapshots.map(({ id }) => id), [snapshot.id]);
  assert.deepEqual((await daemon.json('GET', '/v2/keys')).keys.map(({ name }) => name), ['bob']);
  await daemon.json('DELETE', '/v2/keys/bob');
  await daemon.json('DELETE', '/v2/box/snapshots', {});
});
