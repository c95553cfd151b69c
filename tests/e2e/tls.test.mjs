// The TCP port by TLS.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { after } from 'node:test';
import tls from 'node:tls';
import { Certificate } from './lib/certificate.mjs';
import { Clock } from './lib/clock.mjs';
import { complains, hutch, json, output, start, Terminal } from './lib/command.mjs';
import * as host from './lib/host.mjs';
import { RawConnection } from './lib/raw.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';
import { Session } from './lib/websocket.mjs';

needs('openssl', 'script');
const directory = fs.mkdtempSync('/var/tmp/hutch-tls-');
after(() => fs.rmSync(directory, { recursive: true }));
const clock = new Clock();
const certificate = new Certificate(directory);
const daemon = suite({ tcp: true, args: certificate.args, env: clock.env });

const address = () => ({ host: '127.0.0.1', port: daemon.port, ca: certificate.pem });
const connect = async (options) => {
  const socket = tls.connect({ ...address(), ...options });
  await once(socket, 'secureConnect');
  return socket;
};

/// The answer to a request, its head there.
async function open(method, path, { body, ...options } = {}) {
  const request = https.request({ ...address(), method, path, headers: { 'x-box-api-key': daemon.key }, agent: false, ...options });
  const answered = Promise.race([once(request, 'response'), once(request, 'upgrade')]);
  request.end(body);
  return answered;
}

async function ask(method, path, options) {
  const [response] = await open(method, path, options);
  const pieces = [];
  for await (const piece of response) pieces.push(piece);
  return { status: response.statusCode, bytes: Buffer.concat(pieces) };
}

const gone = () => until('the connection is closed', () => host.connections(daemon.socket, daemon.port) === 0);

leakless(daemon, 'calls, streams and files both ways', async () => {
  const box = await daemon.box();
  const answer = await ask('POST', `${box.path}/exec`, { body: JSON.stringify({ command: ['echo', 'hello'] }) });
  assert.equal(JSON.parse(answer.bytes).output, 'hello\n');
  const stream = await ask('POST', `${box.path}/exec-stream`, { body: JSON.stringify({ command: ['sh', '-c', 'head -c 5000000 /dev/zero'] }) });
  assert.ok(stream.bytes.subarray(0, 5_000_000).every((byte) => byte === 0));
  assert.match(stream.bytes.subarray(5_000_000).toString(), /^event: exit\n/);
  const content = crypto.randomBytes(3_000_000);
  const written = await ask('POST', `${box.path}/files/write`, {
    body: JSON.stringify({ path: 'f', content: content.toString('base64'), encoding: 'base64' }),
  });
  assert.equal(written.status, 200, written.bytes.toString());
  assert.deepEqual((await ask('GET', `${box.path}/files/download?folder=f`)).bytes, content);
  const refused = await ask('GET', '/v2/box', { headers: { 'x-box-api-key': 'x'.repeat(32) } });
  assert.equal(refused.status, 401);
});

