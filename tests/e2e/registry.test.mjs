// Images of registries: Debian's docker-registry, filled by skopeo, with TLS and logins, and what stands before it at the
// wire.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';
import path from 'node:path';
import { after, before } from 'node:test';
import { Certificate } from './lib/certificate.mjs';
import { complains, hutch, json, output, start } from './lib/command.mjs';
import { Customer, withCustomers } from './lib/customer.mjs';
import { Daemon } from './lib/daemon.mjs';
import { baseImage } from './lib/image.mjs';
import { Before, layout, Registry } from './lib/registry.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { directory as folder, file, tar } from './lib/tar.mjs';
import { until } from './lib/until.mjs';

needs('docker-registry', 'skopeo', 'htpasswd', 'openssl');
const scratch = fs.mkdtempSync('/var/tmp/hutch-registry-');
const certificate = new Certificate(scratch);
const secret = new Registry(`${scratch}/secret`, { users: { alice: 'pass-of-alice' }, certificate });
const open = new Registry(`${scratch}/open`);
const wire = new Before(open); // on which what is asked of it is seen
const daemon = suite({ tcp: true, args: ['--registry_authorities', certificate.certificate, '--private_registries'] });
const kSettings = '/v2/box/settings/registries';
const kLarge = crypto.randomBytes(12_000_000); // no archiver makes it smaller

before(async () => {
  const base = fs.readFileSync(baseImage(scratch));
  layout(`${scratch}/app`, [base, tar(folder('srv/'), file('srv/said', 'by the second layer\n'))],
    { User: '1000:1000', Env: ['APP=yes'], WorkingDir: '/srv', Cmd: ['cat', 'said'] });
  layout(`${scratch}/more`, [base, tar(folder('srv/'), file('srv/more', 'more\n'))], {});
  layout(`${scratch}/large`, [base, tar(file('large', kLarge))], {});
  await Promise.all([secret.open(), open.open()]);
  await wire.open();
  secret.push(`${scratch}/app`, 'team/app:1');
  for (const name of ['app', 'more', 'large']) open.push(`${scratch}/${name}`, `${name}:1`);
}, { timeout: 60_000 });
after(async () => {
  wire.close();
  await Promise.all([secret.close(), open.close()]);
  fs.rmSync(scratch, { recursive: true });
});

const remove = (name) => daemon.json('DELETE', `/v2/images/${name}`);
const spooled = () => fs.readdirSync(path.join(daemon.state, 'blobs'));
const said = async (runtime) => {
  const box = await daemon.box({ runtime });
  const { output: text } = await box.exec(['cat', '/srv/said']);
  await box.remove();
  return text;
};
/// Docker's own settings, where it has logged in.
function dockerConfig(host, login) {
  const DOCKER_CONFIG = fs.mkdtempSync(`${scratch}/docker-`);
  fs.writeFileSync(`${DOCKER_CONFIG}/config.json`, JSON.stringify({ auths: { [host]: { auth: Buffer.from(login).toString('base64') } } }));
  return { DOCKER_CONFIG };
}

async function pull(reference, name, options) {
  const { code, stdout, stderr } = await hutch(daemon, ['image', 'pull', reference, '--name', name], options);
  assert.deepEqual([code, stdout], [0, `${name}\n`], stderr);
  return stderr;
}

leakless(daemon, 'is pulled with the login of docker, and again without a blob', async () => {
  const reference = `${secret.host}/team/app:1`;
  const env = dockerConfig(secret.host, 'alice:pass-of-alice');
  assert.match(await pull(reference, 'app', { env }), /^(sha256:[0-9a-f]{12}: [^\n]+\n){2}$/);
  assert.equal(await said('app'), 'by the second layer\n');
  assert.deepEqual(spooled(), []);
  const again = await json(daemon, ['image', 'pull', reference, '--name', 'app'], { env });
  assert.equal(again.source, reference);
  wire.blobs();
  const other = await json(daemon, ['image', 'pull', `${wire.host}/app:1`, '--name', 'other'], { env });
  assert.equal(other.id, again.id);
  assert.equal(wire.blobs(), 1, 'layers that are here are not fetched, but the config');
  await remove('other');
  await remove('app');
});

leakless(daemon, 'needs a login, and says so', async () => {
  const reference = `${secret.host}/team/app:1`;
  const env = dockerConfig('elsewhere.example.com', 'alice:pass-of-alice');
  await complains(daemon, 1, /wants a login: hutch registry login 127\.0\.0\.1:/, ['image', 'pull', reference], { env });
  await complains(daemon, 1, new RegExp(`${reference}.*hutch registry login`), ['create', '--image', reference], { env });
  await complains(daemon, 1, /registry answered 401/, ['image', 'pull', reference], { env: dockerConfig(secret.host, 'alice:wrong') });
  await complains(daemon, 1, /the registry answered 404: manifest unknown/, ['image', 'pull', `${open.host}/app:none`]);
  await complains(daemon, 1, /"Not\/Good" is no reference/, ['image', 'pull', 'Not/Good']);
  await complains(daemon, 1, /--image: "a:b:c" is no reference/, ['create', '--image', 'a:b:c']);
});

