// Calls that take long, and streams in which nothing is said: clients, and proxies, take those for lost in which no byte
// comes for some minutes.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import zlib from 'node:zlib';
import { Clock } from './lib/clock.mjs';
import { ask, open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const clock = new Clock();
const daemon = suite({ env: clock.env });

const kMinutes = 10;
const kScript = 'echo out; echo err >&2; cat /tmp/go; exit 4';
const kCommand = { command: ['sh', '-c', kScript] };

/// What `call` answers of a box whose command reads /tmp/go, and is let go on after ten minutes in which nothing is said.
async function afterMinutes(box, call) {
  await box.sh('mkfifo /tmp/go');
  const answer = call(box);
  await until('it runs', async () => await box.fails('pidof cat') === 0);
  for (let minute = 0; minute < kMinutes; ++minute) await clock.pass(60, daemon);
  await box.sh('echo last > /tmp/go');
  return answer;
}

/// All that comes from the daemon after a request, byte for byte.
async function raw(target, body, headers = '') {
  const socket = net.connect(daemon.socket);
  const pieces = [];
  socket.on('data', (piece) => pieces.push(piece));
  const text = JSON.stringify(body);
  socket.write(`POST ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}Content-Length: ${text.length}\r\n\r\n${text}`);
  await once(socket, 'close');
  return Buffer.concat(pieces).toString();
}

const count = (text, part) => text.split(part).length - 1;

leakless(daemon, 'an answer of JSON begins with blanks after a while, and is read as ever', async () => {
  const box = await daemon.box();
  const { status, text, json } = await afterMinutes(box, () => ask(daemon.socket, 'POST', `${box.path}/exec`, { body: kCommand }));
  assert.deepEqual([status, json.exit_code, json.output, json.error], [200, 4, 'out\nlast\n', 'err\n']);
  const blanks = text.length - text.trimStart().length;
  assert.ok(blanks >= kMinutes - 1, `${blanks}`);
});

leakless(daemon, 'a short answer does not', async () => {
  const box = await daemon.box();
  const { text } = await daemon.ask('POST', `${box.path}/exec`, { body: { command: ['true'] } });
  assert.ok(text.startsWith('{'), text);
});

leakless(daemon, 'a box that ends after its answer began is told as an error in it', async () => {
  const box = await daemon.box();
  const answer = open(daemon.socket, 'POST', `${box.path}/exec`, { body: { command: ['sleep', '1000'] } });
  await until('it runs', async () => await box.status() === 'running');
  await clock.pass(60, daemon);
  const response = await answer;
  assert.equal(response.statusCode, 200);
  assert.match(response.headers['x-run-id'], /^\w+$/);
  await box.remove();
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  const told = JSON.parse(text);
  assert.deepEqual([told.exit_code, told.output], [null, '']);
  assert.match(told.error, /was deleted/);
});

leakless(daemon, 'a quiet stream of a client that takes gzip is kept alive by blocks of nothing', async () => {
  const box = await daemon.box();
  const { bytes } = await afterMinutes(box, () => ask(daemon.socket, 'POST', `${box.path}/exec-stream`,
    { body: kCommand, headers: { 'accept-encoding': 'gzip' } }));
  const nothings = count(bytes.toString('latin1'), '\0\0\0\xff\xff');
  assert.ok(nothings >= kMinutes, `${nothings}`);
  assert.match(zlib.gunzipSync(bytes).toString(), /^out\nerr\nlast\nevent: exit\ndata: \{.*"exit_code":4.*\}\n\n$/);
});

leakless(daemon, 'a quiet stream in frames has empty ones; one of plain bytes has nothing of ours', async () => {
  for (const frames of [true, false]) {
    const box = await daemon.box();
    const { bytes } = await afterMinutes(box, () => ask(daemon.socket, 'POST', `${box.path}/exec-stream`, { body: { ...kCommand, frames } }));
    const text = bytes.toString('latin1');
    if (frames) assert.ok(count(text, '\0\0\0\0\0') >= kMinutes - 1, text);
    if (!frames) assert.match(text, /^out\nerr\nlast\nevent: exit\n/);
  }
});

leakless(daemon, 'Node\'s fetch, and nobody else, is told that another call is worked on; its status is as ever', async () => {
  for (const [agent, told] of [['node', true], ['curl/8', false]]) {
    const box = await daemon.rootBox();
    await box.sh('printf "#!/bin/sh\\ncase \\$1 in clone) cat /tmp/go; exit 1; esac\\n" > /bin/git; chmod +x /bin/git');
    const text = await afterMinutes(box, () => raw(`${box.path}/git/clone`, { repo: 'https://example.org/a/b' }, `User-Agent: ${agent}\r\n`));
    const interim = count(text, 'HTTP/1.1 102 Processing\r\n\r\n');
    assert.ok(told ? interim >= kMinutes - 1 : interim === 0, text);
    assert.match(text, /HTTP\/1\.1 409 /);
  }
});

leakless(daemon, 'a client that leaves is missed, however much it has sent behind its call', async () => {
  const box = await daemon.box();
  const socket = net.connect(daemon.socket);
  const text = JSON.stringify({ command: ['sleep', '1000'] });
  socket.write(`POST ${box.path}/exec HTTP/1.1\r\nHost: x\r\nContent-Length: ${text.length}\r\n\r\n${text}${'A'.repeat(20_000)}`);
  await until('it runs', async () => await box.fails('pidof sleep') === 0);
  socket.destroy();
  await until('it is missed', async () => await box.status() && daemon.log.some((line) => line.includes(`POST ${box.path}/exec: its client left`)));
});
