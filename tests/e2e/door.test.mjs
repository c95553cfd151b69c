// The HTTP door itself: what is no HTTP, or could be read in two ways, is refused and its connection closed, while
// others are served.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { Clock } from './lib/clock.mjs';
import * as host from './lib/host.mjs';
import { RawConnection } from './lib/raw.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const clock = new Clock();
const kConnections = 20;
const kRequests = 40;
const kWrongKeys = 3;
const daemon = suite({
  tcp: true,
  env: clock.env,
  args: ['--connections_per_address', kConnections, '--requests_per_minute', kRequests, '--wrong_keys_per_minute', kWrongKeys].map(String),
});

const connect = () => new RawConnection(net.connect(daemon.socket));
const kGet = 'GET /v2 HTTP/1.1\r\n';
const kPost = 'POST /v2/box HTTP/1.1\r\nHost: x\r\n';
const kJson = (body) => `${kPost}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/// It must be refused with that status and a sentence about it, and nothing more must be served on its connection,
/// while a neighbour is served.
async function refuses(status, about, bytes) {
  const neighbour = connect();
  const connection = connect();
  connection.write(bytes);
  connection.write(`${kGet}Host: x\r\n\r\n`);
  const answers = await connection.finish();
  const what = JSON.stringify(bytes.toString('latin1').slice(0, 200));
  assert.equal(answers.length, 1, `${what}: ${JSON.stringify(answers)}`);
  assert.equal(answers[0].status, status, `${what}: ${answers[0].body}`);
  assert.match(JSON.parse(answers[0].body).error, about, what);
  neighbour.write(`${kGet}Host: x\r\nConnection: close\r\n\r\n`);
  assert.deepEqual((await neighbour.finish()).map((answer) => answer.status), [200]);
}

leakless(daemon, 'a request of one reading only', async () => {
  const length = (...values) => values.map((value) => `Content-Length: ${value}\r\n`).join('');
  for (const values of [['2', '3'], ['2', '2'], ['2, 2'], ['+2'], ['-1'], ['0x2'], ['2 2'], [''], ['99999999999999999999']]) {
    await refuses(400, /^Content-Length: /, `${kPost}${length(...values)}\r\n{}`);
  }
  await refuses(400, /^Content-Length: must not be there/, `${kPost}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
  await refuses(400, /^Content-Length: must not be there/, `${kPost}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n`);
  for (const value of ['gzip', 'gzip, chunked', 'chunked, chunked', 'xchunked', '"chunked"', 'identity', '']) {
    await refuses(400, /^Transfer-Encoding: /, `${kPost}Transfer-Encoding: ${value}\r\n\r\n0\r\n\r\n`);
  }
  await refuses(400, /^Transfer-Encoding: is there twice/, `${kPost}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);
});

leakless(daemon, 'one Host, and who asks said once', async () => {
  await refuses(400, /^Host: is required/, `${kGet}\r\n`);
  await refuses(400, /^Host: is there twice/, `${kGet}Host: a\r\nHost: b\r\n\r\n`);
  await refuses(400, /^Host: must be one/, `${kGet}Host: a, b\r\n\r\n`);
  await refuses(400, /^Host: must be one/, `${kGet}Host: me@b\r\n\r\n`);
  await refuses(400, /^X-Box-Api-Key: is there twice/, `${kGet}Host: a\r\nX-Box-Api-Key: a\r\nX-Box-Api-Key: b\r\n\r\n`);
  await refuses(400, /^Origin: is there twice/, `${kGet}Host: a\r\nOrigin:\r\nOrigin: http://b\r\n\r\n`);
});

leakless(daemon, 'lines and fields as they must be', async () => {
  await refuses(400, /CR and LF/, 'GET /v2 HTTP/1.1\nHost: x\n\n');
  await refuses(400, /CR and LF/, `${kGet}Host: x\nA: b\r\n\r\n`);
  await refuses(400, /CR and LF/, `${kGet}Host: x\rA: b\r\n\r\n`);
  await refuses(400, /second line/, `${kGet}Host: x\r\nA: b\r\n c\r\n\r\n`);
  await refuses(400, /second line/, `${kGet} Host: x\r\n\r\n`);
  for (const byte of ['\0', '\x01', '\x0b', '\x1b', '\x7f']) {
    await refuses(400, /control byte/, `${kGet}Host: x\r\nA: b${byte}c\r\n\r\n`);
  }
  await refuses(400, /control byte/, Buffer.from('16030100a5010000a10303', 'hex')); // TLS where there is none
  for (const field of ['A : b', ': b', 'A', 'A\tB: c', 'A(b): c', '\xe4: b']) {
    await refuses(400, /NAME: VALUE/, Buffer.from(`${kGet}Host: x\r\n${field}\r\n\r\n`, 'latin1'));
  }
  await refuses(400, /empty line/, `\r\n${kGet}Host: x\r\n\r\n`);
});

