// Public URLs, as a test uses them: the daemon's own port for them, a server in a box, and requests by name.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { RawConnection } from './raw.mjs';
import { until } from './until.mjs';
import { Session } from './websocket.mjs';

const kServer = fs.readFileSync(new URL('./preview-server.mjs', import.meta.url), 'utf8');

/// Starts preview-server.mjs in the box, or whatever else `command` makes listen on that port. It is no run: nobody
/// waits for its end.
export async function serve(box, port, { address = '127.0.0.1', command } = {}) {
  await box.write('server.mjs', kServer);
  await box.sh(`${command ?? `node server.mjs ${address} ${port}`} > /tmp/server.log 2>&1 < /dev/null & echo $! > /tmp/server-${port}.pid`);
  await listens(box, port);
}

/// Ends what serve() has started.
/// Ends what serve() has started there; nothing listens on the port then.
export async function endServer(box, port) {
  await box.sh(`kill $(cat /tmp/server-${port}.pid)`);
  await until(`nothing listens on ${port}`, async () => !await isListening(box, port));
}

/// By the kernel's own table in the box.
async function isListening(box, port) {
  const mark = `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A`;
  return (await box.sh('cat /proc/net/tcp')).includes(mark);
}

/// Until something listens on the port.
export const listens = (box, port) => until(`something listens on ${port}`, () => isListening(box, port));

/// Of a port that a box publishes.
export class Url {
  static async make(box, port, wish = {}) {
    const made = await box.daemon.json('POST', `${box.path}/preview`, { port, ...wish }, 201);
    return new Url(made);
  }

  constructor(made) {
    this.made = made;
    this.url = new URL(made.url);
    this.host = this.url.host;
  }

  get options() {
    return { host: '127.0.0.1', port: this.url.port, agent: false, headers: { host: this.host } };
  }

  /// The answer, its head there. `body` may be a stream.
  async open(path = '/', { method = 'GET', headers = {}, body, address = '127.0.0.1' } = {}) {
    const request = http.request({ ...this.options, host: address, path, method, headers: { ...this.options.headers, ...headers } });
    const answered = once(request, 'response');
    if (body?.pipe) body.pipe(request);
    else request.end(body);
    const [response] = await answered;
    return response;
  }

  async ask(path, options) {
    const response = await this.open(path, options);
    const pieces = [];
    for await (const piece of response) pieces.push(piece);
    const text = Buffer.concat(pieces).toString();
    return { status: response.statusCode, headers: response.headers, text, get json() { return JSON.parse(text); } };
  }

  /// Its text must be that.
  async says(text, path, options) {
    const answer = await this.ask(path, options);
    assert.deepEqual([answer.status, answer.text], [200, text]);
  }

  async refuses(status, about, path = '/echo', options = {}) {
    const answer = await this.ask(path, options);
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, about);
    assert.match(answer.text, /^[^\n]+\n$/);
    assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8');
    return answer;
  }

  async webSocket(path = '/', headers = {}) {
    const request = http.request({ ...this.options, path, headers: { ...this.options.headers, connection: 'Upgrade', upgrade: 'websocket',
      'sec-websocket-version': '13', 'sec-websocket-key': crypto.randomBytes(16).toString('base64'), ...headers } });
    const upgraded = once(request, 'upgrade');
    request.end();
    const [, socket, head] = await upgraded;
    return new Session(socket, head);
  }

  /// A connection whose bytes are the test's own; HOST stands for the name.
  async raw(bytes) {
    const socket = net.connect(Number(this.url.port), '127.0.0.1');
    await once(socket, 'connect');
    const connection = new RawConnection(socket);
    connection.write(bytes.replaceAll('HOST', this.host));
    return connection;
  }
}

/// One message there and back.
export async function echoes(session, message = 'hello') {
  session.text(message);
  assert.ok(await session.step());
  assert.equal(session.final, message);
}
