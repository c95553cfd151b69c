// Sandboxes and containers within a box: who may have them, how that is kept, and what a box then can and cannot do.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { complains, output } from './lib/command.mjs';
import { withCustomers } from './lib/customer.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite({ tcp: true });

const kWithin = 'unshare -r -m -n -p -f --mount-proc sh -c';
let count = 0;
/// With customers whose permission no test before has set.
const permitted = (name, test) => withCustomers(daemon, name, test, `n${++count}`);
const run = (...args) => output(daemon, args);
const sh = (customer, box, script) => customer.json('POST', `/v2/box/${box.id}/exec`, { command: ['sh', '-c', script] });
const allow = (customer, nesting = true) => daemon.json('PUT', `/v2/keys/${customer.name}/limits`, { nesting });

async function refused(customer, path, body) {
  const { error } = await customer.json('POST', path, body, 403);
  assert.match(error, new RegExp(`nesting: is not allowed to customer ${customer.name}; ask .* \\(hutch key limit ${customer.name} --nesting yes\\)`));
}

// --- who may ---

leakless(daemon, 'it is off, and the operator is told how to allow it', async () => {
  const plain = await daemon.json('POST', '/v2/box', {}, 201);
  assert.equal(plain.nesting, false);
  await daemon.refuses(403, /nesting: .*set allow_nesting = true in the configuration/, 'POST', '/v2/box', { body: { nesting: true } });
  await daemon.refuses(400, /nesting: must be true or false/, 'POST', '/v2/box', { body: { nesting: 'yes' } });
  await complains(daemon, 1, /allow_nesting/, ['create', '--nesting']);
});

leakless(daemon, 'without it a namespace is refused, to root too', async () => {
  const box = await daemon.rootBox();
  for (const flag of ['-r', '-m', '-n', '-p', '-i', '-u']) {
    const { output: said } = await box.exec(['sh', '-c', `unshare ${flag} true 2>&1`]);
    assert.match(said, /Operation not permitted/, flag);
  }
});

permitted('one customer is allowed it and another is not', async (alice, bob) => {
  await refused(alice, '/v2/box', { nesting: true });
  assert.equal((await allow(alice)).nesting, true);
  const box = await alice.json('POST', '/v2/box', { nesting: true }, 201);
  assert.equal(box.nesting, true);
  await refused(bob, '/v2/box', { nesting: true });
  const { keys } = await daemon.json('GET', '/v2/keys');
  assert.deepEqual([alice, bob].map(({ name }) => keys.find((key) => key.name === name).nesting), [true, false]);
  await allow(alice, false);
  await refused(alice, '/v2/box', { nesting: true });
});

permitted('a snapshot and a fork of a box with nesting have it, and ask again', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true }, 201);
  const snapshot = await alice.json('POST', `/v2/box/${box.id}/snapshots`, { name: 'now' }, 201);
  assert.equal(snapshot.nesting, true);
  const restored = await alice.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id }, 201);
  const { boxes: [fork] } = await alice.json('POST', `/v2/box/${box.id}/fork`, {}, 201);
  for (const made of [restored, fork]) {
    assert.equal(made.nesting, true);
    assert.equal((await sh(alice, made, 'unshare -r id -u')).output, '0\n');
  }
  await allow(alice, false);
  await refused(alice, '/v2/box/from-snapshot', { snapshot_id: snapshot.id });
  await refused(alice, `/v2/box/${box.id}/fork`, { count: 2 });
  const without = await alice.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id, nesting: false }, 201);
  assert.equal(without.nesting, false);
  assert.notEqual((await sh(alice, without, 'unshare -r true')).exit_code, 0);
});

permitted('hutch sets it, makes such a box and shows it', async (alice) => {
  assert.match(await run('key', 'limit', alice.name, '--nesting', 'yes'), /NESTING\n.* yes\n$/);
  await complains(daemon, 2, /--nesting.*perhaps/, ['key', 'limit', alice.name, '--nesting', 'perhaps']);
  const as = { HUTCH_HOST: daemon.url, HUTCH_API_KEY: alice.key };
  await output(daemon, ['create', 'nest', '--nesting'], { env: as });
  await output(daemon, ['create', 'plain'], { env: as });
  assert.match(await output(daemon, ['ls'], { env: as }), /NESTING\n(.*\n)*nest .* yes\n/);
  assert.equal(JSON.parse(await output(daemon, ['inspect', 'nest', '--json'], { env: as })).nesting, true);
});

