// Boxes made ahead: who gets one cannot tell, nothing of one is left, and nobody waits for them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Clock } from './lib/clock.mjs';
import { withCustomers } from './lib/customer.mjs';
import { baseImage } from './lib/image.mjs';
import { unifiedGroup } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const clock = new Clock();
const kPool = 4;
const daemon = suite({ env: clock.env, tcp: true, pool: kPool });

const ready = async () => (await daemon.json('GET', '/v2/host')).boxes_ready;
const details = async (box) => (await daemon.json('GET', `${box.path}?details=1`)).details;
const wasMadeAhead = async (box) => (await details(box)).start_ns.spawn === 0;
const stale = () => clock.pass(601, daemon);

/// Has some made ahead, of boxes made like this; answers their ids.
async function warm(make = () => daemon.box()) {
  for (let i = 0; i < 3; ++i) await (await make()).remove();
  return until('some are made ahead', async () => {
    const { boxes_ready: ids, boxes_wanted: wanted } = await daemon.json('GET', '/v2/host');
    return ids.length > 0 && ids.length === wanted && ids;
  });
}

const initOf = (id, customer = 'local') =>
  Number(fs.readFileSync(`${unifiedGroup(daemon.name)}/c-${customer}/b-${id}/init/cgroup.procs`, 'utf8'));

leakless(daemon, 'what is asked for once is made once, what is asked for again is made ahead', async () => {
  await stale();
  await until('none is there', async () => (await ready()).length === 0);
  const first = await daemon.box();
  assert.equal((await ready()).length, 0);
  assert.equal(await wasMadeAhead(first), false);
  const ids = await warm();
  const box = await daemon.box();
  assert.equal(box.id, ids[0]);
  assert.equal(await wasMadeAhead(box), true);
});

leakless(daemon, 'a create with an Idempotency-Key gets one too, and the same one again', async () => {
  const [first] = await warm();
  const make = async () => (await daemon.ask('POST', '/v2/box', { body: {}, headers: { 'idempotency-key': 'ahead' } })).json.id;
  assert.equal(await make(), first);
  assert.equal(await make(), first);
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.equal(await make(), first);
});

leakless(daemon, 'in one that was made ahead everything is as in one that was not', async () => {
  await stale();
  const body = { name: 'web', labels: ['a'], env_vars: { COLOUR: 'blue' }, network_policy: { mode: 'deny-all' } };
  const look = async (box) => ({
    seen: await box.sh(`hostname; sed "s/^[0-9.]* web/A web/" /etc/hosts; cat /etc/hostname /etc/resolv.conf
      echo $COLOUR; ls -A / /tmp /workspace/home; stat -c "%a %u %n" /* /etc/*; grep nice /proc/self/limits; for one in /proc/[0-9]*; do read name < $one/comm; echo $name; done; grep Cap /proc/self/status
      grep Seccomp /proc/self/status; cat /proc/mounts | sed "s/[0-9a-z]*,userxattr//; s/hutch-[a-z0-9/-]*//g; s/lowerdir.*//" | wc -l`),
    changes: (await daemon.json('GET', `${box.path}/diff`)).changes,
    labels: box.data.labels,
    policy: box.data.network_policy,
    disk: (await details(box)).disk.limit_bytes,
    nice: fs.readFileSync(`/proc/${(await details(box)).init_pid}/stat`, 'utf8').split(' ')[18],
  });
  const plain = await daemon.box(body);
  assert.equal(await wasMadeAhead(plain), false);
  const expected = await look(plain);
  await plain.remove();
  await warm();
  const box = await daemon.box(body);
  assert.equal(await wasMadeAhead(box), true);
  assert.deepEqual(await look(box), expected);
  assert.equal(expected.nice, '-10');
  assert.match(expected.seen, /^Max nice priority +0 +0 *$/m);
  assert.equal(await box.fails('nslookup example.com > /dev/null 2>&1'), 1, 'deny-all holds');
});

leakless(daemon, 'one that was made ahead lives through its pause, a kill of the daemon and a start as every other', async () => {
  await warm();
  const box = await daemon.box();
  assert.equal(await wasMadeAhead(box), true);
  await box.sh('echo kept > file');
  await daemon.json('POST', `${box.path}/pause`);
  assert.equal(await box.sh('cat file'), 'kept');
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.equal(await box.sh('cat file'), 'kept');
  process.kill((await details(box)).init_pid, 'SIGKILL');
  await until('it is without an init', async () => await box.status() === 'paused');
  assert.equal(await box.sh('cat file; hostname'), `kept\n${box.id}`);
});

