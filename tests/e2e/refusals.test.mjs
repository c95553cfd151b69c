// What a box was refused of the network, told to its owner: which rule, which destination, and why.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { before, after } from 'node:test';
import { complains, output } from './lib/command.mjs';
import { withCustomers } from './lib/customer.mjs';
import { open } from './lib/http.mjs';
import { Outside } from './lib/outside.mjs';
import { NameServer } from './lib/name-server.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

// 192.88.99.0/24 was public once, and is nobody's now (RFC 7526).
const kHere = '192.88.99.129';
const kThere = '192.88.99.130';
const kDenied = '192.88.99.200';
const kNobody = '192.88.99.177';
const kPort = 8080; // that the server outside listens on
const kClosedPort = 8081;
const kDroppedPort = 8082;

needs('unshare');
const kNames = {
  'good.example': [kThere], 'inside.example': ['10.1.2.3'], 'both.example': ['10.1.2.3', kThere], 'denied.example': [kDenied], 'six.example': [], 'broken.example': null,
};
const names = new NameServer(kHere, kNames);
const outside = new Outside(undefined, { name: 'refused-e2e', link: 'refused0', here: kHere, there: [kThere, kDenied], prefix: 25 });
before(async () => {
  outside.open();
  await names.open();
  execFileSync('ip', ['netns', 'exec', outside.name, 'nft', `add table inet closed; add chain inet closed input { type filter hook input priority 0; }; add rule inet closed input tcp dport ${kDroppedPort} drop`]);
});
after(() => {
  names.close();
  outside.close();
});
process.env.HUTCHD = names.asServerOf(process.env.HUTCHD);
const daemon = suite({ tcp: true });

const kDenyAll = { mode: 'deny-all' };
const setPolicy = (box, policy) => daemon.json('PUT', `${box.path}/config/network-policy`, policy);
const log = (box) => daemon.json('GET', `${box.path}/network/log`);
const why = (box, host, port) => daemon.json('GET', `${box.path}/network/why?host=${encodeURIComponent(host)}${port ? `&port=${port}` : ''}`);
const connect = (box, address, port) => box.fails(`nc -w 1 ${address} ${port} < /dev/null`);
const matches = (refusal, wanted) => Object.entries(wanted).every(([field, value]) => refusal[field] === value);
const told = (box, wanted) => until(`the log has ${JSON.stringify(wanted)}`, async () => (await log(box)).refusals.find((refusal) => matches(refusal, wanted)));
const gatewayOf = (box) => box.sh('ip route show default | head -n 1 | cut -d " " -f 3');

leakless(daemon, 'each rule is told by its name, with time, destination and a reason', async () => {
  const box = await daemon.box();
  assert.deepEqual(await log(box), { refusals: [], dropped: 0 });
  const since = Date.now();
  await connect(box, '10.1.2.3', 443);
  const blocked = await told(box, { rule: 'blocked', protocol: 'tcp', address: '10.1.2.3', port: 443 });
  assert.ok(blocked.time >= since - 1000 && blocked.time <= Date.now() + 1000, `${blocked.time}`);
  assert.ok(blocked.first_time <= blocked.time && blocked.times >= 1);
  assert.match(blocked.reason, /closed to all boxes\.$/);
  const gateway = await gatewayOf(box);
  await connect(box, gateway, 22);
  await told(box, { rule: 'to_host', protocol: 'tcp', address: gateway, port: 22 });
  await setPolicy(box, { mode: 'custom', denied_cidrs: [kDenied] });
  await connect(box, kDenied, kPort);
  await told(box, { rule: 'policy', protocol: 'tcp', address: kDenied, port: kPort });
  assert.match((await log(box)).refusals.at(-1).reason, /network policy/);
});

leakless(daemon, 'a name that may not be asked for is told', async () => {
  const box = await daemon.box({ network_policy: kDenyAll });
  await box.exec(['nslookup', 'Secret.example.com']);
  const refused = await told(box, { rule: 'name', protocol: 'dns', name: 'secret.example.com' });
  assert.equal(refused.address, undefined);
  assert.match(refused.reason, /look this name up/);
});

leakless(daemon, 'the name is told by which the box found the address', async () => {
  const [box, other] = [await daemon.box(), await daemon.box()];
  await box.exec(['nslookup', 'Inside.Example']);
  await connect(box, '10.1.2.3', 443);
  await told(box, { rule: 'blocked', address: '10.1.2.3', port: 443, name: 'inside.example' });
  await connect(other, '10.1.2.3', 443);
  assert.equal((await told(other, { rule: 'blocked', address: '10.1.2.3' })).name, undefined, 'it is the box\'s own lookup');
});