leakless(daemon, 'keeps logins sealed, and shows no password', async () => {
  const login = ['registry', 'login', secret.host, '-u', 'alice'];
  await complains(daemon, 1, /the registry answered 401/, login, { input: 'wrong\n' });
  await output(daemon, login, { input: 'pass-of-alice\n' });
  assert.match(await output(daemon, ['registry', 'ls']), new RegExp(`^HOST +USER\n${secret.host} +alice\n$`));
  for (const name of fs.readdirSync(daemon.state).filter((file) => file.startsWith('hutch.db'))) {
    assert.ok(!fs.readFileSync(path.join(daemon.state, name)).includes('pass-of-alice'), name);
  }
  assert.ok(!daemon.log.join('\n').includes('pass-of-alice'));
  await pull(`${secret.host}/team/app:1`, 'app');
  assert.equal(await said('app'), 'by the second layer\n');
  await remove('app');
  await output(daemon, ['registry', 'logout', secret.host]);
  await complains(daemon, 1, /no login at/, ['registry', 'logout', secret.host]);
});

leakless(daemon, 'is named where a box is made, and fetched once for all who ask at a time', async () => {
  wire.blobs();
  const reference = `${wire.host}/app:1`;
  const boxes = await Promise.all(Array.from({ length: 6 }, () => daemon.box({ runtime: reference })));
  assert.equal(wire.blobs(), 3, 'two layers and a config');
  for (const box of boxes) {
    const { output: seen } = await box.exec(['sh', '-c', 'cat /srv/said; pwd; id -u; echo $APP']);
    assert.equal(seen, 'by the second layer\n/srv\n1000\nyes\n');
  }
  await (await daemon.box({ runtime: reference })).remove();
  assert.equal(wire.seen.length, 0);
  await daemon.removeAll();
  await remove(reference);
});

withCustomers(daemon, 'of a customer is seen and paid for by that one alone, where the operator lets it pull', async (alice, bob) => {
  const reference = `${wire.host}/app:1`;
  assert.match((await alice.ask('POST', '/v2/images/pull', { reference })).text, /hutch key limit alice --pull yes/);
  assert.equal((await alice.ask('POST', '/v2/box', { runtime: reference })).status, 403);
  await alice.limit({ pull: true });
  await bob.limit({ pull: true });
  const pulled = await alice.ask('POST', '/v2/images/pull', { reference, name: 'mine' });
  assert.match(pulled.text, /event: image\n/);
  assert.ok((await alice.json('GET', '/v2/images')).images.some(({ name }) => name === 'mine'));
  assert.ok(!(await bob.json('GET', '/v2/images')).images.some(({ name }) => name === 'mine'));
  assert.equal((await bob.ask('POST', '/v2/box', { runtime: 'mine' })).status, 400);
  assert.equal((await bob.ask('GET', '/v2/images/mine')).status, 404);
  assert.equal((await bob.ask('DELETE', '/v2/images/mine')).status, 404);
  wire.blobs();
  await bob.ask('POST', '/v2/images/pull', { reference, name: 'mine' });
  assert.equal(wire.blobs(), 3, "another customer's layers are no proof of what one may have");
  await alice.box({ runtime: 'mine' });
  assert.ok((await alice.limits()).disk_bytes.used > 500_000);
  await alice.limit({ disk_bytes: 1 });
  assert.match((await alice.ask('POST', '/v2/images/pull', { reference: `${open.host}/more:1` })).text, /disk_bytes: /);
  await alice.limit({ disk_bytes: 0, pull: false });
  await bob.limit({ pull: false });
  const boxes = await alice.json('GET', '/v2/box');
  await alice.json('DELETE', '/v2/box', { ids: boxes.map(({ id }) => id) });
  for (const customer of [alice, bob]) await customer.json('DELETE', '/v2/images/mine');
});

