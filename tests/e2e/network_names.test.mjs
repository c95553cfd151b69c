// A box that may talk to some names alone: with a real name server (dnsmasq) and servers of TLS and HTTP outside, and curl in the box's network.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { output } from './lib/command.mjs';
import { Outside } from './lib/outside.mjs';
import { groupOf } from './lib/processes.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('dnsmasq', 'openssl', 'curl', 'nsenter', 'unshare');

const kHere = '198.51.100.1';
const [kResolver, kShared, kAlone, kNobodys] = ['198.51.100.2', '198.51.100.3', '198.51.100.4', '198.51.100.5'];
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'hutch-names-'));
const file = (name) => path.join(directory, name);
const node = process.execPath;
const outside = new Outside([node, new URL('./lib/named_servers.mjs', import.meta.url).pathname, directory],
  { name: 'names-e2e', link: 'names0', here: kHere, there: [kResolver, kShared, kAlone, kNobodys] });

/// The servers' addresses are in this file, which is read again at a signal; all other names below .example are kShared.
const answer = (lines) => fs.writeFileSync(file('hosts'), lines.map(([name, address]) => `${address} ${name}\n`).join(''));
const kFixed = [['alone.example', kAlone], ['flip.example', kShared], ['private.example', '10.1.2.3'], ['metadata.example', '169.254.169.254'], ['host.example', kHere], ['loop.example', '127.0.0.1']];
const queries = () => fs.readFileSync(file('queries'), 'utf8');
let resolver;

/// hutchd reads the name servers of this host, which must be others for it: it is started in a mount namespace of its own.
function wrap() {
  fs.writeFileSync(file('host.conf'), `nameserver ${kResolver}\n`);
  fs.writeFileSync(file('hutchd'), `#!/bin/sh\nexec unshare -m --propagation private sh -c 'mount --bind ${file('host.conf')} "$(readlink -f /etc/resolv.conf)" && exec ${process.env.HUTCHD} "$@"' sh "$@"\n`, { mode: 0o755 });
  process.env.HUTCHD = file('hutchd');
}

after(async () => {
  resolver?.kill();
  outside.close();
  fs.rmSync(directory, { recursive: true, force: true });
});

// Before the daemon begins.
execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=example', '-keyout', file('key.pem'), '-out', file('cert.pem')], { stdio: 'ignore' });
answer(kFixed);
fs.writeFileSync(file('queries'), '');
outside.open();
resolver = spawn('ip', ['netns', 'exec', outside.name, 'dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--user=root', '--pid-file=',
    `--listen-address=${kResolver}`, '--bind-interfaces', '--log-queries', `--log-facility=${file('queries')}`, `--addn-hosts=${file('hosts')}`, `--address=/example/${kShared}`,
    '--host-record=target.other,198.51.100.4', '--cname=chain.example,target.other', '--local-ttl=1'], { stdio: 'ignore' });
await until('the name server answers', () => queries().includes('started'));
wrap();
const daemon = suite();

const kNames = ['allowed.example', '*.wild.example', 'xn--bcher-kva.example', 'chain.example', 'alone.example', 'flip.example', 'private.example', 'metadata.example', 'host.example', 'loop.example'];
const byName = (allowed_domains = kNames, more = {}) => ({ mode: 'custom', allowed_domains, ...more });
const set = (box, policy) => daemon.json('PUT', `${box.path}/config/network-policy`, policy);

/// Runs a program of this host in the network of the box, with the box's name server; its exit code and output.
function inside(box, command, ...args) {
  const [init] = fs.readFileSync(`${groupOf(box)}/init/cgroup.procs`, 'utf8').match(/\d+/g);
  const gateway = /nameserver (\S+)/.exec(fs.readFileSync(`/proc/${init}/root/etc/resolv.conf`, 'utf8'))[1];
  fs.writeFileSync(file('box.conf'), `nameserver ${gateway}\noptions timeout:2 attempts:1\n`);
  const script = `mount --bind ${file('box.conf')} "$(readlink -f /etc/resolv.conf)" && exec "$@"`;
  return new Promise((resolve) => {
    execFile('nsenter', ['-t', init, '-n', 'unshare', '-m', 'sh', '-c', script, 'sh', command, ...args], (failure, stdout) => resolve({ code: failure?.code ?? 0, stdout }));
  });
}
const curl = (box, ...args) => inside(box, 'curl', '-sSkf', '--noproxy', '*', '--max-time', '8', ...args);
/// What the server says of a request, or nothing.
const says = async (box, ...args) => (await curl(box, ...args)).stdout.trim();

