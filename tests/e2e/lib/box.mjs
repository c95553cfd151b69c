// A box, seen through the API.

import assert from 'node:assert/strict';
import { open } from './http.mjs';
import { Session } from './websocket.mjs';

export class Box {
  constructor(daemon, data) {
    this.daemon = daemon;
    this.data = data;
    this.id = data.id;
    this.path = `/v2/box/${data.id}`;
  }

  exec(command, folder) {
    return this.daemon.json('POST', `${this.path}/exec`, { command, ...(folder !== undefined && { folder }) });
  }

  /// The output of a shell script that must succeed.
  async sh(script) {
    const { exit_code, output, error } = await this.exec(['sh', '-c', script]);
    assert.equal(exit_code, 0, `${script}\n${output}${error}`);
    return output.trimEnd();
  }

  /// The exit code of a script that may fail.
  async fails(script) {
    return (await this.exec(['sh', '-c', script])).exit_code;
  }

  /// exec-stream; the answer's head has arrived.
  async stream(command, folder) {
    const body = { command, ...(folder !== undefined && { folder }) };
    return new Stream(await open(this.daemon.socket, 'POST', `${this.path}/exec-stream`, { body }));
  }

  session(opening, call = 'exec-tty') {
    return Session.open(this.daemon.socket, `${this.path}/${call}`, opening);
  }

  write(path, content) {
    return this.daemon.json('POST', `${this.path}/files/write`, { path, content });
  }

  async read(path) {
    return (await this.daemon.json('GET', `${this.path}/files/read?path=${encodeURIComponent(path)}`)).content;
  }

  async status() {
    return (await this.daemon.json('GET', `${this.path}/status`)).status;
  }

  remove() {
    return this.daemon.json('DELETE', this.path);
  }
}

/// A streaming answer: raw output, then one final event.
export class Stream {
  constructor(response) {
    assert.equal(response.statusCode, 200);
    this.response = response;
    this.pieces = response[Symbol.asyncIterator]();
    this.bytes = Buffer.alloc(0);
  }

  /// Reads on until the output holds `text`.
  async until(text) {
    while (!this.bytes.includes(text)) {
      const { value, done } = await this.pieces.next();
      assert.ok(!done, `the stream ended without ${JSON.stringify(text)}: ${this.bytes}`);
      this.bytes = Buffer.concat([this.bytes, value]);
    }
  }

  /// Reads to the end: the output and the final event.
  async finish() {
    const pieces = [this.bytes];
    for (let next = await this.pieces.next(); !next.done; next = await this.pieces.next()) pieces.push(next.value);
    const whole = Buffer.concat(pieces);
    const at = whole.lastIndexOf('event: ');
    assert.notEqual(at, -1, `no final event: ${whole}`);
    const [, event, data] = /^event: (\w+)\ndata: (.*)\n\n$/.exec(whole.subarray(at).toString());
    return { output: whole.subarray(0, at), event, data: JSON.parse(data) };
  }

  /// Goes away in the middle.
  abandon() {
    this.response.destroy();
  }
}
