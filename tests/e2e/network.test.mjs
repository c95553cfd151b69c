// What a box may talk to, by its own policy: at once, on what is there already, and through everything that becomes of
// it. kernel_netns shows rule by rule that each is needed.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { after, before } from 'node:test';
import { complains, output } from './lib/command.mjs';
import { Daemon } from './lib/daemon.mjs';
import * as host from './lib/host.mjs';
import { kOther, kOutside, kPort, Outside } from './lib/outside.mjs';
import { groupOf, pids } from './lib/processes.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const outside = new Outside();
before(() => outside.open());
after(() => outside.close());
const daemon = suite();

const kClosed = { mode: 'deny-all' };
const set = (box, policy) => daemon.json('PUT', `${box.path}/config/network-policy`, policy);
const policyOf = async (box) => (await daemon.json('GET', box.path)).network_policy;
const reaches = async (box, address = kOutside) => await box.fails(`nc -w 1 ${address} ${kPort} < /dev/null`) === 0;

/// Packets that its policy has refused, in the network namespace of the box or on the host.
function refused(box) {
  const counters = (...enter) => {
    const [program, ...args] = [...enter, 'nft', '-j', 'list', 'counters'];
    const { nftables } = JSON.parse(execFileSync(program, args, { encoding: 'utf8' }));
    return nftables.flatMap(({ counter }) => counter?.name === 'refused' && counter.table.startsWith(daemon.name) ? [counter.packets] : []);
  };
  const init = `${groupOf(box)}/init/cgroup.procs`; // one that is paused may have none
  const inside = fs.existsSync(init) ? fs.readFileSync(init, 'utf8').match(/\d+/g) ?? [] : [];
  return [counters(), ...inside.map((pid) => counters('nsenter', '-t', pid, '-n'))].flat().reduce((sum, count) => sum + count, 0);
}

async function assertClosed(box, address) {
  const before = refused(box);
  assert.equal(await reaches(box, address), false);
  assert.ok(refused(box) > before, 'it was the policy');
}

leakless(daemon, 'a policy holds from the answer on, and from the first moment of a box made with it', async () => {
  const box = await daemon.box();
  await until('the server outside listens', () => reaches(box));
  assert.deepEqual(await set(box, kClosed), kClosed);
  assert.deepEqual(await policyOf(box), kClosed);
  await assertClosed(box);
  await set(box, { mode: 'allow-all' });
  assert.ok(await reaches(box));
  const other = await daemon.box({ network_policy: kClosed });
  await assertClosed(other);
  assert.ok(await reaches(box), 'it is the policy of one box alone');
});

