// Public URLs: what comes by them reaches a server in the box, and nothing else does.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import { after } from 'node:test';
import { promisify } from 'node:util';
import { Box } from './lib/box.mjs';
import { Certificate } from './lib/certificate.mjs';
import { Clock } from './lib/clock.mjs';
import { complains, json, output } from './lib/command.mjs';
import { withCustomers } from './lib/customer.mjs';
import { gitImage } from './lib/git-image.mjs';
import { freePort } from './lib/daemon.mjs';
import { echoes, endServer, serve, Url } from './lib/preview.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('curl', 'git', 'ldd', 'openssl');
const kIdleTimeout = 1800; // the default
const directory = fs.mkdtempSync('/var/tmp/hutch-previews-');
after(() => fs.rmSync(directory, { recursive: true }));
const clock = new Clock();
const port = await freePort();
const daemon = suite({ tcp: true, env: clock.env, import: { node: gitImage(directory, { node: true }) }, args: ['--preview_listen', `0.0.0.0:${port}`] });
daemon.args[daemon.args.indexOf('--default_image') + 1] = 'node';
const run = promisify(execFile);
const curl = async (...args) => (await run('curl', ['-sS', '--noproxy', '*', ...args], { maxBuffer: 1 << 20 })).stdout;

const pause = (box) => daemon.json('POST', `${box.path}/pause`);
const remove = (box, which) => daemon.json('DELETE', `${box.path}/preview/${which}`);
const list = async (box) => (await daemon.json('GET', `${box.path}/preview`)).previews;

/// A box with a server on port 3000, published.
async function served(wish, options) {
  const box = await daemon.box();
  await serve(box, 3000, options);
  return { box, url: await Url.make(box, 3000, wish) };
}

async function restart(signal = 'SIGKILL') {
  await daemon.end(signal);
  await daemon.launch();
}

leakless(daemon, 'a port is published, listed and taken back', async () => {
  const { box, url } = await served();
  assert.deepEqual(url.made, { url: `http://${box.id}-3000.localhost:${port}`, port: 3000 });
  const [listed] = await list(box);
  const { id, created_at: at, ...rest } = listed;
  assert.deepEqual(rest, { port: 3000, url: url.made.url, basic_auth: false, bearer_token: false });
  assert.match(id, /^[a-z0-9]+$/);
  assert.ok(Math.abs(at - clock.now()) < 60);
  assert.equal((await url.ask('/echo')).status, 200);
  assert.deepEqual(await remove(box, 3000), {});
  assert.deepEqual(await list(box), []);
  await url.refuses(404, /not published/);
  await daemon.refuses(404, /port 3000 of box/, 'DELETE', `${box.path}/preview/3000`);
  await daemon.refuses(400, /port/, 'DELETE', `${box.path}/preview/many`);
});

leakless(daemon, 'servers on 127.0.0.1, on all addresses and on the box\'s own are reached', async () => {
  const box = await daemon.box();
  const own = (await box.sh("ip -4 addr show eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p'")).trim();
  for (const [at, address] of [[3000, '127.0.0.1'], [3001, '0.0.0.0'], [3002, own]]) {
    await serve(box, at, { address });
    const url = await Url.make(box, at);
    assert.equal((await url.ask('/echo')).json.url, '/echo', address);
  }
  assert.equal((await list(box)).length, 3);
});

leakless(daemon, 'a name is read in any case and with a dot at its end, and curl finds it by itself', async () => {
  const { box, url } = await served();
  for (const host of [url.host.toUpperCase(), `${box.id}-3000.localhost.`, `${box.id}-3000.localhost`]) {
    assert.equal((await url.ask('/echo', { headers: { host } })).status, 200, host);
  }
  assert.match(await curl(`${url.made.url}/echo`), /"method":"GET"/);
  for (const host of ['localhost', '127.0.0.1', `${box.id}.localhost`, `${box.id}-3000.example.com`, `a.${box.id}-3000.localhost`, `${box.id}-03000.localhost`,
    `${box.id}-70000.localhost`, `${box.id}-3000.localhost:0`, `${box.id}-3001.localhost`, 'nobody-3000.localhost', `x${url.host}`]) {
    await url.refuses(404, /There is nothing here/, '/echo', { headers: { host } });
  }
});

