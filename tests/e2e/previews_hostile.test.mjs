// Public URLs, whose clients are strangers: what these take of the host and of a box ends with them, and leaves room for
// others.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { after } from 'node:test';
import { Box } from './lib/box.mjs';
import { Clock } from './lib/clock.mjs';
import { withCustomers } from './lib/customer.mjs';
import { freePort } from './lib/daemon.mjs';
import { gitImage } from './lib/git-image.mjs';
import { serve, Url } from './lib/preview.mjs';
import { RawConnection } from './lib/raw.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('git', 'ldd', 'nsenter', 'ss');
const directory = fs.mkdtempSync('/var/tmp/hutch-previews-hostile-');
after(() => fs.rmSync(directory, { recursive: true }));
const clock = new Clock();
const port = await freePort();
const daemon = suite({ env: clock.env, tcp: true, import: { node: gitImage(directory, { node: true }) }, args: ['--preview_listen', `0.0.0.0:${port}`] });
daemon.args[daemon.args.indexOf('--default_image') + 1] = 'node';

/// A box with a server on port 3000, published; what `program` says, or the one of lib/preview-server.mjs.
async function served(box, program) {
  if (program) await box.write('own.js', program);
  await serve(box, 3000, program ? { command: 'node own.js' } : {});
  return Url.make(box, 3000);
}

/// One from another address of this host.
async function from(address, url, bytes) {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress: address });
  await once(socket, 'connect');
  const connection = new RawConnection(socket);
  connection.write(bytes.replaceAll('HOST', url.host));
  return connection;
}

const isUsed = async (box) => JSON.stringify(await daemon.json('GET', `${box.path}?details=1`)).includes('a request uses it');
const answered = (connection) => until('it is answered', () => connection.text.includes('\r\n\r\n'));

leakless(daemon, 'a client that leaves is missed, however much it has sent behind its request', async () => {
  const box = await daemon.box();
  const url = await served(box);
  const left = await url.raw(`GET /poll HTTP/1.1\r\nHost: HOST\r\n\r\n${'A'.repeat(20_000)}`);
  await until('it waits', async () => (await url.ask('/polls')).text === '1');
  left.socket.destroy();
  await until('the server knows', async () => (await url.ask('/gone')).text === '1');
});

leakless(daemon, 'a client that leaves is missed while the server takes nothing of its body', async () => {
  const box = await daemon.box();
  const url = await served(box, "require('net').createServer({ pauseOnConnect: true }, () => {}).listen(3000, '127.0.0.1')");
  const deaf = await url.raw(`POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 100000000\r\n\r\n${'A'.repeat(20_000_000)}`);
  const queued = async () => /:0BB8 \S+ 01 [0-9A-F]+:([0-9A-F]+)/.exec(await box.sh('cat /proc/net/tcp'))?.[1] ?? '00000000';
  await until('it is held up', async () => {
    const first = await queued();
    return first !== '00000000' && first === await queued();
  });
  assert.ok(await isUsed(box));
  deaf.socket.resetAndDestroy();
  await until('the daemon knows', async () => !await isUsed(box));
});

leakless(daemon, 'an answer that does not begin is not waited for beyond an hour', async () => {
  const box = await daemon.box();
  const url = await served(box);
  const poll = url.refuses(504, /began no answer within an hour/, '/poll');
  await until('it waits', async () => (await url.ask('/polls')).text === '1');
  for (let half = 0; half < 2; ++half) {
    assert.ok(await isUsed(box));
    await clock.pass(1801, daemon);
  }
  await poll;
  assert.ok(!await isUsed(box));
});

leakless(daemon, 'what the kernel buffers of a request is bounded, whatever it lets sockets have', async () => {
  const kMost = 512 * 1024; // doubled by the kernel (socket(7))
  const box = await daemon.box();
  const url = await served(box);
  const slow = await url.open('/zeros?bytes=200000000&how=length');
  const { details: { init_pid: init } } = await daemon.json('GET', `${box.path}?details=1`);
  const buffers = (which, ...where) => {
    const told = execFileSync('nsenter', [...where, 'ss', '-Htmn', 'state', 'established', which], { encoding: 'utf8' });
    return [...told.matchAll(/,rb(\d+),t\d+,tb(\d+),/g)].map(([, received, sent]) => [Number(received), Number(sent)]);
  };
  const [client, inside] = [buffers(`sport = :${port}`), buffers('dport = :3000', '-t', String(init), '-n')];
  assert.ok(client.length === 1 && client[0][0] <= 2 * kMost && client[0][1] <= kMost, JSON.stringify(client));
  assert.ok(inside.length === 1 && inside[0][0] <= kMost && inside[0][1] <= kMost, JSON.stringify(inside));
  slow.destroy();
});