leakless(daemon, 'one destination that is tried again and again is one entry', async () => {
  const box = await daemon.box();
  await box.sh('for i in $(seq 100); do nc -w 1 10.1.2.3 99 < /dev/null & done; wait');
  await told(box, { address: '10.1.2.3' });
  await connect(box, '10.9.9.9', 99);
  await told(box, { address: '10.9.9.9' });
  assert.equal((await log(box)).refusals.length, 2);
});

leakless(daemon, 'a flood of one box is bounded, in the log of the daemon too, and hides nothing of others', async () => {
  const [loud, quiet] = [await daemon.box(), await daemon.box()];
  await setPolicy(loud, { mode: 'custom', denied_cidrs: [kDenied] });
  await connect(loud, kDenied, kPort);
  await told(loud, { rule: 'policy' });
  await loud.sh('for j in 1 2 3 4; do for i in $(seq 100); do nc -w 1 10.$j.0.$i 99 < /dev/null & done; wait; done');
  await connect(quiet, '10.1.2.3', 443);
  await told(quiet, { rule: 'blocked', address: '10.1.2.3' });
  const { refusals } = await log(loud);
  assert.ok(refusals.filter(({ rule }) => rule === 'blocked').length >= 20, `${refusals.length}`);
  assert.ok(refusals.filter(({ rule }) => rule === 'blocked').length <= 64, `${refusals.length}`);
  assert.ok(refusals.some(({ rule }) => rule === 'policy'), 'noise of one rule hides no other');
  const lines = daemon.log.filter((line) => line.includes(`box ${loud.id}: refused`));
  assert.ok(lines.length >= 1 && lines.length <= 30, `${lines.length} lines in the log of the daemon`);
  assert.equal((await log(quiet)).refusals.length, 1, 'nobody sees another\'s');
});

leakless(daemon, 'who follows is told what there was and what comes, until the box is deleted', async () => {
  const box = await daemon.box();
  await connect(box, '10.1.2.3', 1);
  await told(box, { port: 1 });
  const response = await open(daemon.socket, 'GET', `${box.path}/network/log?follow=1`);
  assert.equal(response.headers['content-type'], 'text/event-stream');
  let text = '';
  response.setEncoding('utf8').on('data', (piece) => {
    text += piece;
  });
  const ended = new Promise((resolve) => {
    response.on('end', resolve);
  });
  const events = () => [...text.matchAll(/^event: refusal\ndata: (.*)\n\n/gm)].map(([, data]) => JSON.parse(data));
  await until('what there was is told', () => events().some(({ port }) => port === 1));
  await connect(box, '10.1.2.3', 2);
  await until('what comes is told', () => events().some(({ port }) => port === 2));
  await box.remove();
  await ended;
});

withCustomers(daemon, 'another\'s box is told of to nobody', async (alice, bob) => {
  const box = await alice.box();
  for (const call of ['network/log', 'network/log?follow=1', 'network/why?host=10.1.2.3']) {
    assert.equal((await bob.ask('GET', `/v2/box/${box.id}/${call}`)).status, 404, call);
  }
  assert.equal((await alice.ask('GET', `/v2/box/${box.id}/network/log`)).status, 200);
  assert.equal((await alice.json('GET', `/v2/box/${box.id}/network/why?host=10.1.2.3`)).rule, 'blocked');
}, '-refusals');

leakless(daemon, 'a daemon that comes anew has forgotten, and is told of the boxes it finds', async () => {
  const box = await daemon.box();
  await connect(box, '10.1.2.3', 1);
  await told(box, { port: 1 });
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.deepEqual(await log(box), { refusals: [], dropped: 0 });
  await connect(box, '10.1.2.3', 2);
  await told(box, { port: 2 });
});

leakless(daemon, 'who gets the address of a box that is gone sees nothing of it', async () => {
  const box = await daemon.box();
  await connect(box, '10.1.2.3', 1);
  await told(box, { port: 1 });
  await box.remove();
  const next = await daemon.box();
  assert.deepEqual(await log(next), { refusals: [], dropped: 0 });
});

// --- why ---

const says = async (box, host, port, verdict, rule, about) => {
  const answer = await why(box, host, port);
  assert.deepEqual([answer.verdict, answer.rule], [verdict, rule], JSON.stringify(answer));
  assert.match(answer.explanation, about);
  return answer;
};