leakless(daemon, 'of look-alikes exactly the allowed names are reached', async () => {
  const box = await daemon.box({ network_policy: byName() });
  const reached = async (name) => (await says(box, `https://${name}/`)) !== '';
  const allowed = ['allowed.example', 'ALLOWED.eXample', 'allowed.example.', 'a.wild.example', 'a.b.wild.example', 'xn--bcher-kva.wild.example', 'xn--bcher-kva.example', 'chain.example'];
  const refused = ['wild.example', 'badwild.example', 'xallowed.example', 'a.allowed.example', 'allowed.example.evil.example', 'wild.example.evil.example', 'allowed-example.example', 'xn--bcher-kvb.example', 'example', 'target.other', `${'a'.repeat(63)}.example`];
  for (const name of allowed) assert.ok(await reached(name), name);
  for (const name of refused) assert.ok(!await reached(name), name);
  const asked = queries();
  for (const name of refused.filter((one) => !one.startsWith('wild') && one !== 'example' && one !== 'target.other')) assert.ok(!asked.includes(` ${name} `), `${name} was asked for`);
});

leakless(daemon, 'a name that shares an address with another is told apart, without opening TLS', async () => {
  const box = await daemon.box({ network_policy: byName() });
  assert.equal(await says(box, 'https://allowed.example/'), `tls allowed.example allowed.example ${kShared}`);
  assert.equal(await says(box, 'http://allowed.example/'), `http allowed.example ${kShared}`);
  const other = (scheme, port) => ['--resolve', `other.example:${port}:${kShared}`, `${scheme}://other.example/`];
  assert.equal(await says(box, ...other('https', 443)), '');
  assert.equal(await says(box, ...other('http', 80)), '');
  assert.equal(await says(box, `https://${kShared}/`), '', 'no name');
  assert.equal(await says(box, '-H', 'Host: other.example', 'http://allowed.example/'), '', 'another Host');
  assert.equal((await curl(box, '-w', '%{http_code}', '-o', '/dev/null', ...other('http', 80))).stdout, '403', 'and is told so');
  assert.equal(await says(box, '--resolve', `a.wild.example:443:${kShared}`, 'https://a.wild.example/'), '', 'a name that it did not look up');
});

/// What comes back to these bytes on one connection, each piece a second behind the last one.
const talk = (box, address, port, ...pieces) => box.sh(`(${pieces.map((piece) => `printf '${piece}'; sleep 1`).join('; ')}) | nc -w 3 ${address} ${port} || true`);

leakless(daemon, 'each request of a connection is judged', async () => {
  const box = await daemon.box({ network_policy: byName() });
  const request = (host) => `GET / HTTP/1.1\\r\\nHost: ${host}\\r\\n\\r\\n`;
  await box.exec(['nslookup', 'allowed.example']);
  const hosts = async (...names) => (await talk(box, kShared, 80, ...names.map(request))).match(/^http \S+/gm) ?? [];
  assert.deepEqual(await hosts('allowed.example', 'allowed.example'), ['http allowed.example', 'http allowed.example']);
  assert.deepEqual(await hosts('allowed.example', 'other.example', 'allowed.example'), ['http allowed.example']);
});