leakless(daemon, 'a webhook reaches a public address, and no server of this host by one', async () => {
  // 192.88.99.0/24 was public once, and is nobody's now (RFC 7526).
  const [here, there] = ['192.88.99.1', '192.88.99.2'];
  const hears = new Outside(['busybox', 'nc', '-ll', '-p', String(kPort), '-e', 'printf', 'HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n'],
    { name: 'webhook-e2e', link: 'webhook0', here, there: [there] });
  hears.open();
  const calls = [];
  const server = http.createServer((request, response) => {
    calls.push(request.url);
    response.writeHead(404).end();
  }).listen(kPort, here);
  try {
    await once(server, 'listening');
    const box = await daemon.box({ agent: 'custom', model: 'm', custom_runner: { command: '/bin/sh', args: ['-c', 'printf \'event: done\ndata: {"output":"x"}\n\n\''], protocol: 'box-sse-v1' } });
    const told = async (address) => {
      const webhook = { url: `http://${address}:${kPort}/hook` };
      const { run_id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x', webhook });
      return until(`what came of ${webhook.url}`, () => daemon.log.find((line) => line.includes(`run ${run_id}: webhook`)));
    };
    assert.match(await told(there), /it answered 404/);
    assert.match(await told(here), /one of this host's/);
    assert.deepEqual(calls, []);
  } finally {
    server.close();
    hears.close();
  }
});

leakless(daemon, 'networks are allowed and denied, and denied wins', async () => {
  const box = await daemon.box();
  const custom = async (allowed_cidrs, denied_cidrs) => {
    await set(box, { mode: 'custom', ...(allowed_cidrs && { allowed_cidrs }), ...(denied_cidrs && { denied_cidrs }) });
    return [await reaches(box), await reaches(box, kOther)];
  };
  assert.deepEqual(await custom([`${kOutside}/32`]), [true, false]);
  assert.deepEqual(await custom(['203.0.113.128/25', '203.0.113.130']), [false, true]);
  assert.deepEqual(await custom(['203.0.113.0/24'], ['203.0.113.128/25']), [true, false]);
  assert.deepEqual(await custom(undefined, [kOutside]), [false, true]);
  assert.deepEqual(await custom(['0.0.0.0/0'], [kOther]), [true, false]);
  assert.deepEqual(await custom(undefined, ['0.0.0.0/0']), [false, false]);
  assert.deepEqual(await policyOf(box), { mode: 'custom', denied_cidrs: ['0.0.0.0/0'] });
});

leakless(daemon, 'private and metadata addresses stay closed though they be allowed', async () => {
  const closed = ['169.254.169.254', '10.0.0.1', '192.168.0.1'];
  const box = await daemon.box({ network_policy: { mode: 'custom', allowed_cidrs: [...closed, '10.0.0.0/8', kOutside] } });
  assert.ok(await reaches(box));
  const codes = await Promise.all(closed.map((address) => reaches(box, address)));
  assert.deepEqual(codes, [false, false, false]);
});

leakless(daemon, 'a connection that is there stops, and goes on when it may', async () => {
  const box = await daemon.box();
  await box.sh(`mkfifo in; (exec 3<>in; nc ${kOutside} ${kPort} <&3 >out) >/dev/null 2>&1 & echo one > in`);
  await until('the connection is there', async () => await box.sh('cat out') === 'one');
  await set(box, kClosed);
  const before = refused(box);
  await box.sh('echo two > in');
  await until('what it sends is refused', () => refused(box) > before);
  assert.equal(await box.sh('cat out'), 'one');
  await set(box, { mode: 'allow-all' });
  await until('the connection goes on', async () => await box.sh('cat out') === 'one\ntwo');
});

leakless(daemon, 'no name is looked up for a box that may not talk to everybody', async () => {
  const box = await daemon.box({ network_policy: kClosed });
  const lookup = () => box.exec(['nslookup', 'tell-this-to-everybody.example.com']);
  assert.match((await lookup()).output, /REFUSED/);
  await set(box, { mode: 'custom', allowed_cidrs: [kOutside] });
  assert.match((await lookup()).output, /REFUSED/);
  await set(box, { mode: 'custom', denied_cidrs: [kOutside] });
  assert.doesNotMatch((await lookup()).output, /REFUSED/);
});

leakless(daemon, 'a policy outlives pauses, its box\'s init, and daemons', async () => {
  const box = await daemon.box({ network_policy: kClosed });
  const open = await daemon.box();
  await daemon.json('POST', `${box.path}/pause`);
  await assertClosed(box);
  await daemon.end('SIGKILL');
  await daemon.launch();
  await assertClosed(box);
  for (const pid of pids(box)) process.kill(pid, 'SIGKILL');
  await until('the box is paused', async () => await box.status() === 'paused');
  await assertClosed(box); // by a fresh init, with another address
  assert.deepEqual(await policyOf(box), kClosed);
  assert.ok(await reaches(open));
  for (const pid of pids(box)) process.kill(pid, 'SIGKILL');
  await daemon.end('SIGKILL');
  await daemon.launch();
  await assertClosed(box);
});

leakless(daemon, 'a policy can be set on a paused box', async () => {
  const box = await daemon.box();
  await daemon.json('POST', `${box.path}/pause`);
  await set(box, kClosed);
  assert.equal(await box.status(), 'paused');
  await assertClosed(box);
});

leakless(daemon, 'a fork has the policy of its box, a box from a snapshot the one it is made with', async () => {
  const box = await daemon.box({ network_policy: kClosed });
  const fork = async (body) => (await daemon.json('POST', `${box.path}/fork`, body, 201)).boxes[0].network_policy;
  assert.deepEqual(await fork({}), kClosed);
  assert.deepEqual(await fork({ network_policy: { mode: 'allow-all' } }), { mode: 'allow-all' });
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'now' }, 201);
  const restore = async (body) => (await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id, ...body }, 201)).network_policy;
  assert.deepEqual(await restore({}), { mode: 'allow-all' });
  assert.deepEqual(await restore({ network_policy: kClosed }), kClosed);
  await daemon.json('DELETE', '/v2/box/snapshots', {});
});

