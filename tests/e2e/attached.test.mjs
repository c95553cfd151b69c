// Attached headers: what a box asks certain hosts for gets headers on its way, of which the box knows nothing; what it
// asks others for is not touched. The hosts are servers in a namespace of the test's.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { after, before } from 'node:test';
import { Box } from './lib/box.mjs';
import { complains, output } from './lib/command.mjs';
import { gitImage } from './lib/git-image.mjs';
import { pids } from './lib/processes.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { TlsHosts } from './lib/tls-hosts.mjs';
import { until } from './lib/until.mjs';

needs('curl', 'git', 'ldd', 'openssl');

const kThere = '203.0.113.194';
const kSecret = 'secret-a7c1e90b44';
const hosts = new TlsHosts(['api.hosts.test', 'deep.sub.hosts.test', 'plain.elsewhere.test', 'forged.hosts.test'],
  { name: 'attached-e2e', link: 'attached0', here: '203.0.113.193', there: [kThere, '203.0.113.195'], prefix: 28 });
const { heard, forget, valuesOf } = hosts;
before(() => hosts.open());
after(() => hosts.close());
const kImages = fs.mkdtempSync('/var/tmp/hutch-e2e-attached-image-');
after(() => fs.rmSync(kImages, { recursive: true }));
const daemon = suite({ env: { SSL_CERT_FILE: hosts.issuer.certificate }, import: { tools: gitImage(kImages, { node: true, also: ['/usr/bin/curl'] }) } });

const kRules = { 'api.hosts.test': { 'X-Token': kSecret } };
const of = (box) => `${box.path}/config/attach-headers`;
const asRoot = (box, script) => daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', script], user: 'root' });

/// A box whose hosts are known by name.
async function boxWith(rules = kRules, body = {}) {
  const box = await daemon.box({ runtime: 'tools', ...(rules && { attach_headers: rules }), ...body });
  await hosts.makeKnown(box);
  return box;
}

const curl = (url, ...options) => `curl -sS --max-time 20 ${options.join(' ')} https://${url}`;

leakless(daemon, 'a request gets its header, which is nowhere in the box', async () => {
  const box = await boxWith();
  forget();
  assert.equal(await box.sh(curl('api.hosts.test/one')), '/one');
  assert.deepEqual(valuesOf('x-token'), [kSecret]);
  assert.equal(heard().at(-1).protocol, 'http/1.1');

  // In no file, variable or memory of it: a process that has just asked, and still runs, is looked through.
  await box.sh(`node -e "fetch('https://api.hosts.test/two').then((r) => r.text()).then((t) => { console.log(t); setInterval(() => {}, 1000); })" > said 2>&1 & for i in $(seq 200); do grep -q /two said && exit; sleep 0.05; done; cat said; exit 1`);
  assert.deepEqual(valuesOf('x-token'), [kSecret]);
  assert.equal((await asRoot(box, `grep -rl '${kSecret.slice(0, 8)}''${kSecret.slice(8)}' / --include='*' 2> /dev/null | grep -v ^/proc | head; env | grep -c '${kSecret.slice(0, 8)}''${kSecret.slice(8)}'`)).output.trim(), '0');
  let looked = 0;
  for (const pid of pids(box)) {
    const memory = fs.openSync(`/proc/${pid}/mem`, 'r');
    for (const [, from, to] of fs.readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) r/gm)) {
      const [begin, end] = [parseInt(from, 16), parseInt(to, 16)];
      if (end - begin > 64 << 20) continue; // address space that is only kept free
      const bytes = Buffer.alloc(end - begin);
      try {
        fs.readSync(memory, bytes, 0, bytes.length, begin);
      } catch {
        continue; // the kernel's own pages
      }
      assert.ok(!bytes.includes(kSecret), `in the memory of ${fs.readFileSync(`/proc/${pid}/cmdline`)}`);
      looked += bytes.length;
    }
    fs.closeSync(memory);
  }
  assert.ok(looked > 1 << 20);
});