// --- what is kept ---

permitted('it and the permission outlive the daemon, and a box keeps it at its next start', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true }, 201);
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.equal((await alice.json('GET', `/v2/box/${box.id}`)).nesting, true);
  assert.equal((await sh(alice, box, 'unshare -r id -u')).output, '0\n');
  await allow(alice, false);
  const { details } = await daemon.json('GET', `/v2/box/${box.id}?details=1`);
  process.kill(details.init_pid, 'SIGKILL'); // the next work starts it afresh
  await until('its end is known', async () => (await alice.json('GET', `/v2/box/${box.id}`)).status === 'paused');
  const again = await sh(alice, box, 'unshare -r id -u');
  assert.equal(again.output, '0\n', 'who has it keeps it');
});

// --- what it is for ---

permitted('a command makes a sandbox with all namespaces, a /proc and a /tmp of its own', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true }, 201);
  const { output: said, exit_code } = await sh(alice, box,
    `${kWithin} 'mount -t tmpfs none /tmp && echo in > /tmp/file && ls /tmp && ls -d /proc/[0-9]* | wc -l && ip link set lo up && hostname within' 2>&1; ls /tmp; hostname`);
  assert.equal(exit_code, 0, said);
  const [file, processes] = said.split('\n');
  assert.equal(file, 'file');
  assert.ok(Number(processes) < 6, `its own processes alone: ${said}`);
  assert.doesNotMatch(said.split('\n').slice(2).join('\n'), /file|within/);
});

permitted('it has all the ids of a box, and its control group\'s limits to be seen', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true, runtime: 'busybox-root' }, 201);
  const plain = await alice.json('POST', '/v2/box', { runtime: 'busybox-root' }, 201);
  const script = 'touch file && chown 100000 file && stat -c %u file; ls /sys/fs/cgroup; grep -c : /proc/self/cgroup';
  const [{ output: within }, { output: without }] = [await sh(alice, box, script), await sh(alice, plain, script)];
  assert.equal(within, without);
});

permitted('what fills such namespaces goes with its box, and a pause holds it', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true }, 201);
  await alice.json('POST', `/v2/box/${box.id}/exec`, { command: ['sh', '-c', `for i in 1 2 3; do ${kWithin} 'sleep 1000' > /dev/null 2>&1 & done`] });
  await alice.json('POST', `/v2/box/${box.id}/pause`, {});
  assert.equal((await alice.json('GET', `/v2/box/${box.id}`)).status, 'paused');
  await alice.json('POST', `/v2/box/${box.id}/resume`, {});
  await alice.json('DELETE', `/v2/box/${box.id}`);
});

permitted('what the daemon reads and writes in the box is the box\'s, whatever is mounted within', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true }, 201);
  await sh(alice, box, 'echo box > file');
  await sh(alice, box, `${kWithin} 'mount -t tmpfs none /workspace/home && echo within > /workspace/home/file && sleep 1000' > /dev/null 2>&1 &`);
  const { content } = await alice.json('GET', `/v2/box/${box.id}/files/read?path=file`);
  assert.equal(content, 'box\n');
});

permitted('root of a namespace within writes no knob of the host', async (alice) => {
  await allow(alice);
  const box = await alice.json('POST', '/v2/box', { nesting: true, runtime: 'busybox-root' }, 201);
  const knobs = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/vm/swappiness', '/proc/sys/net/ipv4/tcp_mem', '/proc/sys/user/max_user_namespaces', '/proc/sys/fs/mount-max']
    .filter((knob) => fs.existsSync(knob));
  const read = () => knobs.map((knob) => fs.readFileSync(knob, 'utf8'));
  const before = read();
  const { exit_code, output: said } = await sh(alice, box, `${kWithin} 'for knob in ${knobs.join(' ')}; do echo 1 > $knob; done; true' 2>&1`);
  assert.equal(exit_code, 0, said);
  assert.deepEqual(read(), before);
});