leakless(daemon, 'a request comes with its host and its way, without what is between client and proxy', async () => {
  const { url } = await served();
  const { json } = await url.ask('/echo?a=%2F&b', { method: 'PUT', body: 'four', headers: { 'X-Forwarded-For': '1.2.3.4', 'X-Forwarded-Port': '1', Forwarded: 'for=1.2.3.4', 'X-Real-IP': '1.2.3.4',
    'X-Forwarded-Host': 'evil', Connection: 'keep-alive, X-Mine', 'X-Mine': 'x', 'Proxy-Authorization': 'Basic eDp5', TE: 'trailers', 'X-Box-Api-Key': daemon.key, Cookie: 'a=b', 'X-Other': 'kept' } });
  assert.equal(json.url, '/echo?a=%2F&b');
  const fields = Object.fromEntries(json.headers.map((each, i) => [each, json.headers[i + 1]]).filter((_, i) => i % 2 === 0).map(([name, value]) => [name.toLowerCase(), value]));
  const { host, 'content-length': length, ...rest } = fields;
  assert.equal(host, url.host);
  assert.equal(length, '4');
  assert.deepEqual(rest, { cookie: 'a=b', 'x-other': 'kept', 'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': url.host, connection: 'close' });
  assert.deepEqual([json.method, json.bytes], ['PUT', 4]);
});

leakless(daemon, 'an answer of every framing comes whole, one after the other on one connection', async () => {
  const { url } = await served();
  const connection = await url.raw(['length', 'chunks', 'end'].map((how) => `GET /zeros?bytes=200000&how=${how} HTTP/1.1\r\nHost: HOST\r\n\r\n`).join('') + 'HEAD /zeros?bytes=5&how=length HTTP/1.1\r\nHost: HOST\r\n\r\n'
    + 'GET /early HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n');
  await connection.closed;
  assert.equal(connection.text.match(/HTTP\/1\.1 /g).length, 5);
  assert.equal(connection.text.match(/\0/g).length, 600_000);
  assert.match(connection.text, /Content-Length: 5\r\n/i);
  assert.match(connection.text, /413 .*too large/s);
  const old = await url.raw('GET /zeros?bytes=200000&how=chunks HTTP/1.0\r\nHost: HOST\r\n\r\n');
  await old.closed;
  assert.match(old.text, /^HTTP\/1\.0 200 /);
  assert.equal(old.text.split('\r\n\r\n')[1].length, 200_000);
});

leakless(daemon, 'a WebSocket goes both ways, and ends with either side', async () => {
  const { box, url } = await served();
  const session = await url.webSocket();
  await echoes(session);
  await echoes(session, 'x'.repeat(50_000));
  session.socket.destroy();
  const other = await url.webSocket();
  await echoes(other);
  await endServer(box, 3000);
  assert.equal(await other.finish(), 'hello', 'its connection has ended');
});

leakless(daemon, 'events come as they are sent, a long poll when it is answered, and who leaves is missed', async () => {
  const { url } = await served();
  const events = await url.open('/events');
  assert.equal(events.headers['content-type'], 'text/event-stream');
  const pieces = events[Symbol.asyncIterator]();
  assert.match((await pieces.next()).value.toString(), /event: first/);
  await url.says('1', '/event');
  assert.match((await pieces.next()).value.toString(), /event: next/);
  events.destroy();
  await until('the server knows', async () => (await url.ask('/event')).text === '0');
  const poll = url.ask('/poll');
  await until('it waits', async () => (await url.ask('/release')).text === '1');
  assert.equal((await poll).text, 'released');
  const before = Number((await url.ask('/gone')).text);
  const left = await url.raw('GET /poll HTTP/1.1\r\nHost: HOST\r\n\r\n');
  await until('it waits', async () => (await url.ask('/polls')).text === '1');
  left.socket.destroy();
  await until('the server knows', async () => Number((await url.ask('/gone')).text) > before);
});

