// Boxes that fill their disk, on a store that holds them to their size: a btrfs in a file, which hutchd makes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { json, output } from './lib/command.mjs';
import { Box } from './lib/box.mjs';
import { withCustomers } from './lib/customer.mjs';
import { sweep } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('mkfs.btrfs', 'btrfs');
const kGiB = 2 ** 30;
const kLimit = 5 * kGiB; // of a small box
const daemon = suite({ args: ['--store_size', '7G'], tcp: true });

const details = async (box) => (await daemon.json('GET', `${box.path}?details=1`)).details;
const take = (box) => daemon.json('POST', `${box.path}/snapshots`, { name: 'now' }, 201);
const restore = async (snapshot) => new Box(daemon, await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id }, 201));
const dropAll = () => daemon.json('DELETE', '/v2/box/snapshots');
const size = () => Number(fs.statfsSync(daemon.store).blocks) * fs.statfsSync(daemon.store).bsize;

async function fill(box) {
  await until('the store has room for it', async () => {
    execFileSync('btrfs', ['filesystem', 'sync', daemon.store]); // or what was deleted is given back half a minute later
    return (await box.fails(`fallocate -l ${kLimit - 40 * 2 ** 20} big`)) === 0;
  });
  assert.notEqual(await box.fails('dd if=/dev/zero of=rest bs=64k'), 0, 'it has an end');
}

async function assertFull(box) {
  assert.notEqual(await box.fails('dd if=/dev/zero of=more bs=1M count=64'), 0);
  await daemon.refuses(507, /another.*Disk quota exceeded.*delete files in it/, 'POST', `${box.path}/files/write`, {
    body: { path: 'another', content: 'x'.repeat(4 << 20) },
  });
}

leakless(daemon, 'the host and the box tell of the limit', async () => {
  const box = await daemon.box({ size: 'medium' });
  const { disk } = await details(box);
  assert.deepEqual([disk.quota, disk.limit_bytes], ['qgroup', 2 * kLimit]);
  await box.sh('dd if=/dev/zero of=some bs=1M count=8 && sync');
  const { disk: { bytes } } = await details(box);
  assert.ok(bytes >= 8 << 20 && bytes < 16 << 20, `${bytes}: what is there now, not what was last added up`);
  assert.match(await output(daemon, ['df', box.id]), /\n\S+ +\S+ [MG]iB +8\.?\d* MiB +\S+ [MG]iB +\d+%\n$/);
  const { findings } = await daemon.json('GET', '/v2/host');
  assert.deepEqual(findings.filter(({ what }) => what.startsWith('disk quota')).map(({ level }) => level), ['ok']);
});

leakless(daemon, 'a full box is read, used, kept, cleaned and deleted', async () => {
  const box = await daemon.box();
  await box.write('kept', 'kept');
  await fill(box);
  await assertFull(box);
  assert.equal(await box.read('kept'), 'kept');
  const { run_id } = await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
  const busy = await take(box);
  await daemon.json('POST', `${box.path}/runs/${run_id}/cancel`);
  const copy = await restore(busy);
  assert.equal(await copy.read('kept'), 'kept');
  await copy.write('another', 'x'.repeat(4 << 20)); // with a limit of its own, from nothing
  await assertFull(box);
  await box.sh('rm big');
  await box.write('another', 'x'.repeat(4 << 20));
  await dropAll();
});

leakless(daemon, 'a full box starts again', async () => {
  const box = await daemon.box();
  await fill(box);
  const other = await daemon.box(); // has the box's next address be another one
  process.kill((await details(box)).init_pid, 'SIGKILL');
  await other.remove();
  await until('its end is noticed', async () => await box.status() === 'paused');
  assert.equal(await box.sh('echo again'), 'again');
  await assertFull(box);
  await box.sh('rm big rest; echo free > more');
});

leakless(daemon, 'what was sealed counts for nobody, and a box rolled back or forked has its limit', async () => {
  const box = await daemon.box();
  await fill(box);
  const rest = await take(box); // nothing runs in it: its upper becomes a layer
  await box.sh('echo more > more');
  const [fork] = (await daemon.json('POST', `${box.path}/fork`, {}, 201)).boxes.map((data) => new Box(daemon, data));
  await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: rest.id });
  for (const each of [box, fork]) {
    await each.sh('rm big rest; fallocate -l 100M big');
    assert.notEqual(await each.fails(`fallocate -l ${kLimit} other`), 0);
  }
  await dropAll();
});