leakless(daemon, 'git, Node and curl trust what they are shown, and the box keeps that', async () => {
  const box = await boxWith();
  forget();
  await box.fails('git ls-remote https://api.hosts.test/a/b');
  assert.deepEqual([heard().at(-1).url, valuesOf('x-token')], ['/a/b/info/refs?service=git-upload-pack', [kSecret]]);
  assert.match(await box.sh('cat /etc/ssl/certs/ca-certificates.crt'), /BEGIN CERTIFICATE[^]*BEGIN CERTIFICATE/);
  // As update-ca-certificates does: from the files that are there.
  assert.match(await box.sh('cat /usr/local/share/ca-certificates/hutch-attached-headers.crt'), /^-----BEGIN CERTIFICATE-----\n[^-]*-----END CERTIFICATE-----$/);
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'kept' }, 201);
  assert.equal(JSON.stringify(await daemon.json('GET', '/v2/box/snapshots')).includes(kSecret), false);
  const copy = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201);
  assert.deepEqual(await daemon.json('GET', `/v2/box/${copy.id}/config/attach-headers`), { attach_headers: {} }, 'a snapshot carries none');
  await daemon.json('DELETE', '/v2/box/snapshots', { ids: [id] });
});

leakless(daemon, 'a box whose files are from before trusts its authority again, and a fork has one of its own', async () => {
  const box = await boxWith(null);
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'before' }, 201);
  await daemon.json('PUT', of(box), { attach_headers: kRules });
  await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: id });
  await until('it trusts it again', async () => await box.fails(curl('api.hosts.test/')) === 0);
  assert.deepEqual(valuesOf('x-token'), [kSecret]);
  const { boxes } = await daemon.json('POST', `${box.path}/fork`, { count: 1, attach_headers: { 'api.hosts.test': { 'X-Token': 'the fork' } } }, 201);
  const fork = new Box(daemon, boxes[0]);
  await fork.sh(curl('api.hosts.test/'));
  assert.deepEqual(valuesOf('x-token'), ['the fork']);
  const own = 'cat /usr/local/share/ca-certificates/hutch-attached-headers.crt';
  const theirs = await box.sh(own);
  assert.notEqual(await fork.sh(own), theirs);
  assert.ok(!(await fork.sh('cat /etc/ssl/certs/ca-certificates.crt')).includes(theirs), 'the fork does not trust what the other trusts');
  await daemon.json('DELETE', '/v2/box/snapshots', { ids: [id] });
});

leakless(daemon, 'other hosts are not touched', async () => {
  const box = await boxWith();
  forget();
  assert.equal(await box.sh(`${curl('plain.elsewhere.test/x', '-v')} 2>&1 | grep -c 'issuer: CN=authority-of-the-test'`), '1');
  assert.deepEqual([heard().at(-1).name, valuesOf('x-token')], ['plain.elsewhere.test', []]);
  assert.equal(await box.sh(`${curl('api.hosts.test/x', '-v')} 2>&1 | grep -c "issuer: CN=Hutch box ${box.id}"`), '1');
});

leakless(daemon, 'the most specific pattern counts, a name below is not the name, and the box cannot send its own', async () => {
  const box = await boxWith({ '*.hosts.test': { 'X-Token': 'wide' }, 'api.hosts.test': { 'X-Token': kSecret, 'X-More': 'more' } });
  await box.sh(curl('api.hosts.test/', '-H "x-token: mine" -H "X-TOKEN: mine, too" -H "X-Kept: kept" -H "Connection: X-Token"'));
  assert.deepEqual([valuesOf('x-token'), valuesOf('x-more'), valuesOf('x-kept')], [[kSecret], ['more'], ['kept']]);
  await box.sh(curl('deep.sub.hosts.test/'));
  assert.deepEqual([valuesOf('x-token'), valuesOf('x-more')], [['wide'], []]);
});

