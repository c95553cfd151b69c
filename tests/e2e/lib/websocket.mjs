// The client's side of RFC 6455, as much of it as the sessions of the API need: Node 20 brings none.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';

const kContinuation = 0;
const kText = 1;
const kBinary = 2;
const kClose = 8;
const kPing = 9;
const kPong = 10;

function frame(opcode, payload) {
  const data = Buffer.from(payload);
  const head = data.length < 126 ? Buffer.from([0x80 | opcode, 0x80 | data.length]) : Buffer.alloc(data.length < 65536 ? 4 : 10);
  if (data.length >= 65536) {
    head.set([0x80 | opcode, 0x80 | 127]);
    head.writeBigUInt64BE(BigInt(data.length), 2);
  } else if (data.length >= 126) {
    head.set([0x80 | opcode, 0x80 | 126]);
    head.writeUInt16BE(data.length, 2);
  }
  const mask = crypto.randomBytes(4);
  return Buffer.concat([head, mask, data.map((byte, i) => byte ^ mask[i % 4])]);
}

/// One frame at the start of `bytes`, or null when it is not whole yet.
function parse(bytes) {
  if (bytes.length < 2) return null;
  let length = bytes[1] & 0x7f;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return null;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return null;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  if (bytes.length < at + length) return null;
  return { last: (bytes[0] & 0x80) !== 0, opcode: bytes[0] & 0x0f, data: bytes.subarray(at, at + length), rest: bytes.subarray(at + length) };
}

export class Session {
  /// Upgrades and sends the opening message, if there is one. `url`: of a daemon on TCP, instead of its socket.
  static async open(socketPath, target, opening, { headers = {}, url } = {}) {
    const where = url ? { hostname: new URL(url).hostname, port: new URL(url).port } : { socketPath };
    const request = http.request({
      ...where, path: target, agent: false,
      headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13',
        'sec-websocket-key': crypto.randomBytes(16).toString('base64') },
    });
    const upgraded = Promise.race([
      once(request, 'upgrade'),
      once(request, 'response').then(([response]) => {
        request.destroy();
        assert.fail(`refused: ${response.statusCode}`);
      }),
    ]);
    request.end();
    const [, socket, head] = await upgraded;
    const session = new Session(socket, head);
    if (opening !== undefined) session.text(opening);
    return session;
  }

  constructor(socket, head) {
    this.socket = socket;
    this.pieces = socket[Symbol.asyncIterator]();
    this.unread = head;
    this.output = '';
    this.texts = [];
    this.parts = []; // of a text message that is not whole yet
    this.final = null;
  }

  text(message) {
    this.raw(JSON.stringify(message));
  }

  raw(text) {
    return this.socket.write(frame(kText, text));
  }

  input(bytes) {
    this.socket.write(frame(kBinary, bytes));
  }

  /// Takes one frame into `output` or `final`. False at the end.
  async step() {
    let found = parse(this.unread);
    while (!found) {
      const { value, done } = await this.pieces.next();
      if (done) return false;
      this.unread = Buffer.concat([this.unread, value]);
      found = parse(this.unread);
    }
    this.unread = found.rest;
    const opcode = found.opcode === kContinuation ? this.message : found.opcode;
    if (opcode < kClose) this.message = opcode;
    if (opcode === kBinary) this.output += found.data.toString('latin1');
    if (opcode === kText) {
      this.parts.push(found.data);
      if (found.last) this.texts.push(this.final = JSON.parse(Buffer.concat(this.parts.splice(0)).toString()));
    }
    if (opcode === kPing) this.socket.write(frame(kPong, found.data));
    if (opcode === kClose) this.socket.end(frame(kClose, found.data));
    return opcode !== kClose;
  }

  /// Reads until the output matches.
  async until(pattern) {
    while (!pattern.test(this.output)) {
      assert.ok(await this.step(), `ended without ${pattern}: ${this.output} ${JSON.stringify(this.final)}`);
    }
  }

  /// Reads to the end: the last text message.
  async finish() {
    while (await this.step());
    return this.final;
  }

  /// Goes away without a word.
  abandon() {
    this.socket.destroy();
  }
}