leakless(daemon, '100 MB go in and out by curl, and the daemon holds none of it', async () => {
  const { url } = await served();
  const file = `${directory}/large`;
  const content = crypto.randomBytes(100_000_000);
  fs.writeFileSync(file, content);
  const peak = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8'))[1]);
  const before = peak();
  const sha256 = crypto.createHash('sha256').update(content).digest('hex');
  for (const how of [['-T', file], ['-T', file, '-H', 'Transfer-Encoding: chunked'], ['-T', file, '-H', 'Expect: 100-continue']]) {
    assert.deepEqual(JSON.parse(await curl(...how, `${url.made.url}/upload`)), { bytes: 100_000_000, sha256 });
  }
  for (const how of ['length', 'chunks', 'end']) {
    await curl('-o', file, `${url.made.url}/zeros?bytes=100000000&how=${how}`);
    assert.equal(fs.statSync(file).size, 100_000_000, how);
  }
  assert.ok(peak() - before < 16 * 1024, `${peak() - before} KiB more`);
});

leakless(daemon, 'who reads slowly holds up the server, not the daemon', async () => {
  const { url } = await served();
  const slow = await url.open('/zeros?bytes=200000000&how=chunks');
  const memory = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8'))[1]);
  const before = memory();
  for (let i = 0; i < 20; ++i) await url.ask('/echo');
  assert.ok(memory() - before < 8 * 1024, `${memory() - before} KiB more`);
  slow.destroy();
});

leakless(daemon, 'a request wakes a paused box and a server goes on; a URL outlives restarts', async () => {
  const { box, url } = await served({ bearer_token: true });
  const headers = { authorization: `Bearer ${url.made.token}` };
  await pause(box);
  assert.equal((await url.ask('/echo', { headers })).status, 200);
  assert.equal(await box.status(), 'idle');
  await pause(box);
  await restart();
  assert.equal(await box.status(), 'paused');
  await url.refuses(401, /credential/);
  assert.equal((await url.ask('/echo', { headers })).status, 200);
  await restart('SIGTERM');
  assert.equal((await url.ask('/echo', { headers })).status, 200);
  assert.equal((await list(box)).length, 1);
});

leakless(daemon, 'an end of the daemon does not wait for what has no end of its own', async () => {
  const { url } = await served();
  const events = await url.open('/events');
  events.on('error', () => {});
  const session = await url.webSocket();
  await echoes(session);
  await daemon.end('SIGTERM');
  assert.ok(!daemon.log.some((line) => line.includes('cut off')), daemon.log.join('\n'));
  await daemon.launch();
});

leakless(daemon, 'publishing wakes a paused box', async () => {
  const box = await daemon.box();
  await pause(box);
  await Url.make(box, 3000);
  assert.equal(await box.status(), 'idle');
});

leakless(daemon, 'a request waits for the port, and is told when nothing comes to listen on it', async () => {
  const box = await daemon.box();
  const url = await Url.make(box, 3000);
  const waiting = url.ask('/echo');
  await serve(box, 3000);
  assert.equal((await waiting).status, 200);
  await endServer(box, 3000);
  const inVain = url.refuses(503, /Nothing listens on port 3000/);
  let over = false;
  inVain.finally(() => (over = true)).catch(() => {});
  await daemon.json('GET', '/v2/host');
  assert.ok(!over);
  for (let i = 0; i < 100 && !over; ++i) await clock.pass(1, daemon);
  assert.equal((await inVain).headers['retry-after'], '5');
});

leakless(daemon, 'so many wait for a port of one box, and others are served meanwhile', async () => {
  const kMostWaiting = 64;
  const { box, url } = await served();
  const dead = await Url.make(box, 4000);
  const waiting = await Promise.all(Array.from({ length: kMostWaiting }, () => dead.raw('GET / HTTP/1.1\r\nHost: HOST\r\n\r\n')));
  await until('as many wait as may', async () => {
    const more = await dead.raw('GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n');
    const answered = Promise.race([more.closed.then(() => true), url.ask('/echo').then(() => url.ask('/echo')).then(() => false)]);
    const full = await answered;
    if (full) assert.match(more.text, /^HTTP\/1\.1 503 .*Retry-After: 5\r\n/s);
    more.socket.destroy();
    return full;
  });
  assert.equal((await url.ask('/echo')).status, 200);
  for (const each of waiting) each.socket.destroy();
});