leakless(daemon, 'by a token that is asked for, and that goes to the registry alone', async () => {
  const elsewhere = [];
  const storage = http.createServer((request, response) => {
    elsewhere.push(request.headers);
    http.get(`http://${open.host}${request.url}`, (answered) => answered.pipe(response));
  }).listen(0, '127.0.0.1');
  await once(storage, 'listening');
  const tokens = new Before(open, (request, response, { url }) => {
    if (request.url.startsWith('/token?')) {
      const basic = request.headers.authorization === `Basic ${Buffer.from('alice:pass').toString('base64')}`;
      response.writeHead(basic ? 200 : 401).end(JSON.stringify({ token: 'the-token' }));
      return true;
    }
    if (request.headers.authorization !== 'Bearer the-token') {
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${url}/token",service="tests"` }).end();
      return true;
    }
    if (!request.url.includes('/blobs/')) return false;
    response.writeHead(307, { location: `http://127.0.0.1:${storage.address().port}${request.url}` }).end();
    return true;
  });
  await tokens.open();
  try {
    const reference = `${tokens.host}/app:1`;
    const asked = { reference, name: 'app', registry_login: { username: 'alice', password: 'pass' } };
    const { text } = await daemon.ask('POST', '/v2/images/pull', { body: asked });
    assert.match(text, /event: image\n/);
    assert.ok(!text.includes('"pass"'));
    assert.equal(tokens.seen.filter(({ url }) => url.startsWith('/token')).length, 1);
    assert.equal(elsewhere.length, 3);
    assert.ok(elsewhere.every(({ authorization }) => authorization === undefined));
    const wrong = { ...asked, registry_login: { username: 'alice', password: 'wrong' } };
    assert.match((await daemon.ask('POST', '/v2/images/pull', { body: wrong })).text, /event: error\n.*it refuses the login/s);
    await remove('app');
  } finally {
    tokens.close();
    storage.close();
    storage.closeAllConnections();
  }
});

leakless(daemon, 'of a customer does not come from addresses that trust this host', async () => {
  wire.blobs();
  const other = new Daemon({ tcp: true, images: false, name: `b${daemon.name.slice(0, 5)}`, args: ['--allow_pull'], network: '198.18.225.0/24' });
  try {
    await other.open();
    const carol = await Customer.make(other, 'carol');
    const { text } = await carol.ask('POST', '/v2/images/pull', { reference: `${wire.host}/app:1` });
    assert.match(text, /event: error\n.*it is at a private address, or one of this host's/s);
    assert.equal((await carol.ask('PUT', `${kSettings}/${wire.host}`, { username: 'carol', password: 'x' })).status, 409);
    assert.equal(wire.seen.length, 0);
    await carol.remove();
  } finally {
    await other.close();
  }
});

/// A wire on which the large blob stops after 4 MB until `go` is called; `ranges`: what was asked for of it.
async function stopping() {
  const ranges = [];
  let go = () => {};
  const stops = new Before(open, (request, response) => {
    if (!request.url.includes('/blobs/')) return false;
    const { authorization, ...headers } = request.headers;
    http.get(`http://${open.host}${request.url}`, { headers }, (answered) => {
      response.writeHead(answered.statusCode, answered.headers);
      if (Number(answered.headers['content-length']) < 6_000_000 && !request.headers.range) return answered.pipe(response);
      ranges.push(request.headers.range);
      if (ranges.length > 1) return answered.pipe(response);
      answered.once('data', function more(piece) {
        more.sent = (more.sent ?? 0) + piece.length;
        response.write(piece);
        if (more.sent < 4_000_000) answered.once('data', more);
        else answered.pause();
      });
      go = () => [response, answered].forEach((stream) => stream.destroy());
    });
    return true;
  });
  await stops.open();
  return { stops, ranges, breakOff: () => go() };
}
const partly = () => until('some of the blob is here', () => spooled().some((name) => fs.statSync(path.join(daemon.state, 'blobs', name)).size > 3_000_000));

leakless(daemon, 'is gone on with where it broke off, also by another daemon', async () => {
  const { stops, ranges, breakOff } = await stopping();
  try {
    const reference = `${stops.host}/large:1`;
    const pulling = daemon.ask('POST', '/v2/images/pull', { body: { reference, name: 'large' } }).catch(() => {});
    await partly();
    await daemon.end('SIGKILL');
    await pulling;
    breakOff();
    await daemon.launch();
    assert.match((await daemon.ask('POST', '/v2/images/pull', { body: { reference, name: 'large' } })).text, /event: image\n/);
    assert.match(ranges[1], /^bytes=[3-9]\d{6}-$/);
    assert.deepEqual(spooled(), []);
    await remove('large');
  } finally {
    stops.close();
  }
});

leakless(daemon, 'is given up with who asked for it, and leaves what it has for the next', async () => {
  const { stops, ranges, breakOff } = await stopping();
  try {
    const reference = `${stops.host}/large:1`;
    const { child, ended } = start(daemon, ['image', 'pull', reference, '--name', 'large']);
    await partly();
    child.kill('SIGINT');
    assert.notEqual((await ended).code, 0);
    breakOff();
    assert.ok(!(await daemon.json('GET', '/v2/images')).images.some(({ name }) => name === 'large'));
    await pull(reference, 'large');
    assert.match(ranges[1], /^bytes=[3-9]\d{6}-$/);
    assert.deepEqual(spooled(), []);
    await remove('large');
  } finally {
    stops.close();
  }
});