leakless(daemon, 'why: the rules', async () => {
  const box = await daemon.box();
  const answer = await says(box, '10.1.2.3', 443, 'refused', 'blocked', /^10\.1\.2\.3 lies in 10\.0\.0\.0\/8, a private network, which is closed to all boxes, whatever their policy says\.$/);
  assert.deepEqual([answer.host, answer.port, answer.addresses], ['10.1.2.3', 443, ['10.1.2.3']]);
  await says(box, '169.254.169.254', 80, 'refused', 'blocked', /metadata/);
  await says(box, await gatewayOf(box), 22, 'refused', 'to_host', /is this host/);
  await says(box, kHere, 22, 'refused', 'to_host', /is this host itself/);
  const other = await daemon.box();
  const address = (await other.sh('ip -4 -o addr show eth0')).match(/inet ([\d.]+)/)[1];
  await says(box, address, 80, 'refused', 'blocked', /network of the boxes themselves/);
  await setPolicy(box, { mode: 'custom', denied_cidrs: ['192.88.99.192/26'] });
  await says(box, kDenied, kPort, 'refused', 'policy', /lies in 192\.88\.99\.192\/26, which the box's network policy denies/);
  await setPolicy(box, { mode: 'custom', allowed_cidrs: [kThere] });
  await says(box, kDenied, kPort, 'refused', 'policy', /may talk to 192\.88\.99\.130\/32 alone/);
  await says(box, 'example.com', 443, 'refused', 'name', /example\.com is not looked up for this box/);
  await setPolicy(box, kDenyAll);
  await says(box, kThere, kPort, 'refused', 'policy', /nobody at all \(deny-all\)/);
  await says(box, '2001:db8::1', 443, 'no_route', undefined, /IPv6, which boxes do not have/);
});

leakless(daemon, 'why: names', async () => {
  const box = await daemon.box();
  await until('the server outside listens', async () => (await why(box, kThere, kPort)).verdict === 'answers');
  const answer = await says(box, 'GOOD.example.', kPort, 'answers', undefined, /^The name good\.example resolves to 192\.88\.99\.130\. /);
  assert.deepEqual(answer.addresses, [kThere]);
  await says(box, 'inside.example', 443, 'refused', 'blocked', /^The name inside\.example resolves to 10\.1\.2\.3\. 10\.1\.2\.3 lies in 10\.0\.0\.0\/8, a private network/);
  await says(box, 'both.example', kPort, 'answers', undefined, /resolves to 192\.88\.99\.130, 10\.1\.2\.3\. 10\.1\.2\.3 lies in/);
  await says(box, 'six.example', 443, 'no_name', undefined, /has no address of IPv4/);
  await says(box, 'nobody.example', 443, 'no_name', undefined, /There is no such name as nobody\.example/);
  await says(box, 'broken.example', 443, 'no_name', undefined, /cannot be resolved/);
  await setPolicy(box, { mode: 'custom', denied_cidrs: [kDenied] });
  await says(box, 'denied.example', kPort, 'refused', 'policy', /denies/);
});

leakless(daemon, 'why: what it comes to when it is tried', async () => {
  const box = await daemon.box();
  await until('the server outside listens', async () => (await why(box, kThere, kPort)).verdict === 'answers');
  await says(box, kThere, kPort, 'answers', undefined, /has just taken a connection from the box's network/);
  await says(box, kThere, kClosedPort, 'closed', undefined, /takes no connections on that port/);
  await says(box, kThere, kDroppedPort, 'silent', undefined, /^Nothing refuses it here, but 192\.88\.99\.130:8082 has not answered/);
  await says(box, kNobody, kPort, 'no_route', undefined, /192\.88\.99\.177/);
  await says(box, 'localhost', 1, 'closed', undefined, /the box itself/);
  assert.deepEqual((await log(box)).refusals, [], 'what is asked is not refused');
});

const byName = (...allowed_domains) => ({ mode: 'custom', allowed_domains });

leakless(daemon, 'what a policy by name refuses is told', async () => {
  const box = await daemon.box({ network_policy: byName('good.example', 'inside.example') });
  await box.exec(['nslookup', 'bad.example']);
  await told(box, { rule: 'name', protocol: 'dns', name: 'bad.example' });
  await box.exec(['nslookup', 'inside.example']);
  await told(box, { rule: 'blocked', protocol: 'dns', name: 'inside.example' });
  await connect(box, kThere, kPort);
  await told(box, { rule: 'policy', protocol: 'tcp', address: kThere, port: kPort });
  await box.exec(['nslookup', 'good.example']);
  await box.fails(`printf 'GET / HTTP/1.1\\r\\nHost: Evil.example\\r\\n\\r\\n' | nc -w 1 ${kThere} ${kPort}`);
  const refused = await told(box, { rule: 'server_name', protocol: 'tcp', address: kThere, port: kPort, name: 'evil.example' });
  assert.match(refused.reason, /does not allow the name that the connection began with/);
});

leakless(daemon, 'why: a policy by name', async () => {
  const box = await daemon.box({ network_policy: byName('good.example', 'inside.example') });
  await says(box, 'bad.example', 443, 'refused', 'name', /bad\.example is not looked up for this box: its network policy lets it talk to good\.example, inside\.example alone\.$/);
  await says(box, 'inside.example', 443, 'refused', 'blocked', /private network/);
  await says(box, kThere, kPort, 'refused', 'policy', /good\.example, inside\.example alone/);
  await until('the server outside listens', async () => (await why(box, 'good.example', kPort)).verdict === 'answers');
  await says(box, 'good.example', kPort, 'answers', undefined, /from this host, which connects for the box\.$/);
  await says(box, 'good.example', kClosedPort, 'closed', undefined, /takes no connections/);
  await box.exec(['nslookup', 'good.example']);
  await says(box, kThere, kPort, 'answers', undefined, /has found 192\.88\.99\.130 by the name good\.example: a connection there must begin with that name/);
});

leakless(daemon, 'why: of a box that is paused, or has stopped', async () => {
  const box = await daemon.box();
  await until('the server outside listens', async () => (await why(box, kThere, kPort)).verdict === 'answers');
  await daemon.json('POST', `${box.path}/pause`);
  await says(box, kThere, kPort, 'answers', undefined, /^The box is paused: /);
  await says(box, '10.1.2.3', 443, 'refused', 'blocked', /^The box is paused: /);
  assert.equal(await box.status(), 'paused', 'it is not woken');
  assert.equal((await daemon.ask('GET', `${box.path}/network/log`)).status, 200);
});

leakless(daemon, 'why: what is asked wrongly', async () => {
  const box = await daemon.box();
  await daemon.refuses(400, /^host: /, 'GET', `${box.path}/network/why`);
  await daemon.refuses(400, /^host: "a b" is neither/, 'GET', `${box.path}/network/why?host=a%20b`);
  await daemon.refuses(400, /^host: must be/, 'GET', `${box.path}/network/why?host=a%0ab`);
  await daemon.refuses(400, /^host: must be/, 'GET', `${box.path}/network/why?host=${'x'.repeat(254)}`);
  for (const host of ['x:y', '127.1', '0x7f.0.0.1', '*.example.com', '10.1.2.3.', '..']) {
    await daemon.refuses(400, /^host: ".*" is neither/, 'GET', `${box.path}/network/why?host=${encodeURIComponent(host)}`);
  }
  await daemon.refuses(400, /^port: /, 'GET', `${box.path}/network/why?host=10.1.2.3&port=0`);
  await daemon.refuses(400, /^port: /, 'GET', `${box.path}/network/why?host=10.1.2.3&port=65536`);
  await daemon.refuses(400, /^port: /, 'GET', `${box.path}/network/why?host=10.1.2.3&port=x`);
  await daemon.refuses(400, /^follow: /, 'GET', `${box.path}/network/log?follow=yes`);
});

leakless(daemon, 'hutch network log and why, and the metrics', async () => {
  const hutch = (...args) => output(daemon, args);
  await hutch('create', 'web');
  const box = { path: '/v2/box/web' };
  assert.equal(await hutch('network', 'log', 'web'), '');
  await hutch('exec', 'web', 'sh', '-c', 'nc -w 1 10.1.2.3 443 < /dev/null 2> /dev/null; true');
  await told(box, { port: 443 });
  assert.match(await hutch('network', 'log', 'web'), /^[\d-]+ [\d:]+ {2}blocked {2}tcp 10\.1\.2\.3:443 {2}(\d+ times {2})?It is a private/);
  assert.equal(JSON.parse(await hutch('network', 'log', 'web', '--json')).refusals[0].rule, 'blocked');
  assert.equal(await hutch('network', 'why', 'web', '10.1.2.3:80'), '10.1.2.3 lies in 10.0.0.0/8, a private network, which is closed to all boxes, whatever their policy says.\n');
  assert.equal(JSON.parse(await hutch('network', 'why', 'web', '10.1.2.3', '--json')).port, 443);
  assert.equal(await hutch('network', 'web'), 'allow-all\n', 'the policy is shown as before');
  await complains(daemon, 2, /HOST/, ['network', 'why', 'web', '10.1.2.3:0']);
  await complains(daemon, 2, /BOX/, ['network']);
  const { text } = await daemon.ask('GET', '/metrics');
  assert.match(text, /^hutch_network_refused_total\{rule="blocked"\} [1-9]/m);
  assert.match(text, /^hutch_network_refused_total\{rule="flows"\} 0$/m);
});