leakless(daemon, 'who has the wrong credential, or none, does not wake the box, and does not reach it', async () => {
  const { box, url } = await served({ bearer_token: true, basic_auth: true });
  const { token, username, password } = url.made;
  assert.deepEqual(await list(box).then(([row]) => [row.basic_auth, row.bearer_token]), [true, true]);
  const basic = (text) => `Basic ${Buffer.from(text).toString('base64')}`;
  const good = [`Bearer ${token}`, `bearer ${token}`, basic(`${username}:${password}`), basic(`${username}:${password}`).replace('Basic', 'BASIC')];
  const bad = [undefined, '', 'Bearer', 'Bearer ', `Bearer ${token}x`, `Bearer ${token.slice(1)}`, `Basic ${token}`, `Bearer ${password}`, basic(`${username}:`), basic(`:${password}`), basic(`${username}:${password} `),
    basic(`${username}:${token}`), `Token ${token}`, `Bearer ${daemon.key}`, token, `Bearer ${crypto.createHash('sha256').update(token).digest('hex')}`];
  const { json: { requests } } = await url.ask('/echo', { headers: { authorization: good[0] } });
  await pause(box);
  for (const authorization of bad) {
    const { headers } = await url.refuses(401, /credential/, '/echo', { headers: authorization === undefined ? {} : { authorization } });
    assert.match(headers['www-authenticate'], /Basic realm="box".*Bearer realm="box"/);
  }
  assert.equal(await box.status(), 'paused');
  for (const authorization of good) {
    const { json } = await url.ask('/echo', { headers: { authorization } });
    assert.ok(!json.headers.some((text) => /authorization|preview_/i.test(text)), 'it is not passed on');
  }
  assert.equal((await url.ask('/echo', { headers: { authorization: good[0] } })).json.requests, requests + good.length + 1);
  const rows = fs.readFileSync(`${daemon.state}/hutch.db`).toString('latin1') + fs.readFileSync(`${daemon.state}/hutch.db-wal`).toString('latin1');
  for (const secret of [token, password]) assert.ok(!rows.includes(secret) && !daemon.log.some((line) => line.includes(secret)));
});

leakless(daemon, 'an Authorization that is the application\'s own is passed on, and a key of the API is not', async () => {
  const { url } = await served();
  const shown = async (authorization) => (await url.ask('/echo', { headers: { authorization } })).json.headers.includes(authorization);
  assert.equal(await shown('Bearer of-the-application'), true);
  assert.equal(await shown('Basic eDp5'), true);
  assert.equal(await shown(`Bearer ${daemon.key}`), false);
  assert.equal(await shown(`bearer ${daemon.key}`), false);
  assert.equal(await shown(`Bearer  ${daemon.key}`), false);
  assert.equal(await shown(`Bearer\t${daemon.key}`), false);
  assert.equal(await shown(daemon.key), false);
});

leakless(daemon, 'a second one for a port takes the place of the first, whose token and connections end', async () => {
  const { box, url: first } = await served({ bearer_token: true });
  const headers = { authorization: `Bearer ${first.made.token}` };
  const session = await first.webSocket('/', headers);
  await echoes(session);
  const second = await Url.make(box, 3000, { bearer_token: true });
  assert.equal(second.made.url, first.made.url);
  assert.equal(await session.finish(), 'hello');
  await first.refuses(401, /credential/, '/echo', { headers });
  assert.equal((await second.ask('/echo', { headers: { authorization: `Bearer ${second.made.token}` } })).status, 200);
  assert.equal((await list(box)).length, 1);
  const open = await second.webSocket('/', { authorization: `Bearer ${second.made.token}` });
  await remove(box, 3000);
  assert.equal(await open.finish(), null);
});

leakless(daemon, 'of a deleted box nothing is there any more, and what was open ends', async () => {
  const { box, url } = await served();
  const session = await url.webSocket();
  await echoes(session);
  await box.remove();
  assert.equal(await session.finish(), 'hello');
  await url.refuses(404, /deleted/);
});

leakless(daemon, 'a copy of a box, and one from its snapshot, publish nothing', async () => {
  const { box } = await served();
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 's' }, 201);
  const copy = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201);
  const { boxes: [fork] } = await daemon.json('POST', `${box.path}/fork`, { count: 1 }, 201);
  for (const each of [copy, fork]) assert.deepEqual(await daemon.json('GET', `/v2/box/${each.id}/preview`), { previews: [] });
  await daemon.json('DELETE', '/v2/box/snapshots', { ids: [id] });
});

// --- hostile clients and servers ---