leakless(daemon, 'a killed daemon leaves them to the next, which leaves nothing of them', async () => {
  const ids = await warm();
  const inits = ids.map((id) => initOf(id));
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.deepEqual(await ready(), []);
  for (const pid of inits) assert.ok(!fs.existsSync(`/proc/${pid}/ns/net`), `init ${pid} is there`);
  for (const id of ids) assert.ok(!fs.existsSync(`${daemon.store}/uppers/${id}`));
});

leakless(daemon, 'whoever would get one that somebody has killed gets another', async () => {
  for (const id of await warm()) process.kill(initOf(id), 'SIGKILL');
  const box = await daemon.box();
  assert.equal(await box.sh('hostname'), box.id);
});

leakless(daemon, 'sizes, images and nesting that nobody asked for are not what one gets', async () => {
  const ids = await warm();
  const other = await daemon.box({ size: 'medium' });
  assert.equal(await wasMadeAhead(other), false);
  const root = await daemon.rootBox();
  assert.equal(await wasMadeAhead(root), false);
  assert.deepEqual((await ready()).sort(), ids.sort());
});

leakless(daemon, 'of all kinds together there are no more than the pool says, of those asked for last', async () => {
  const burst = async (body) => {
    for (let round = 0; round < 4; ++round) {
      const boxes = await Promise.all(Array.from({ length: 8 }, () => daemon.box(body)));
      await Promise.all(boxes.map((box) => box.remove()));
    }
    return until('they are there', async () => {
      const { boxes_ready: ids, boxes_wanted: wanted } = await daemon.json('GET', '/v2/host');
      return ids.length === wanted && ids;
    });
  };
  const fits = (ids) => assert.ok(ids.length > kPool / 2 && ids.length <= kPool, ids.join());
  fits(await burst({}));
  fits(await burst({ size: 'medium' }));
  assert.equal(await wasMadeAhead(await daemon.box({ size: 'medium' })), true);
});

leakless(daemon, 'ten minutes after somebody asked there is none', async () => {
  await warm();
  await stale();
  await until('none is there', async () => (await ready()).length === 0);
});

leakless(daemon, 'an image that is removed takes those with it that stand on it', async () => {
  const archive = baseImage(daemon.directory);
  const { layers } = await daemon.json('GET', '/v2/host').then(async () => {
    await daemon.import('passing', archive);
    return { layers: fs.readdirSync(`${daemon.store}/layers`).length };
  });
  const ids = await warm(() => daemon.box({ runtime: 'passing' }));
  await daemon.json('DELETE', '/v2/images/passing');
  await until('its layer is gone', () => fs.readdirSync(`${daemon.store}/layers`).length < layers);
  for (const id of ids) assert.ok(!fs.existsSync(`${daemon.store}/uppers/${id}`));
});

leakless(daemon, 'a snapshot that is deleted does too', async () => {
  const box = await daemon.box();
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'base' }, 201);
  await box.remove();
  const make = async () => {
    const made = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201);
    return { remove: () => daemon.json('DELETE', `/v2/box/${made.id}`) };
  };
  const before = fs.readdirSync(`${daemon.store}/layers`).length;
  await warm(make);
  await daemon.json('DELETE', '/v2/box/snapshots', { ids: [id] });
  await until('its layer is gone', () => fs.readdirSync(`${daemon.store}/layers`).length < before);
});

withCustomers(daemon, 'what was made ahead for one customer is no other one\'s', async (alice, bob) => {
  for (let i = 0; i < 3; ++i) {
    const { id } = await alice.box();
    await alice.json('DELETE', `/v2/box/${id}`);
  }
  const ids = await until('some are there', async () => (await ready()).length > 0 && ready());
  const { id } = await bob.box();
  assert.ok(!ids.includes(id));
  assert.deepEqual(await alice.json('GET', '/v2/box'), [], 'nor a box of anybody');
  assert.equal((await alice.ask('GET', `/v2/box/${ids[0]}`)).status, 404);
  assert.equal((await alice.limits()).boxes?.used ?? 0, 0, 'nor do they count');
}, '-ahead');

leakless(daemon, 'as many as ask at the same time have a box each', async () => {
  await warm();
  const boxes = await Promise.all(Array.from({ length: 20 }, (_, i) => daemon.box({ name: `b${i}` })));
  assert.equal(new Set(boxes.map((box) => box.id)).size, 20);
  assert.deepEqual(await Promise.all(boxes.map((box) => box.sh('hostname'))), boxes.map((_, i) => `b${i}`));
});