leakless(daemon, 'a request line as it must be', async () => {
  const host = 'Host: x\r\n\r\n';
  for (const target of ['http://x/v2/host', '*', 'x:80', 'v2/host', '?a']) {
    await refuses(400, /begin with '\/'/, `GET ${target} HTTP/1.1\r\n${host}`);
  }
  await refuses(400, /METHOD TARGET/, `GET  HTTP/1.1\r\n${host}`.replace('  ', ' '));
  await refuses(400, /escaped/, `GET /v2/ host HTTP/1.1\r\n${host}`);
  await refuses(400, /escaped/, Buffer.from(`GET /v2/\xff HTTP/1.1\r\n${host}`, 'latin1'));
  await refuses(400, /word/, `G(T /v2/host HTTP/1.1\r\n${host}`);
  for (const version of ['HTTP/1.2', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.1 ', 'HTTP/11']) {
    await refuses(505, /HTTP\/1\.1/, `GET /v2 ${version}\r\n${host}`);
  }
  await refuses(505, /HTTP\/1\.1/, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  await refuses(417, /^Expect: /, `${kPost}Expect: the moon\r\nContent-Length: 2\r\n\r\n{}`);
});

leakless(daemon, 'heads of bounded size', async () => {
  await refuses(431, /16384 bytes/, `${kGet}Host: x\r\nA: ${'b'.repeat(17_000)}\r\n\r\n`);
  await refuses(431, /16384 bytes/, `GET /${'b'.repeat(17_000)}`); // without an end
  await refuses(431, /more than 100/, `${kGet}Host: x\r\n${'A: b\r\n'.repeat(100)}\r\n`);
  const connection = connect();
  connection.write(`${kGet}Host: x\r\nConnection: close\r\n${'A: b\r\n'.repeat(98)}\r\n`);
  assert.deepEqual((await connection.finish()).map((answer) => answer.status), [200]);
});

leakless(daemon, 'chunks as they must be', async () => {
  const chunked = (body) => `${kPost}Transfer-Encoding: chunked\r\n\r\n${body}`;
  for (const body of ['x\r\n{}\r\n0\r\n\r\n', '-1\r\n', '\r\n', ' 2\r\n{}\r\n0\r\n\r\n', '2\r\n{}0\r\n\r\n', '0x2\r\n{}\r\n0\r\n\r\n',
    '10000000000000002\r\n{}\r\n0\r\n\r\n', '2;"\r\n{}\r\n0\r\n\r\n', '2 \r\n{}\r\n0\r\n\r\n', '2\n{}\n0\n\n', '2\r\n{}\r\n0\r\nbad\r\n\r\n']) {
    await refuses(400, /^body: /, chunked(body));
  }
  await refuses(400, /^body: /, chunked(`2;${'a'.repeat(400_000)}`)); // an extension without an end
  await refuses(400, /^body: /, chunked(`2\r\n{}\r\n0\r\n${'A: b\r\n'.repeat(60_000)}`)); // trailers without an end
  await refuses(413, /^body: larger/, chunked('fffffff\r\n' + ' '.repeat(2_000_000)));
});

leakless(daemon, 'JSON of bounded depth, and numbers and text as they must be', async () => {
  const box = await daemon.box();
  const ask = (text) => daemon.ask('POST', `${box.path}/exec`, { body: text });
  for (const [about, text] of [
    [/deeper than 64/, '['.repeat(500_000)],
    [/deeper than 64/, `{"command":${'[{"a":'.repeat(40)}`],
    [/100000 values/, `{"command":[${'0,'.repeat(200_000)}0]}`],
    [/^body: not valid JSON/, '{"command":["true"],"timeout":1e400}'],
    [/^body: not valid JSON/, `{"command":["true"],"timeout":${'9'.repeat(400)}}`],
    [/^timeout: /, '{"command":["true"],"timeout":18446744073709551617}'],
    [/^timeout: /, '{"command":["true"],"timeout":18446744073709551615}'],
    [/^timeout: /, '{"command":["true"],"timeout":-9223372036854775808}'],
    [/^body: not valid JSON/, Buffer.from('{"command":["\xff\xfe"]}', 'latin1')],
    [/^body: not valid JSON/, Buffer.from('{"command":["\xed\xa0\x80"]}', 'latin1')],
    [/^body: not valid JSON/, '{"command":["\\ud800"]}'],
    [/^body: not valid JSON/, '{"command":["a\nb"]}'],
    [/^body: not valid JSON/, '{"command":["a"]} {}'],
    [/^body: must be a JSON object/, '[]'],
  ]) {
    const { status, json } = await ask(text);
    assert.deepEqual([status, about.test(json.error)], [400, true], `${text.toString().slice(0, 100)}: ${json.error}`);
  }
});

leakless(daemon, 'an answer of unknown length to HTTP/1.0 ends with its connection', async () => {
  const box = await daemon.box();
  const body = JSON.stringify({ command: ['echo', 'hello'] });
  const connection = connect();
  connection.write(`POST ${box.path}/exec-stream HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  const [{ status, body: output }] = await connection.finish();
  assert.equal(status, 200);
  assert.match(output, /^hello\nevent: exit\ndata: \{.*\}\n\n$/);
});

leakless(daemon, 'requests one behind another are answered in turn', async () => {
  const connection = connect();
  const body = '{"labels":[5]}';
  connection.write(`${kGet}Host: x\r\n\r\n${kJson(body)}`);
  connection.write(`${kPost}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)};a=b\r\n${body}\r\n0\r\nA: b\r\n\r\n`);
  connection.write(`${kGet}Host: x\r\nConnection: close\r\n\r\n`);
  assert.deepEqual((await connection.finish()).map((answer) => answer.status), [200, 400, 400, 200]);
});

const pass = (seconds) => clock.pass(seconds, daemon);
/// The daemon has read what was written before.
const taken = () => pass(0);
/// What a connection of the daemon's was told until it was closed, as it must be by now.
const statuses = async (connection) => (await connection.finish()).map((answer) => answer.status);

leakless(daemon, 'who sends no request is left after two minutes, and not before', async () => {
  const fresh = connect();
  const used = connect();
  used.write(`${kGet}Host: x\r\n\r\n`);
  await taken();
  await pass(80);
  fresh.write(`${kGet}Host: x\r\n\r\n`);
  await taken();
  await pass(80);
  assert.deepEqual(await statuses(used), [200]);
  fresh.write(`${kGet}Host: x\r\n\r\n`);
  await taken();
  await pass(121);
  assert.deepEqual(await statuses(fresh), [200, 200]);
});

leakless(daemon, 'a head must be whole in time, however often a byte of it comes', async () => {
  const slow = connect();
  slow.write('GET ');
  await taken();
  await pass(8);
  slow.write('/v2 HTTP/1.1\r\n');
  await taken();
  await pass(8);
  const [{ status, body }] = await slow.finish();
  assert.deepEqual([status, JSON.parse(body)], [408, { error: 'request: its head was not whole after 15 seconds' }]);
});

leakless(daemon, 'a body must come at a pace', async () => {
  const size = 100_000;
  const head = `${kPost}Connection: close\r\nContent-Length: ${size}\r\n\r\n`;
  const [silent, dribbling, steady] = [connect(), connect(), connect()];
  for (const connection of [silent, dribbling, steady]) connection.write(head);
  await taken();
  for (let piece = 0; piece < 2; ++piece) {
    await pass(45);
    dribbling.write('{');
    steady.write(' '.repeat(size / 2));
    await taken();
  }
  assert.deepEqual(await statuses(steady), [400]); // all of it came: it is no JSON
  for (const connection of [silent, dribbling]) {
    const [{ status, body }] = await connection.finish();
    assert.deepEqual([status, /^body: came too slowly/.test(JSON.parse(body).error)], [408, true], body);
  }
});

leakless(daemon, 'who does not read its answer is left, and nobody waits for it meanwhile', async () => {
  const box = await daemon.box();
  // More than the kernel takes for a client that does not read, and where nothing changes beneath tar, which would end.
  await box.sh("mkdir d; head -c 67108864 /dev/zero | tr '\\0' a > /workspace/home/d/large");
  const stalled = [];
  const stall = (head) => {
    const socket = net.connect(daemon.port, '127.0.0.1').pause();
    socket.write(`${head}Host: x\r\nX-Box-Api-Key: ${daemon.key}\r\n`);
    stalled.push(socket);
    return socket;
  };
  for (let i = 0; i < 6; ++i) {
    stall(`GET ${box.path}/files/download?folder=d/large HTTP/1.1\r\n`).write('\r\n');
  }
  stall(`GET ${box.path}/files/read?path=d/large HTTP/1.1\r\n`).write('\r\n');
  stall(`GET ${box.path}/files/download?folder=d HTTP/1.1\r\n`).write('\r\n');
  stall(`GET ${box.path}/diff?format=tar HTTP/1.1\r\n`).write('\r\n');
  const body = JSON.stringify({ command: ['yes'] });
  stall(`POST ${box.path}/exec-stream HTTP/1.1\r\n`).write(`Content-Length: ${body.length}\r\n\r\n${body}`);
  for (const socket of stalled) await once(socket, 'readable'); // each has begun to be answered
  await box.write('small', 'x');
  assert.equal(await box.read('small'), 'x');
  assert.deepEqual(await box.sh('echo hello'), 'hello');
  await pass(200);
  assert.ok(host.connections(daemon.socket, daemon.port) >= stalled.length, 'none is left before its time');
  // More than once, since the kernel may have taken some more of an answer after the first time.
  await until('they are left', async () => {
    await pass(301);
    return host.connections(daemon.socket, daemon.port) === 0;
  });
  for (const socket of stalled) socket.destroy();
});

leakless(daemon, 'a terminal whose client answers nothing is left', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'echo ready; exec sleep 100000'], tty: true });
  await session.until(/ready/);
  for (let pings = 0; pings < 3; ++pings) await pass(151);
  await until('it is left', () => host.connections(daemon.socket) === 0);
  session.abandon();
});

const connectTcp = () => new RawConnection(net.connect(daemon.port, '127.0.0.1'));
const get = (key, more = '') => `${kGet}Host: x\r\n${key === undefined ? '' : `X-Box-Api-Key: ${key}\r\n`}${more}\r\n`;
/// Asks over TCP, so many times on one connection.
async function asks(key, times = 1) {
  const connection = connectTcp();
  connection.write(get(key).repeat(times - 1) + get(key, 'Connection: close\r\n'));
  return connection.finish();
}

leakless(daemon, 'one address has so many connections, and a new one when one of them goes', async () => {
  const open = [];
  for (let i = 0; i < kConnections; ++i) open.push(net.connect(daemon.port, '127.0.0.1'));
  for (const socket of open) await once(socket, 'connect');
  await taken();
  const another = connectTcp();
  assert.deepEqual(await statuses(another), []);
  assert.equal((await daemon.ask('GET', '/v2')).status, 200, 'who asks over the socket has no share in it');
  open.pop().destroy();
  await taken();
  assert.deepEqual((await asks(daemon.key)).map(({ status }) => status), [200]);
  for (const socket of open) socket.destroy();
});

leakless(daemon, 'one key sends so many requests a minute, and others send theirs', async () => {
  await pass(60);
  const { key } = await daemon.json('POST', '/v2/keys', { name: 'other' }, 201);
  const answers = await asks(daemon.key, kRequests + 1);
  const refused = answers.pop();
  assert.ok(answers.every(({ status }) => status === 200));
  assert.equal(refused.status, 429);
  assert.match(JSON.parse(refused.body).error, /^requests: more than this key/);
  assert.equal(refused.headers['retry-after'], '2');
  assert.deepEqual((await asks(key)).map(({ status }) => status), [200]);
  await pass(2);
  assert.deepEqual((await asks(daemon.key)).map(({ status }) => status), [200]);
  await daemon.json('DELETE', '/v2/keys/other');
});

leakless(daemon, 'who guesses keys is refused without a look at the next, beside who has shown one', async () => {
  await pass(60);
  const known = connectTcp();
  known.write(get(daemon.key));
  await taken();
  const guesses = await asks('x'.repeat(32), kWrongKeys + 1);
  assert.deepEqual(guesses.map(({ status }) => status), [401, 401, 401, 429]);
  assert.equal(guesses.at(-1).headers['retry-after'], '20');
  const [{ status, body }] = await asks(daemon.key);
  assert.deepEqual([status, /^X-Box-Api-Key: too many wrong ones/.test(JSON.parse(body).error)], [429, true]);
  known.write(get(daemon.key, 'Connection: close\r\n'));
  assert.deepEqual(await statuses(known), [200, 200]);
  await pass(20);
  assert.deepEqual((await asks(daemon.key)).map(({ status }) => status), [200]);
});