const kWrong = {
  'no mode': [400, {}, /mode: is required/],
  'another mode': [400, { mode: 'open' }, /mode: must be allow-all, deny-all or custom/],
  'custom without networks': [400, { mode: 'custom', allowed_cidrs: [] }, /mode: custom needs networks/],
  'networks without custom': [400, { mode: 'deny-all', allowed_cidrs: [kOutside] }, /mode: .*for custom/],
  'a name': [400, { mode: 'custom', denied_cidrs: ['example.org'] }, /denied_cidrs: "example.org"/],
  'bits beyond the length': [400, { mode: 'custom', allowed_cidrs: ['203.0.113.1/24'] }, /allowed_cidrs: .*bits/],
  'IPv6': [400, { mode: 'custom', allowed_cidrs: ['2001:db8::/32'] }, /allowed_cidrs: .*IPv6/],
  'too many': [400, { mode: 'custom', denied_cidrs: Array(257).fill(kOutside) }, /denied_cidrs: at most 256/],
  'a number': [400, { mode: 'custom', denied_cidrs: [1] }, /denied_cidrs: must be an array of strings/],
  'domains without custom': [400, { mode: 'deny-all', allowed_domains: ['example.org'] }, /mode: .*for custom/],
  'no name': [400, { mode: 'custom', allowed_domains: ['example.org', 'https://example.org/'] }, /allowed_domains: "https:/],
  'an address for a name': [400, { mode: 'custom', allowed_domains: [kOutside] }, /allowed_domains: /],
  'too many names': [400, { mode: 'custom', allowed_domains: Array.from({ length: 257 }, (_, i) => `n${i}.example`) }, /allowed_domains: at most 256/],
};
for (const [what, [status, body, about]] of Object.entries(kWrong)) {
  leakless(daemon, `refused: ${what}`, async () => {
    const box = await daemon.box({ network_policy: kClosed });
    await daemon.refuses(status, about, 'PUT', `${box.path}/config/network-policy`, { body });
    await daemon.refuses(status, new RegExp(`^network_policy: ${about.source}`), 'POST', '/v2/box', { body: { network_policy: body } });
    assert.deepEqual(await policyOf(box), kClosed);
  });
}

leakless(daemon, 'hutch network', async () => {
  const hutch = (...args) => output(daemon, args);
  await hutch('create', 'web', '--network', 'custom', '--allow', '203.0.113.0/24', '--deny', kOther);
  assert.equal(await hutch('network', 'web'), `custom, allowed: 203.0.113.0/24, denied: ${kOther}\n`);
  await hutch('network', 'web', 'deny-all');
  assert.deepEqual(JSON.parse(await hutch('network', 'web', '--json')), kClosed);
  await complains(daemon, 2, /--allow and --deny/, ['network', 'web', 'deny-all', '--allow', kOther]);
  await complains(daemon, 2, /--allow and --deny/, ['network', 'web', '--deny', kOther]);
  await complains(daemon, 1, /custom needs networks/, ['network', 'web', 'custom']);
});

// --- who flushes the host's rules (restarting a distribution's firewall does) ---

const nft = (...args) => execFileSync('nft', args, { encoding: 'utf8' });
const restored = async () => Number(/^hutch_firewall_restored_total (\d+)$/m.exec((await daemon.ask('GET', '/metrics')).text)[1]);

/// Flushes the daemon's table, and comes back when it is there again.
async function flush() {
  const before = await restored();
  nft('delete', 'table', 'inet', daemon.name);
  await until('the table is back', async () => await restored() > before);
}

/// Counts the packets that come to the server outside, whatever becomes of them there.
function countArrivals(work) {
  const inside = (...args) => execFileSync('ip', ['netns', 'exec', outside.name, 'nft', ...args], { encoding: 'utf8' });
  inside('add table inet arrivals; add chain inet arrivals early { type filter hook prerouting priority raw; }; '
    + `add rule inet arrivals early meta l4proto { tcp, udp } th dport ${kPort} counter`);
  const count = () => Number(/packets (\d+)/.exec(inside('list', 'table', 'inet', 'arrivals'))[1]);
  return work(count).finally(() => inside('delete', 'table', 'inet', 'arrivals'));
}

leakless(daemon, 'no packet of a closed box leaves while the host\'s rules are gone', async () => {
  const box = await daemon.box();
  await countArrivals(async (arrived) => {
    await box.sh(`nc -w 1 ${kOutside} ${kPort} < /dev/null`);
    assert.ok(arrived() > 0, 'the control: what an open box sends is counted');
    await set(box, kClosed);
    await box.sh(`(while :; do nc -w 1 ${kOutside} ${kPort} < /dev/null; echo >> /tmp/tries; done) > /dev/null 2>&1 &`);
    const [init] = fs.readFileSync(`${groupOf(box)}/init/cgroup.procs`, 'utf8').match(/\d+/g);
    const file = `/proc/${init}/root/tmp/tries`;
    const tries = () => (fs.existsSync(file) ? fs.statSync(file).size : 0);
    const before = arrived();
    process.kill(daemon.process.pid, 'SIGSTOP'); // so that nobody puts them back
    try {
      nft('delete', 'table', 'inet', daemon.name);
      const from = tries();
      await until('the box has tried', () => tries() > from + 3);
      assert.equal(arrived(), before);
    } finally {
      process.kill(daemon.process.pid, 'SIGCONT');
    }
    await until('the table is back', () => tables().includes(`table inet ${daemon.name}`));
    for (let i = 0; i < 10; ++i) await flush();
    assert.equal(arrived(), before);
  });
});

leakless(daemon, 'the table is put back with all policies, whatever of it was changed, and the log says by whom', async () => {
  const box = await daemon.box({ network_policy: kClosed });
  const listing = () => nft('-s', '-t', 'list', 'table', 'inet', daemon.name) + nft('list', 'set', 'inet', daemon.name, 'policed');
  const whole = listing();
  const changes = ['delete table', 'flush table', 'flush chain', 'add rule', 'flush set'];
  const rest = { 'flush chain': ['from_box'], 'add rule': ['from_box', 'accept'], 'flush set': ['policed'] };
  for (const change of changes) {
    const before = await restored();
    nft(...change.split(' '), 'inet', daemon.name, ...(rest[change] ?? []));
    await until(`the table is back after: ${change}`, async () => await restored() > before);
    assert.equal(listing(), whole, change);
  }
  assert.ok(daemon.log.some((line) => /firewall table inet \S+ was changed by nft \(process \d+\)/.test(line)), daemon.log.join('\n'));
  assert.equal(await reaches(box), false);
});

leakless(daemon, 'policies set while others flush the rules are not lost', async () => {
  const box = await daemon.box();
  const elements = () => nft('list', 'set', 'inet', daemon.name, 'policed');
  for (let i = 0; i < 20; ++i) {
    nft('delete', 'table', 'inet', daemon.name);
    await set(box, i % 2 === 0 ? kClosed : { mode: 'allow-all' });
    assert.equal(elements().includes('elements'), i % 2 === 0, `round ${i}`);
  }
});

// --- other daemons ---

const doctor = (name, network) => new Promise((resolve) => {
  execFile(process.env.HUTCHD, ['--name', name, '--network', network, '--state_dir', daemon.state, 'doctor'], (_, told) => resolve(told));
});
const tables = () => nft('list', 'tables', 'inet').split('\n');

/// Starts a second daemon, which must end by itself; what it said.
async function failedStart(options) {
  const second = new Daemon({ name: `${daemon.name}x`, images: false });
  for (const [option, value] of Object.entries(options)) second.args[second.args.indexOf(option) + 1] = value;
  try {
    await assert.rejects(second.launch(), /hutchd ended/);
    assert.ok(!tables().includes(`table inet ${second.name}`), 'it left a table');
    return second.log.join('\n');
  } finally {
    await host.sweep(second.name);
    fs.rmSync(second.directory, { recursive: true, force: true });
  }
}

leakless(daemon, 'a daemon is not started on the network of another that runs, and doctor says whose it is', async () => {
  const network = daemon.args[daemon.args.indexOf('--network') + 1];
  assert.match(await failedStart({ '--network': network }), new RegExp(`the hutchd called ${daemon.name} runs; give this one a network of its own`));
  assert.match(await doctor(`${daemon.name}x`, network), new RegExp(`error +the firewall table inet ${daemon.name}, .* closes boxes' gateway`));
  assert.match(await doctor(daemon.name, network), new RegExp(`ok +the firewall table inet ${daemon.name} is as it must be`));
});

leakless(daemon, 'a start that fails leaves no firewall', async () => {
  const log = await failedStart({ '--network': '192.0.2.0/28', '--socket': '/nonexistent/hutch.sock' });
  assert.match(log, /nonexistent/, 'it failed when the firewall was there');
});