leakless(daemon, 'one connection for many requests, by TLS 1.2 and 1.3 and nothing older', async () => {
  for (const [version, name] of [['TLSv1.2', 'TLSv1.2'], ['TLSv1.3', 'TLSv1.3']]) {
    const socket = await connect({ minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), name);
    const connection = new RawConnection(socket);
    const request = `GET /v2 HTTP/1.1\r\nHost: x\r\nX-Box-Api-Key: ${daemon.key}\r\n`;
    connection.write(`${request}\r\n${request}\r\n`);
    connection.write(`${request}Connection: close\r\n\r\n`);
    assert.deepEqual((await connection.finish()).map(({ status }) => status), [200, 200, 200]);
  }
  const old = tls.connect({ ...address(), minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
  const [error] = await once(old, 'error');
  assert.match(error.code, /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/);
});

leakless(daemon, 'a terminal', async () => {
  const box = await daemon.box();
  const headers = { 'x-box-api-key': daemon.key, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
    'sec-websocket-key': crypto.randomBytes(16).toString('base64') };
  const [, socket, head] = await open('GET', `${box.path}/exec-tty`, { headers });
  const session = new Session(socket, head);
  session.text({ command: ['sh', '-c', 'read line; echo "got $line"; head -c 300000 /dev/zero | tr "\\0" x; echo; echo over; read line; exit 3'], tty: true });
  session.input('hello\n');
  await session.until(/got hello/);
  await session.until(/over/);
  session.input('bye\n');
  assert.equal((await session.finish()).exit_code, 3);
  assert.equal(session.output.match(/x/g).length, 300_000);
});

leakless(daemon, 'a client that goes away is noticed, politely or not', async () => {
  for (const leave of [(response) => response.socket.destroy(), (response) => response.socket.end()]) {
    const [response] = await open('GET', '/v2/events?follow=1');
    assert.equal(response.statusCode, 200);
    leave(response);
    await gone();
  }
});

leakless(daemon, 'who does not speak TLS, or not to its end, is left', async () => {
  const plain = new RawConnection(net.connect(daemon.port, '127.0.0.1'));
  plain.write('GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n');
  await plain.closed;
  assert.doesNotMatch(plain.text, /HTTP/);
  const silent = new RawConnection(net.connect(daemon.port, '127.0.0.1'));
  await once(silent.socket, 'connect');
  silent.write(Buffer.from('1603010200', 'hex'));
  await clock.pass(0, daemon);
  await clock.pass(16, daemon);
  await silent.closed;
});

leakless(daemon, 'a new certificate at SIGHUP, for the connections to come', async () => {
  const before = await connect();
  assert.equal(before.getPeerCertificate().subject.CN, 'hutch');
  const said = async (text) => {
    const old = daemon.log.length;
    daemon.process.kill('SIGHUP');
    await until(text, () => daemon.log.slice(old).some((line) => line.includes(text)));
  };
  fs.writeFileSync(certificate.certificate, 'no certificate');
  await said('holds no certificate as PEM');
  (await connect()).destroy();
  const renewed = new Certificate(directory, 'renewed');
  await said('read anew');
  const later = await connect({ ca: renewed.pem });
  assert.equal(later.getPeerCertificate().subject.CN, 'renewed');
  later.destroy();
  const connection = new RawConnection(before);
  connection.write(`GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Box-Api-Key: ${daemon.key}\r\n\r\n`);
  assert.deepEqual((await connection.finish()).map(({ status }) => status), [200]);
  certificate.pem = renewed.pem;
});

// --- the hutch command ---

const url = (name = '127.0.0.1') => `https://${name}:${daemon.port}`;
const secure = (more) => ({ env: { HUTCH_HOST: url(), HUTCH_API_KEY: daemon.key, HUTCH_CA_FILE: certificate.certificate, ...more } });

/// A web server of the test's own on some port, until the test ends.
async function serve(context, server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close() && server.closeAllConnections());
  return server.address().port;
}

leakless(daemon, 'hutch over https: calls, streams and files both ways', async () => {
  const box = await daemon.box({ name: 'web' });
  assert.deepEqual((await json(daemon, ['ls'], secure())).map(({ id }) => id), [box.id]);
  const named = ['--host', url(), '--ca-file', certificate.certificate, 'ls', '--json'];
  assert.equal(JSON.parse(await output(daemon, named, { env: { HUTCH_API_KEY: daemon.key } })).length, 1);
  const ended = await hutch(daemon, ['exec', 'web', '--', 'sh', '-c', 'echo out; exit 4'], secure());
  assert.deepEqual([ended.code, ended.stdout, ended.stderr], [4, 'out\n', '']);
  const content = crypto.randomBytes(3_000_000);
  const echoed = await hutch(daemon, ['exec', '-i', 'web', '--', 'cat'], { ...secure(), input: content });
  assert.equal(echoed.code, 0, echoed.stderr);
  assert.ok(echoed.bytes.equals(content));
  const file = `${directory}/content`;
  fs.writeFileSync(file, content);
  await output(daemon, ['cp', file, 'web:f'], secure());
  await output(daemon, ['cp', 'web:f', `${file}.back`], secure());
  assert.ok(fs.readFileSync(`${file}.back`).equals(content));
  await complains(daemon, 1, /key/, ['ls'], secure({ HUTCH_API_KEY: 'x'.repeat(32) }));
});

leakless(daemon, 'hutch over https: an upload is sent no further than its refusal', async (context) => {
  const refusing = https.createServer(certificate.server, (request, response) => {
    request.resume();
    response.writeHead(507).end('{"error":"no room"}');
  });
  const env = secure({ HUTCH_HOST: `https://127.0.0.1:${await serve(context, refusing)}` });
  const { child, ended } = start(daemon, ['cp', '-', 'web:f'], { ...env, open: true });
  const more = () => child.stdin.write(Buffer.alloc(1 << 16), (failed) => !failed && more());
  more();
  const { code, stderr } = await ended;
  assert.deepEqual([code, stderr], [1, 'hutch: copying standard input: no room\n']);
});

leakless(daemon, 'hutch over https: terminals, attach and followed events', async () => {
  await daemon.box({ name: 'web' });
  const script = 'read line; echo "got <$line>"; head -c 300000 /dev/zero | tr "\\0" x; echo; echo ov""er; read line; exit 3';
  const terminal = new Terminal(daemon, ['exec', '-it', 'web', '--', 'sh', '-c', script], secure());
  terminal.type('hello\n');
  await terminal.until(/got <hello>/);
  await terminal.until(/over/);
  terminal.type('bye\n');
  const { code, output: shown } = await terminal.finish();
  assert.equal(code, 3, shown);
  assert.equal(shown.match(/x/g).length, 300_000);
  const run = (await output(daemon, ['exec', '-d', 'web', '--', 'sh', '-c', 'echo started; exit 6'], secure())).trim();
  const attached = await hutch(daemon, ['attach', 'web', run], secure());
  assert.deepEqual([attached.code, attached.stdout], [6, 'started\n'], attached.stderr);
  const following = start(daemon, ['events', '--follow', '--json'], secure());
  await once(following.child.stdout, 'data');
  following.child.kill('SIGTERM');
  await following.ended;
  await gone();
});

leakless(daemon, 'hutch over https: the name is the certificate\'s, told to the server, and signed for by the issuer', async (context) => {
  const [signer, server] = ['signer', 'server'].map((name) => fs.mkdtempSync(`${directory}/${name}-`));
  const issuer = new Certificate(signer, 'issuer');
  const shown = new Certificate(server, 'server', { names: 'DNS:localhost', issuer });
  const asked = [];
  const answering = https.createServer(shown.server, (request, response) => {
    asked.push([request.socket.servername, request.headers.host, request.headers['x-box-api-key']]);
    response.end('[]');
  });
  const port = await serve(context, answering);
  const env = secure({ HUTCH_HOST: `https://localhost:${port}`, HUTCH_CA_FILE: issuer.certificate });
  assert.deepEqual(await json(daemon, ['ls'], env), []);
  assert.deepEqual(asked, [['localhost', `localhost:${port}`, daemon.key]]);
});

leakless(daemon, 'hutch over https: the issuers are the system\'s, or instead of them those of the CA file', async () => {
  const known = { SSL_CERT_FILE: certificate.certificate };  // where OpenSSL looks for the system's
  assert.deepEqual(await json(daemon, ['ls'], secure({ ...known, HUTCH_CA_FILE: '' })), []);
  const other = new Certificate(fs.mkdtempSync(`${directory}/other-`));
  await complains(daemon, 1, /issuer not known/, ['ls'], secure({ ...known, HUTCH_CA_FILE: other.certificate }));
});

leakless(daemon, 'hutch over https: whom it does not trust it tells nothing', async (context) => {
  const refused = async (about, more, args = ['ls']) => complains(daemon, args[0] === 'exec' ? 125 : 1, about, args, secure(more));
  for (const args of [['ls'], ['exec', '-i', 'web', '--', 'cat'], ['cp', '/etc/hostname', 'web:f']]) {
    await refused(/certificate at https:\S+ is of an issuer not known here; --ca-file or HUTCH_CA_FILE/, { HUTCH_CA_FILE: '' }, args);
    await refused(/certificate at https:\S+ is not for "localhost"/, { HUTCH_HOST: url('localhost') }, args);
  }
  const other = new Certificate(fs.mkdtempSync(`${directory}/other-`));
  await refused(/issuer not known/, { HUTCH_CA_FILE: other.certificate });
  await refused(/issuer not known/, {}, ['--ca-file', other.certificate, 'ls']);
  other.expire();
  const expired = await serve(context, https.createServer(other.server));
  await refused(/has expired/, { HUTCH_HOST: `https://127.0.0.1:${expired}`, HUTCH_CA_FILE: other.certificate });
  await refused(/CA file \/nowhere\.pem: No such file/, { HUTCH_CA_FILE: '/nowhere.pem' });
  await refused(/CA file \S+ holds no certificate/, { HUTCH_CA_FILE: certificate.key });
});

leakless(daemon, 'hutch over https where http is spoken, and the other way round', async (context) => {
  const port = await serve(context, http.createServer((request, response) => response.end('[]')));
  for (const [code, args] of [[1, ['ls']], [125, ['exec', '-i', 'web', '--', 'cat']]]) {
    await complains(daemon, code, /does not speak TLS.*http:/, args, secure({ HUTCH_HOST: `https://localhost:${port}` }));
    await complains(daemon, code, /broke .* off.*https:/, args, secure({ HUTCH_HOST: daemon.url }));
  }
});

leakless(daemon, 'a daemon that cannot use its certificate does not start, and says why', async () => {
  const starts = (args) => {
    const elsewhere = fs.mkdtempSync(`${directory}/state-`);
    const run = spawnSync(process.env.HUTCHD, ['--state_dir', elsewhere, '--run_dir', elsewhere, '--socket', `${elsewhere}/s`, '--name', 'etls', ...args],
      { encoding: 'utf8', timeout: 20_000 });
    assert.equal(run.status, 1, run.stderr);
    return run.stderr;
  };
  const listen = ['--listen', `127.0.0.1:${daemon.port}`];
  const with_files = (pem, key) => starts([...listen, '--tls_certificate', pem, '--tls_key', key]);
  const { certificate: pem, key } = certificate;
  assert.match(starts([...listen, '--tls_certificate', pem]), /tls_key: is required/);
  assert.match(starts([...listen, '--tls_key', key]), /tls_certificate: is required/);
  assert.match(starts(['--tls_certificate', pem, '--tls_key', key]), /listen: is required/);
  assert.match(with_files('/nowhere.pem', key), /tls_certificate: .*\/nowhere\.pem: No such file/);
  assert.match(with_files(pem, '/nowhere.pem'), /tls_key: .*\/nowhere\.pem: No such file/);
  assert.match(with_files(pem, pem), /tls_key: .*(open to others|holds no key)/);
  fs.mkdirSync(`${directory}/other`);
  const other = new Certificate(`${directory}/other`);
  assert.match(with_files(pem, other.key), /tls_key: .* of the certificate in/);
  fs.chmodSync(other.key, 0o644);
  assert.match(with_files(other.certificate, other.key), /tls_key: .* is open to others; chmod 600 it/);
});