leakless(daemon, 'a chunk for each byte is not passed on by itself', async () => {
  const box = await daemon.box();
  const kBytes = 200_000;
  const url = await served(box, `require('net').createServer((socket) => { socket.on('error', () => {}); socket.once('data', () => socket.end('HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n'
    + '1\\r\\nz\\r\\n'.repeat(${kBytes}) + '0\\r\\n\\r\\n')); }).listen(3000, '127.0.0.1')`);
  const connection = await url.raw('GET / HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n');
  await connection.closed;
  const body = connection.text.slice(connection.text.indexOf('\r\n\r\n') + 4);
  const chunks = [];
  for (let at = 0; body[at] !== '0';) {
    const begin = body.indexOf('\r\n', at) + 2;
    chunks.push(body.substr(begin, parseInt(body.slice(at, begin), 16)));
    at = begin + chunks.at(-1).length + 2;
  }
  assert.equal(chunks.join(''), 'z'.repeat(kBytes));
  assert.ok(chunks.length < kBytes / 100, `${chunks.length} chunks`);
});

leakless(daemon, 'a body that comes too slowly is not waited for', async () => {
  const box = await daemon.box();
  const url = await served(box);
  for (const body of ['Content-Length: 1000\r\n\r\nA', 'Transfer-Encoding: chunked\r\n\r\n3e8\r\nA']) {
    const slow = await url.raw(`POST /echo HTTP/1.1\r\nHost: HOST\r\n${body}`);
    await until('it is in the box', () => isUsed(box));
    await clock.pass(61, daemon);
    await slow.closed;
    assert.match(slow.text, /^HTTP\/1\.1 408 .*body: came too slowly\n$/s);
  }
});

withCustomers(daemon, 'connections: one on which nothing is asked takes no place of its box', async (alice) => {
  await alice.limit({ preview_connections: 2 });
  const url = await served(new Box(daemon, await alice.box()));
  const idle = [];
  for (let i = 0; i < 3; ++i) {
    idle.push(await url.raw('GET /echo HTTP/1.1\r\nHost: HOST\r\n\r\n'));
    await answered(idle[i]);
    assert.match(idle[i].text, /^HTTP\/1\.1 200 /);
  }
  await until('none is taken', async () => (await alice.limits()).preview_connections.used === 0);
  for (const connection of idle) connection.socket.destroy();
});

leakless(daemon, 'requests of one address leave a box to others', async () => {
  const kShare = 205; // n beyond a quarter of 1024 - n
  const box = await daemon.box();
  const url = await served(box);
  const kPoll = 'GET /poll HTTP/1.1\r\nHost: HOST\r\n\r\n';
  const taken = await Promise.all(Array.from({ length: kShare }, () => from('127.0.0.2', url, kPoll)));
  await until('all of them wait', async () => (await url.ask('/polls')).text === String(kShare));
  const more = await from('127.0.0.2', url, kPoll);
  await answered(more);
  assert.match(more.text, /^HTTP\/1\.1 429 .*Retry-After: 5\r\n.*from your address/s);
  const other = await from('127.0.0.3', url, 'GET /echo HTTP/1.1\r\nHost: HOST\r\n\r\n');
  await answered(other);
  assert.match(other.text, /^HTTP\/1\.1 200 /);
  for (const { socket } of [...taken, more, other]) socket.destroy();
});

leakless(daemon, 'who waits for a port on which nothing listens takes no place of another', async () => {
  const box = await daemon.box();
  const [dead, next] = [await Url.make(box, 4000), await Url.make(box, 4001)];
  const kGet = 'GET /echo HTTP/1.1\r\nHost: HOST\r\nConnection: close\r\n\r\n';
  const waiting = await Promise.all(Array.from({ length: 65 }, () => dead.raw(kGet)));
  await Promise.race(waiting.map(({ closed }) => closed));
  assert.deepEqual(waiting.filter(({ text }) => text.startsWith('HTTP/1.1 503 ')).length, 1);
  const early = next.ask('/echo');
  await serve(box, 4001);
  assert.equal((await early).status, 200);
  for (const { socket } of waiting) socket.destroy();
});