leakless(daemon, 'a snapshot of a box at work is a snapshot of its subvolume', async () => {
  const box = await daemon.box();
  await box.sh('mkdir tree; for i in $(seq 100); do echo $i > tree/$i; done; sleep 1000 > /dev/null 2>&1 &');
  const layers = path.join(daemon.store, 'layers');
  const before = new Set(fs.readdirSync(layers));
  await take(box);
  const [layer, ...others] = fs.readdirSync(layers).filter((name) => !before.has(name));
  assert.deepEqual(others, []);
  assert.equal(fs.statSync(path.join(layers, layer)).ino, 256, 'the root of a subvolume');
  const file = 'fs/workspace/home/tree/7';
  const upper = path.join(daemon.store, 'uppers', box.id, file);
  assert.equal(fs.statSync(path.join(layers, layer, file)).ino, fs.statSync(upper).ino, 'no file of it was made');
  await dropAll();
});

leakless(daemon, 'the store outlives its daemon with the boxes in it, and grows under them', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > kept; sleep 1000 > /dev/null 2>&1 &');
  const { init_pid } = await details(box);
  await daemon.end('SIGKILL');
  daemon.args[daemon.args.indexOf('7G')] = '8G';
  await daemon.launch();
  assert.equal((await details(box)).init_pid, init_pid);
  assert.equal(size(), 8 * kGiB);
  assert.equal(await box.sh('cat kept; echo more > more; cat more'), 'kept\nmore');
  assert.equal((await json(daemon, ['inspect', box.id])).details.disk.limit_bytes, kLimit);
});

leakless(daemon, 'after a reboot the store is there again', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > kept');
  await daemon.end('SIGKILL');
  await sweep(daemon.name); // nothing of the kernel's outlives a reboot: no process, no mount, no loop device
  await daemon.launch();
  assert.equal(await box.read('kept'), 'kept\n');
});

// Ten mebibytes at a time, counted when the next are begun (sync commits), slowly: each box would end at the whole of what is left
// when it begins, but that is looked at again meanwhile.
const kGrow = 'i=0; while dd if=/dev/zero of=$i bs=1M count=10 2> /dev/null; do sync; i=$((i+1)); sleep 2; done';

withCustomers(daemon, 'boxes that write at once come to their end at what their customer has left', async (alice, bob) => {
  const kLeft = 300 << 20;
  await alice.limit({ disk_bytes: kLeft });
  const boxes = [await alice.box(), await alice.box(), await alice.box()];
  const his = await bob.box();
  await Promise.all(boxes.map(({ id }) => alice.json('POST', `/v2/box/${id}/exec`, { command: ['sh', '-c', kGrow] }))); // each ends without room
  execFileSync('btrfs', ['filesystem', 'sync', daemon.store]);
  await alice.ask('POST', `/v2/box/${boxes[0].id}/snapshots`, { name: 'looks' });
  const { used } = (await alice.limits()).disk_bytes;
  assert.ok(used > kLeft / 2 && used < 2 * kLeft, `${used} bytes of ${kLeft}`);
  await alice.json('POST', '/v2/box', {}, 429);
  assert.equal((await bob.json('POST', `/v2/box/${his.id}/exec`, { command: ['dd', 'if=/dev/zero', 'of=big', 'bs=1M', 'count=1000'] })).exit_code, 0);
  // Who makes room goes on, behind the next look.
  await alice.json('POST', `/v2/box/${boxes[1].id}/exec`, { command: ['sh', '-c', 'rm -f *; sync'] });
  await alice.json('DELETE', `/v2/box/${boxes[0].id}`);
  await until('there is room again', async () => (await alice.json('POST', `/v2/box/${boxes[1].id}/exec`, { command: ['sh', '-c', 'dd if=/dev/zero of=new bs=1M count=20 conv=fsync 2> /dev/null'] })).exit_code === 0, 60_000);
});