leakless(daemon, 'what is neither TLS nor HTTP is judged by address, and its server may speak first', async () => {
  const box = await daemon.box({ network_policy: byName() });
  await box.exec(['nslookup', 'alone.example']);
  assert.equal(await talk(box, kAlone, 22, 'SSH-2.0-me\\r\\n'), 'SSH-2.0-here\r\nSSH-2.0-me');
  assert.equal(await talk(box, kAlone, 22, '', '', 'GET / HTTP/1.1\\r\\nHost: other.example\\r\\n\\r\\n').then((text) => text.includes('Host: other')), false, 'HTTP, though late');
  assert.equal(await talk(box, kShared, 22, 'SSH-2.0-me\\r\\n'), '', 'no name leads there');
});

leakless(daemon, 'direct addresses, other resolvers, UDP and ICMP stay closed', async () => {
  const box = await daemon.box({ network_policy: byName() });
  assert.equal(await says(box, '--resolve', `allowed.example:443:${kNobodys}`, 'https://allowed.example/'), '');
  assert.equal(await says(box, '--resolve', `allowed.example:443:${kShared}`, 'https://allowed.example/'), '', 'before it is looked up');
  await box.exec(['timeout', '3', 'nslookup', 'direct.example', kResolver]);
  await box.exec(['nslookup', 'alone.example']);
  await box.exec(['sh', '-c', `echo x | timeout 2 nc -u -w 1 ${kAlone} 443`]);
  assert.notEqual(await box.fails(`ping -c 1 -W 1 ${kAlone}`), 0);
  assert.ok(!queries().includes('direct.example'));
});

leakless(daemon, 'what one box has looked up opens nothing to another', async () => {
  const [one, other] = [await daemon.box({ network_policy: byName() }), await daemon.box({ network_policy: byName() })];
  assert.notEqual(await says(one, 'https://alone.example/'), '');
  assert.equal(await says(other, '--resolve', `alone.example:443:${kAlone}`, 'https://alone.example/'), '');
  assert.notEqual(await says(one, '--resolve', `alone.example:443:${kAlone}`, 'https://alone.example/'), '', 'the control');
});

leakless(daemon, 'answers that lead to private, local or this host\'s addresses are dropped', async () => {
  const box = await daemon.box({ network_policy: byName() });
  for (const name of ['private', 'metadata', 'host', 'loop']) {
    assert.match((await box.exec(['nslookup', `${name}.example`])).output, /REFUSED/, name);
  }
  assert.equal(await says(box, 'https://flip.example/'), `tls flip.example flip.example ${kShared}`);
  answer(kFixed.map(([name, address]) => [name, name === 'flip.example' ? '10.1.2.3' : address]));
  for (const pid of outside.pids()) if (fs.readFileSync(`/proc/${pid}/comm`, 'utf8') === 'dnsmasq\n') process.kill(pid, 'SIGHUP');
  await until('the answer has flipped', async () => /REFUSED/.test((await box.exec(['nslookup', 'flip.example'])).output));
  assert.equal(await says(box, 'https://flip.example/'), '');
});

leakless(daemon, 'networks are allowed beside names, denied ones win, and private ones stay closed', async () => {
  const box = await daemon.box({ network_policy: byName(['allowed.example', 'alone.example'], { allowed_cidrs: [kNobodys, '10.0.0.0/8'], denied_cidrs: [kAlone] }) });
  assert.equal(await says(box, `https://${kNobodys}/`), `tls - ${kNobodys} ${kNobodys}`);
  assert.equal(await says(box, 'https://allowed.example/'), `tls allowed.example allowed.example ${kShared}`);
  assert.equal(await says(box, 'https://alone.example/'), '');
  assert.equal(await says(box, '--max-time', '2', 'https://10.0.0.1/'), '');
});

leakless(daemon, 'changes hold at once, on open connections too', async () => {
  const box = await daemon.box({ network_policy: byName() });
  const slow = curl(box, '-N', '--max-time', '60', '-o', file('slow'), 'http://allowed.example/slow');
  await until('the answer has begun', () => fs.existsSync(file('slow')) && fs.readFileSync(file('slow'), 'utf8').includes('allowed.example'));
  await set(box, byName(['alone.example']));
  assert.notEqual((await slow).code, 0);
  assert.equal(await says(box, 'http://allowed.example/'), '');
  await set(box, byName(['allowed.example']));
  assert.notEqual(await says(box, 'http://allowed.example/'), '');
  await set(box, { mode: 'deny-all' });
  assert.equal(await says(box, '--max-time', '2', 'http://allowed.example/'), '');
  await set(box, { mode: 'allow-all' });
  assert.notEqual(await says(box, 'https://other.example/'), '');
});