leakless(daemon, 'what two readers could read differently is refused, and nothing of it reaches a server', async () => {
  const { url } = await served();
  const { json: { requests } } = await url.ask('/echo');
  const post = 'POST /echo HTTP/1.1\r\nHost: HOST\r\n';
  const inner = 'GET /echo HTTP/1.1\r\nHost: HOST\r\n\r\n';
  for (const bytes of [
    `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello${inner}`,
    `${post}Content-Length: +5\r\n\r\nhello${inner}`,
    `${post}Content-Length: 5, 5\r\n\r\nhello${inner}`,
    `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${inner}`,
    `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
    `${post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${inner}`,
    `${post}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n${inner}`,
    `${post} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `${post}X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    `GET /echo HTTP/1.1\r\nHost: HOST\r\nHost: other\r\n\r\n`,
    `GET http://HOST/echo HTTP/1.1\r\nHost: HOST\r\n\r\n`,
    `CONNECT HOST:443 HTTP/1.1\r\nHost: HOST\r\n\r\n`,
    `GET /echo HTTP/1.1\r\n\r\n`,
    `GET /echo HTTP/2.0\r\nHost: HOST\r\n\r\n`,
    `GET /echo HTTP/1.1\r\nHost: HOST\r\n${'X: y\r\n'.repeat(200)}\r\n`,
    `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: HOST\r\n\r\n`,
  ]) {
    const connection = await url.raw(bytes);
    await connection.closed;
    assert.match(connection.text, /^HTTP\/1\.1 [45]\d\d /, bytes.slice(0, 200));
    assert.equal(connection.text.match(/HTTP\/1\.1 \d/g).length, 1, bytes.slice(0, 200));
  }
  assert.equal((await url.ask('/echo')).json.requests, requests + 1);
  const chunk = await url.raw(`${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n${inner}`);
  await chunk.closed;
  assert.match(chunk.text, /^(HTTP\/1\.1 400 .*)?$/s);
  const upgrade = await url.raw('GET /echo HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n');
  await until('it is answered', () => upgrade.text.includes('"requests"'));
  assert.doesNotMatch(upgrade.text, /h2c|HTTP2/i);
  upgrade.socket.destroy();
});

/// What a server in the box says to whatever it is asked.
async function serveBytes(box, at, bytes, end = true) {
  await box.write(`say-${at}.js`, `require('net').createServer((socket) => { socket.on('error', () => {}); socket.once('data', () => { socket.write(Buffer.from(${JSON.stringify(Buffer.from(bytes, 'latin1').toString('base64'))}, 'base64'));
    ${end ? 'socket.end();' : ''} }); }).listen(${at}, '127.0.0.1')`);
  await serve(box, at, { command: `node say-${at}.js` });
}

leakless(daemon, 'a server that answers with what is no HTTP, or twice, harms nobody', async () => {
  const { box, url } = await served();
  let at = 5000;
  const asked = async (bytes) => {
    await serveBytes(box, ++at, bytes);
    const one = await Url.make(box, at);
    const connection = await one.raw(`GET / HTTP/1.1\r\nHost: HOST\r\n\r\nGET /echo HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`);
    await connection.closed;
    return connection.text;
  };
  for (const bytes of ['', 'what?', 'HTTP/1.1 200', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nxx', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`, 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)]) {
    const text = await asked(bytes);
    assert.match(text, /^HTTP\/1\.1 502 .*The server in the box/s, bytes.slice(0, 100));
    assert.match(text, /HTTP\/1\.1 200 .*"url":"\/echo"/s, 'the next one is served');
  }
  const twice = await asked('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil');
  assert.match(twice, /ok.*"url":"\/echo"/s);
  assert.doesNotMatch(twice, /evil/);
  const cut = await asked('HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nnot all');
  assert.match(cut, /not all$/, 'and the connection is cut, so that it is known');
  const chunks = await asked('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\nzz\r\n');
  assert.match(chunks, /first\r\n$/);
  const hop = await asked('HTTP/1.1 200 OK\r\nConnection: close, X-Hop\r\nX-Hop: x\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nContent-Length: 2\r\n\r\nok');
  assert.match(hop, /Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n/);
  assert.doesNotMatch(hop, /X-Hop|timeout=5|Proxy-/i);
});

leakless(daemon, 'a box does not reach the door of public URLs', async () => {
  const { url } = await served();
  const other = await daemon.box();
  const gateway = await other.sh("ip route | sed -n 's/default via \\([0-9.]*\\).*/\\1/p'");
  const mine = Object.values(os.networkInterfaces()).flat().filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address);
  for (const address of new Set([gateway, ...mine])) {
    assert.equal((await url.ask('/echo', { address })).status, 200, `from the host, at ${address}`);
    assert.notEqual(await other.fails(`printf 'GET /echo HTTP/1.1\\r\\nHost: ${url.host}\\r\\n\\r\\n' | nc -w 1 ${address} ${port} | grep -q requests`), 0, address);
  }
});

leakless(daemon, 'the API does not answer for a box\'s host, nor this door for the API\'s', async () => {
  const { url } = await served();
  const api = new Url({ url: `${daemon.url}/` });
  const asked = await api.ask('/v2/box', { headers: { host: url.host, 'x-box-api-key': daemon.key } });
  assert.equal(asked.status, 421);
  assert.match(asked.json.error, /^Host: /);
  assert.equal((await api.ask('/v2/box', { headers: { 'x-box-api-key': daemon.key } })).status, 200);
  await url.refuses(404, /nothing here/, '/v2/box', { headers: { host: `127.0.0.1:${port}`, 'x-box-api-key': daemon.key } });
  assert.match((await url.ask('/v2/box')).text, /no such page of the box/);
});

// --- customers, use and time ---

withCustomers(daemon, 'another customer finds nothing of it', async (alice, bob) => {
  const { id } = await alice.box();
  const made = await alice.json('POST', `/v2/box/${id}/preview`, { port: 3000 }, 201);
  for (const [method, path, body] of [['POST', '', { port: 3001 }], ['GET', ''], ['DELETE', '/3000']]) {
    const answer = await bob.ask(method, `/v2/box/${id}/preview${path}`, body);
    assert.equal(answer.status, 404, answer.text);
    assert.match(answer.json.error, /no box has the id or name/);
  }
  assert.deepEqual((await alice.json('GET', `/v2/box/${id}/preview`)).previews.map(({ url }) => url), [made.url]);
});

withCustomers(daemon, 'connections: so many to all boxes of a customer', async (alice, bob) => {
  await alice.limit({ preview_connections: 2 });
  const urls = [];
  for (const customer of [alice, bob]) {
    const box = new Box(daemon, await customer.box()); // the operator finds it by its id
    await serve(box, 3000);
    urls.push(await Url.make(box, 3000));
  }
  const kept = [await urls[0].webSocket(), await urls[0].webSocket()];
  assert.deepEqual((await alice.limits()).preview_connections, { used: 2, limit: 2 });
  const { headers } = await urls[0].refuses(429, /^preview_connections: /);
  assert.equal(headers['retry-after'], '5');
  assert.equal((await urls[1].ask('/echo')).status, 200);
  for (const session of kept) session.abandon();
  await until('they have ended', async () => (await alice.limits()).preview_connections.used === 0);
  assert.equal((await urls[0].ask('/echo')).status, 200);
});

leakless(daemon, 'a box publishes so many ports', async () => {
  const kMost = 100;
  const box = await daemon.box();
  for (let i = 1; i <= kMost; ++i) await Url.make(box, i);
  await daemon.refuses(429, /preview: a box has at most 100/, 'POST', `${box.path}/preview`, { body: { port: 101 } });
  await Url.make(box, 100);
});

leakless(daemon, 'traffic is activity and use; a quiet WebSocket lets the box sleep, and a word by it wakes it', async () => {
  const { box, url } = await served();
  const usage = () => daemon.json('GET', `${box.path}/usage`);
  const before = await usage();
  const session = await url.webSocket();
  await clock.pass(kIdleTimeout - 10, daemon);
  await echoes(session);
  await clock.pass(kIdleTimeout - 10, daemon);
  assert.equal(await box.status(), 'idle');
  await clock.pass(20, daemon);
  await until('it sleeps', async () => await box.status() === 'paused');
  await echoes(session, 'awake');
  assert.equal(await box.status(), 'idle');
  session.abandon();
  await (await url.open('/zeros?bytes=3000000&how=length')).resume();
  await until('it is counted', async () => (await usage()).network_sent_bytes - before.network_sent_bytes >= 3_000_000);
  assert.ok((await usage()).network_received_bytes > before.network_received_bytes);
});

leakless(daemon, 'a request that is not answered yet keeps the box awake', async () => {
  const { box, url } = await served();
  const poll = url.ask('/poll');
  await until('it waits', async () => JSON.stringify(await daemon.json('GET', `${box.path}?details=1`)).includes('a request uses it'));
  await clock.pass(kIdleTimeout + 10, daemon);
  assert.equal(await box.status(), 'idle');
  await url.ask('/release');
  assert.equal((await poll).text, 'released');
});

/// The daemon, started with other options for a while.
async function withArgs(change, test) {
  const args = daemon.args.slice();
  change(daemon.args);
  try {
    await restart('SIGTERM');
    await test();
    await daemon.removeAll();
  } finally {
    daemon.args = args;
    await restart('SIGTERM');
  }
}

leakless(daemon, 'by TLS, with a wildcard certificate', async () => {
  const certificate = new Certificate(directory, 'boxes', { names: 'DNS:*.boxes.test' });
  const options = ['--preview_domain', 'boxes.test', '--preview_certificate', certificate.certificate, '--preview_key', certificate.key];
  await withArgs((args) => args.push(...options), async () => {
    const box = await daemon.box();
    await serve(box, 3000);
    const { url } = await daemon.json('POST', `${box.path}/preview`, { port: 3000 }, 201);
    assert.equal(url, `https://${box.id}-3000.boxes.test:${port}`);
    const { host, hostname } = new URL(url);
    const request = https.get({ host: '127.0.0.1', port, servername: hostname, headers: { host }, ca: certificate.pem, path: '/echo', agent: false });
    const [response] = await once(request, 'response');
    let text = '';
    for await (const piece of response) text += piece;
    assert.ok(JSON.parse(text).headers.join().includes('X-Forwarded-Proto,https'));
    const large = await curl('--cacert', certificate.certificate, '--resolve', `${hostname}:${port}:127.0.0.1`, `${url}/zeros?bytes=5000000&how=chunks`, '-o', '/dev/null', '-w', '%{size_download}');
    assert.equal(large, '5000000');
  });
});

leakless(daemon, 'without preview_listen a host has no public URLs, and says so', async () => {
  await withArgs((args) => args.splice(args.indexOf('--preview_listen'), 2), async () => {
    const box = await daemon.box();
    await daemon.refuses(501, /preview_listen/, 'POST', `${box.path}/preview`, { body: { port: 3000 } });
    assert.deepEqual(await list(box), []);
  });
});

leakless(daemon, 'hutch url adds, prints, lists and removes them', async () => {
  const { box } = await served();
  const url = `http://${box.id}-3000.localhost:${port}`;
  assert.equal(await output(daemon, ['url', 'add', box.id, '3000']), `${url}\n`);
  assert.equal(await output(daemon, ['url', box.id, '3000']), `${url}\n`);
  assert.equal((await json(daemon, ['url', box.id, '3000'])).url, url);
  const [first, token] = (await output(daemon, ['url', 'add', box.id, '3000', '--bearer'])).split('\n');
  assert.equal(first, url);
  assert.match(token, /^token: preview_[a-z0-9]{52}$/);
  const told = await output(daemon, ['url', 'add', box.id, '4000', '--basic']);
  assert.match(told, /^http\S+\nusername: box\npassword: [a-z0-9]{52}\n$/);
  const listed = await output(daemon, ['url', 'ls', box.id]);
  assert.match(listed, /^PORT +URL +OPENED BY +AGE\n3000 +http\S+ +token +\S+\n4000 +http\S+ +password +\S+\n$/);
  assert.equal((await json(daemon, ['url', 'ls', box.id])).previews.length, 2);
  assert.equal(await output(daemon, ['url', 'rm', box.id, '4000']), '');
  await complains(daemon, 1, /no public URL; `hutch url add/, ['url', box.id, '4000']);
  await complains(daemon, 1, /port 4000 of box/, ['url', 'rm', box.id, '4000']);
  await complains(daemon, 2, /BOX and PORT/, ['url']);
  await complains(daemon, 2, /PORT/, ['url', 'add', box.id, '70000']);
});