leakless(daemon, 'a host that cannot prove to be one is told nothing', async () => {
  const box = await boxWith({ '*.hosts.test': { 'X-Token': kSecret } });
  forget();
  assert.match(await box.sh(curl('forged.hosts.test/')), /Headers are attached for forged\.hosts\.test, but its certificate is not trusted/);
  // Another host's address, in the name of one that has headers.
  assert.match(await box.sh(curl('nobody.hosts.test/', `--resolve nobody.hosts.test:443:203.0.113.195`)), /not trusted/);
  assert.deepEqual(heard(), []);
});

leakless(daemon, 'what a request says of its host, and how it is framed, has one reading', async () => {
  const box = await boxWith();
  const raw = (text) => box.sh(`cat > raw.mjs << 'EOF'
import tls from 'node:tls';
import fs from 'node:fs';
const ca = fs.readFileSync('/usr/local/share/ca-certificates/hutch-attached-headers.crt');
const socket = tls.connect({ host: '${kThere}', port: 443, servername: 'api.hosts.test', ca }, () => socket.write(Buffer.from(process.argv[2], 'base64')));
let all = '';
socket.on('data', (bytes) => { all += bytes; });
socket.on('error', () => {});
socket.on('close', () => console.log(all));
EOF
node raw.mjs ${Buffer.from(text).toString('base64')}`);
  forget();
  assert.match(await raw('GET / HTTP/1.1\r\nHost: other.hosts.test\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 421 /);
  assert.match(await raw('TRACE / HTTP/1.1\r\nHost: api.hosts.test\r\nConnection: close\r\n\r\n'), /^HTTP\/1\.1 405 /);
  assert.match(await raw('GET / HTTP/1.1\r\nHost: api.hosts.test\r\nHost: api.hosts.test\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await raw('POST / HTTP/1.1\r\nHost: api.hosts.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.match(await raw('GET https://other.hosts.test/ HTTP/1.1\r\nHost: api.hosts.test\r\n\r\n'), /^HTTP\/1\.1 400 /);
  assert.deepEqual(heard(), []);
  const two = await raw('POST /first HTTP/1.1\r\nHost: API.hosts.test:443\r\nContent-Length: 4\r\n\r\nbodyGET /second HTTP/1.1\r\nHost: api.hosts.test\r\nConnection: close\r\n\r\n');
  assert.match(two, /^HTTP\/1\.1 200 [^]*\/first\nHTTP\/1\.1 200 [^]*\/second$/);
  assert.deepEqual(heard().map(({ url, body, headers }) => [url, body, valuesOf('x-token', { headers })]), [['/first', 'body', [kSecret]], ['/second', '', [kSecret]]]);
});

leakless(daemon, 'bodies, large answers and WebSockets pass', async () => {
  const box = await boxWith();
  await box.sh('head -c 300000 /dev/zero | tr "\\0" x > large');
  assert.equal(await box.sh(curl('api.hosts.test/upload', '-T large -H "Transfer-Encoding: chunked" -H "Expect: 100-continue"')), '/upload');
  assert.equal(heard().at(-1).body.length, 300000);
  assert.equal(await box.sh(curl('api.hosts.test/upload', '--data-binary @large')), '/upload');
  assert.equal(heard().at(-1).body.length, 300000);
  assert.equal(await box.sh(`${curl('api.hosts.test/large')} | wc -c`), String(4 << 20));
  assert.equal(await box.sh(curl('api.hosts.test/chunks')), 'one,two');
  assert.equal(await box.sh(`node -e "
    const request = require('node:https').request('https://api.hosts.test/socket', { headers: { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-key': 'x3JJHMbDL1EzLkh9GBhXDw==', 'sec-websocket-version': '13' } });
    request.on('upgrade', (response, socket) => { socket.write('through'); socket.on('data', (bytes) => { console.log(String(bytes)); socket.destroy(); }); });
    request.end();"`), 'through');
  assert.deepEqual([heard().at(-1).url, valuesOf('x-token')], ['/socket', [kSecret]]);
});

leakless(daemon, 'a connection of a box keeps one to the host', async () => {
  const box = await boxWith();
  const ask = async (...requests) => {
    const script = `const { Agent, request } = require('node:https'); const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const ask = (method, path) => new Promise((done) => { const r = request({ host: 'api.hosts.test', path, method, agent }, (a) => { let b = ''; a.on('data', (d) => b += d); a.on('end', () => done([a.statusCode, b.trim()])); }); r.end(); });
      (async () => { const all = []; for (const [method, path] of ${JSON.stringify(requests)}) all.push(await ask(method, path)); console.log(JSON.stringify(all)); process.exit(); })();`;
    forget();
    await box.write('ask.js', script);
    return { answers: JSON.parse(await box.sh('node ask.js')), by: heard().map(({ connection, url }) => [url, connection - heard()[0].connection]), all: heard() };
  };
  const kept = await ask(['GET', '/a'], ['POST', '/b'], ['GET', '/chunks'], ['HEAD', '/c']);
  assert.deepEqual(kept.by, [['/a', 0], ['/b', 0], ['/chunks', 0], ['/c', 0]]);
  for (const one of kept.all) assert.deepEqual(valuesOf('x-token', one), [kSecret]);
  assert.deepEqual((await ask(['GET', '/last'], ['GET', '/b'])).by, [['/last', 0], ['/b', 1]]);

  // One that the host closes just as another request comes: what may be said twice is.
  const closed = await ask(['GET', '/first-only'], ['GET', '/first-only']);
  assert.deepEqual(closed.answers, [[200, '/first-only'], [200, '/first-only']]);
  assert.deepEqual(closed.by, [['/first-only', 0], ['/first-only', 0], ['/first-only', 1]]);
  const posted = await ask(['GET', '/a'], ['POST', '/first-only']);
  assert.equal(posted.answers[1][0], 502);
  assert.equal(posted.all.filter(({ url }) => url === '/first-only').length, 1, 'it is not sent twice');

  // A box's other connection has one of its own.
  forget();
  await box.sh(`${curl('api.hosts.test/a')}; ${curl('api.hosts.test/b')}`);
  assert.notEqual(heard()[0].connection, heard()[1].connection);
});

leakless(daemon, 'of changes at once none is lost', async () => {
  const box = await boxWith();
  const some = [...Array(10).keys()].map((i) => `X-Header-${i}`);
  await Promise.all(some.map((name) => daemon.json('PATCH', of(box), { attach_headers: { 'api.hosts.test': { [name]: '1' } } })));
  const { attach_headers: { 'api.hosts.test': headers } } = await daemon.json('GET', of(box));
  assert.deepEqual(Object.keys(headers).sort(), [...some, 'X-Token'].sort());
  const kShared = '/v2/box/settings/attach-headers';
  await Promise.all(some.map((name) => daemon.json('PATCH', kShared, { attach_headers: { 'plain.elsewhere.test': { [name]: '1' } } })));
  assert.deepEqual(Object.keys((await daemon.json('GET', kShared)).attach_headers['plain.elsewhere.test']).sort(), some);
  await daemon.json('PUT', kShared, { attach_headers: {} });
});

leakless(daemon, 'they change on a living box, at once, also on a connection that is open', async () => {
  const box = await boxWith(null);
  await box.sh('echo "-----" > /dev/null');
  await box.sh(curl('api.hosts.test/'));
  assert.deepEqual(valuesOf('x-token'), []);
  assert.deepEqual(await daemon.json('PUT', of(box), { attach_headers: kRules }), { attach_headers: { 'api.hosts.test': { 'X-Token': '********' } } });
  const script = `const { Agent, get } = require('node:https'); const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = (url) => new Promise((done) => get('https://api.hosts.test' + url, { agent }, (r) => { r.resume(); r.on('end', done); }));
    (async () => { await ask('/a'); require('node:fs').writeFileSync('asked', ''); while (!require('node:fs').existsSync('go')) await new Promise((r) => setTimeout(r, 20)); await ask('/b'); process.exit(); })();`;
  const asking = box.sh(`rm -f asked go; node -e "${script.replaceAll('"', '\\"')}"`);
  await until('it has asked once', async () => await box.fails('test -e asked') === 0);
  await daemon.json('PATCH', of(box), { attach_headers: { 'api.hosts.test': { 'x-token': 'another' } } });
  await box.sh('touch go');
  await asking;
  assert.deepEqual(heard().slice(-2).map(({ url, headers }) => [url, valuesOf('x-token', { headers })]), [['/a', [kSecret]], ['/b', ['another']]]);
  await daemon.json('PATCH', of(box), { unset: ['api.hosts.test X-TOKEN'] });
  assert.deepEqual(await daemon.json('GET', of(box)), { attach_headers: {} });
  await box.sh(curl('api.hosts.test/'));
  assert.deepEqual(valuesOf('x-token'), []);
});

leakless(daemon, 'a customer\'s are beneath a box\'s own, of boxes that are there and that come', async () => {
  const kShared = '/v2/box/settings/attach-headers';
  const old = await boxWith(null);
  await daemon.json('PUT', kShared, { attach_headers: { 'api.hosts.test': { 'X-Token': 'shared', 'X-All': 'all' } } });
  try {
    await old.sh(curl('api.hosts.test/'));
    assert.deepEqual([valuesOf('x-token'), valuesOf('x-all')], [['shared'], ['all']]);
    const box = await boxWith();
    await box.sh(curl('api.hosts.test/'));
    assert.deepEqual([valuesOf('x-token'), valuesOf('x-all')], [[kSecret], ['all']]);
    assert.deepEqual(await daemon.json('GET', of(box)), { attach_headers: { 'api.hosts.test': { 'X-Token': '********' } } });
  } finally {
    await daemon.json('PUT', kShared, { attach_headers: {} });
  }
  await old.sh(curl('api.hosts.test/'));
  assert.deepEqual(valuesOf('x-token'), []);
});

leakless(daemon, 'without the daemon nothing goes around it; a new one knows all, and its box trusts it still', async () => {
  const box = await boxWith();
  const pause = await boxWith();
  await daemon.json('POST', `${pause.path}/pause`);
  // It asks again and again, so that some of it is in the time without a daemon.
  const asks = ['api.hosts.test', 'plain.elsewhere.test'].map((host) => `${curl(`${host}/down`)}; echo $? >> ${host}`).join('; ');
  await box.sh(`(while true; do ${asks}; done) > /dev/null 2>&1 &`);
  const { init_pid: init } = (await daemon.json('GET', `${box.path}?details=1`)).details;
  const refused = (host) => fs.readFileSync(`/proc/${init}/root/workspace/home/${host}`, 'utf8').split('7\n').length - 1;
  const bothRefused = () => ['api.hosts.test', 'plain.elsewhere.test'].map(refused);
  await until('it asks', async () => await box.fails('test -s plain.elsewhere.test') === 0);
  await daemon.end('SIGKILL');
  await until('both are refused', () => bothRefused().every((times) => times > 0));
  forget(); // what was under way
  const before = bothRefused();
  await until('both are refused again', () => bothRefused().every((times, i) => times > before[i]));
  const asking = () => pids(box).filter((pid) => pid !== String(init));
  await until('it asks no more', () => {
    spawnSync('kill', ['-KILL', ...asking()]);
    return asking().length === 0;
  });
  assert.deepEqual(heard(), [], 'none of them got through');
  await daemon.launch();
  await box.sh(curl('api.hosts.test/again'));
  assert.deepEqual(valuesOf('x-token'), [kSecret]);
  await pause.sh(curl('api.hosts.test/again'));
  assert.deepEqual(valuesOf('x-token'), [kSecret]);
});

leakless(daemon, 'a policy holds for what is relayed', async () => {
  const box = await boxWith();
  await box.sh(curl('api.hosts.test/'));
  forget();
  await daemon.json('PUT', `${box.path}/config/network-policy`, { mode: 'custom', denied_cidrs: ['203.0.113.192/28'] });
  assert.notEqual(await box.fails(curl('api.hosts.test/', '--connect-timeout 2')), 0);
  assert.deepEqual(heard(), []);
  assert.notEqual(await box.fails(curl('api.hosts.test/', `--connect-timeout 2 --resolve api.hosts.test:443:203.0.113.193`)), 0);
  assert.deepEqual(heard(), []);
});

leakless(daemon, 'what is no pattern and no header is refused, without its value', async () => {
  const box = await boxWith(null);
  const refused = [
    [{ 'Api.hosts.test': { A: 'x' } }, /lower case/], [{ 'https://a.b': { A: 'x' } }, /must be a host's name/], [{ '*': { A: 'x' } }, /must be a host's name/],
    [{ '203.0.113.2': { A: 'x' } }, /must be a host's name/], [{ 'a.*.b': { A: 'x' } }, /must be a host's name/], [{ 'a.b:8443': { A: 'x' } }, /must be a host's name/],
    [{ 'a.b': { 'A B': 'x' } }, /no name of a header/], [{ 'a.b': { A: `${kSecret}\r\nB: y` } }, /control character/], [{ 'a.b': { A: '' } }, /empty/],
    ...['Host', 'content-length', 'Transfer-Encoding', 'Connection', 'Upgrade', 'Proxy-Authorization'].map((name) => [{ 'a.b': { [name]: 'x' } }, /cannot be set/]),
    [{ 'a.b': { A: 'x', a: 'y' } }, /twice/], [{ 'a.b': {} }, /names no header/], [{ 'a.b': { A: 'x'.repeat(8193) } }, /longer than 8192/], [{ 'a.b': 'x' }, /object of strings/],
  ];
  for (const [rules, about] of refused) {
    const said = await daemon.refuses(400, about, 'PUT', of(box), { body: { attach_headers: rules } });
    assert.ok(!said.includes(kSecret), said);
    await daemon.refuses(400, about, 'POST', '/v2/box', { body: { attach_headers: rules } });
  }
  await daemon.refuses(404, /no header is attached/, 'PATCH', of(box), { body: { unset: ['a.b'] } });
});

leakless(daemon, 'hutch headers sets, lists and takes away', async () => {
  const box = await boxWith(null, { name: 'web' });
  await output(daemon, ['headers', 'set', '--box', 'web', 'api.hosts.test', 'X-Token', 'X-More=more'], { env: { X_TOKEN: kSecret } });
  assert.equal(await output(daemon, ['headers', 'web']), 'api.hosts.test X-More=********\napi.hosts.test X-Token=********\n');
  await box.sh(curl('api.hosts.test/'));
  assert.deepEqual([valuesOf('x-token'), valuesOf('x-more')], [[kSecret], ['more']]);
  await output(daemon, ['headers', 'rm', '--box', 'web', 'api.hosts.test', 'x-more']);
  assert.equal(await output(daemon, ['headers', 'web']), 'api.hosts.test X-Token=********\n');
  await output(daemon, ['headers', 'rm', '--box', 'web', 'api.hosts.test']);
  assert.equal(await output(daemon, ['headers', 'web']), '');
  await output(daemon, ['headers', 'set', '*.hosts.test', 'X-All=all']);
  assert.equal(await output(daemon, ['headers']), '*.hosts.test X-All=********\n');
  await output(daemon, ['headers', 'rm', '*.hosts.test']);
  await complains(daemon, 1, /no header is attached/, ['headers', 'rm', '*.hosts.test']);
});

leakless(daemon, 'no value is in a file of the daemon or in its log', async () => {
  const box = await boxWith();
  await daemon.json('PUT', '/v2/box/settings/attach-headers', { attach_headers: { 'shared.hosts.test': { A: `${kSecret}-shared` } } });
  await box.sh(curl('api.hosts.test/'));
  assert.equal(execFileSync('sh', ['-c', `grep -rlaF -e ${kSecret} -e 'BEGIN PRIVATE KEY' ${daemon.state} --exclude-dir=store || true`], { encoding: 'utf8' }), '');
  assert.ok(!daemon.log.join('\n').includes(kSecret));
  assert.ok(!JSON.stringify(await daemon.json('GET', `${box.path}/logs`)).includes(kSecret));
  await daemon.json('PUT', '/v2/box/settings/attach-headers', { attach_headers: {} });
});