leakless(daemon, 'only a name goes out by the name server, and only addresses come in', async () => {
  const box = await daemon.box({ network_policy: byName() });
  const lookup = async (...args) => (await inside(box, node, '-e', `
    const dns = require('node:dns').promises;
    dns.resolve(...${JSON.stringify(args)}).then((told) => console.log(JSON.stringify(told)), (error) => console.log(error.code));`)).stdout.trim();
  assert.equal(await lookup('allowed.example', 'A'), JSON.stringify([kShared]));
  for (const type of ['AAAA', 'TXT', 'MX', 'CNAME', 'ANY']) assert.match(await lookup('chain.example', type), /ENODATA|\\[\\]/, type);
  assert.equal(await lookup('secret.other.example', 'A'), 'EREFUSED');
  assert.ok(!queries().includes('secret.other'));
});

leakless(daemon, 'a box by name is closed while the daemon is down, and goes on with the next one', async () => {
  const box = await daemon.box({ network_policy: byName() });
  const works = () => says(box, 'https://allowed.example/');
  assert.notEqual(await works(), '');
  await daemon.end('SIGKILL');
  assert.equal(await says(box, '--resolve', `allowed.example:443:${kShared}`, 'https://allowed.example/'), '');
  await daemon.launch();
  assert.equal(await says(box, '--resolve', `other.example:443:${kShared}`, 'https://other.example/'), '');
  assert.notEqual(await works(), '');
});

leakless(daemon, 'no packet of a box by name leaves while the host\'s rules are gone', async () => {
  const box = await daemon.box({ network_policy: byName() });
  const nft = (...args) => execFileSync('ip', ['netns', 'exec', outside.name, 'nft', ...args], { encoding: 'utf8' });
  nft('add table inet arrivals; add chain inet arrivals early { type filter hook prerouting priority raw; }; add rule inet arrivals early meta l4proto tcp counter');
  const arrived = () => Number(/packets (\d+)/.exec(nft('list', 'table', 'inet', 'arrivals'))[1]);
  assert.notEqual(await says(box, 'https://allowed.example/'), '');
  assert.ok(arrived() > 0, 'the control');
  process.kill(daemon.process.pid, 'SIGSTOP');
  try {
    execFileSync('nft', ['delete', 'table', 'inet', daemon.name]);
    const from = arrived();
    for (const address of [kShared, kAlone]) assert.equal(await says(box, '--max-time', '2', `http://${address}/`), '');
    assert.equal(arrived(), from);
  } finally {
    process.kill(daemon.process.pid, 'SIGCONT');
  }
  await until('the box reaches its names again', async () => await says(box, 'https://allowed.example/') !== '');
});

leakless(daemon, 'a policy by name outlives pauses and goes with a fork', async () => {
  const box = await daemon.box({ network_policy: byName(['allowed.example']) });
  await daemon.json('POST', `${box.path}/pause`);
  await box.sh('true');
  assert.notEqual(await says(box, 'https://allowed.example/'), '');
  assert.equal(await says(box, 'https://alone.example/'), '');
  const [fork] = (await daemon.json('POST', `${box.path}/fork`, {}, 201)).boxes;
  assert.deepEqual(fork.network_policy, byName(['allowed.example']));
});

leakless(daemon, 'hutch network', async () => {
  const hutch = (...args) => output(daemon, args);
  await hutch('create', 'web', '--network', 'custom', '--allow', 'Allowed.example', '--allow', '*.wild.example', '--allow', `${kAlone}/32`, '--deny', kNobodys);
  assert.equal(await hutch('network', 'web'), `custom, allowed: allowed.example *.wild.example ${kAlone}/32, denied: ${kNobodys}\n`);
});
