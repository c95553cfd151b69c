// What asks the daemon, and knows a killed one from a broken one.

import assert from 'node:assert/strict';
import { open } from '../lib/http.mjs';
import { noFuse } from './fuse.mjs';

/// The daemon was killed before its answer was whole.
export class Cut extends Error {}
/// The box is being deleted by somebody else.
export class Gone extends Error {}

export class Client {
  constructor(daemon) {
    this.daemon = daemon;
    this.fuse = noFuse;
  }

  async open(method, target, body) {
    if (this.fuse.blown) throw new Cut();
    const sent = () => this.fuse.note('requests');
    const response = await this.orCut(() => open(this.daemon.socket, method, target, { body, sent }));
    response.on('error', () => {}); // for one that nobody reads on; who reads is told by the reading
    return response;
  }

  /// Hands the answer's bytes to `take` until that is false: it then goes away.
  async read(response, take) {
    await this.orCut(async () => {
      for await (const piece of response) {
        this.fuse.note('bytes', piece.length);
        if (take(piece) === false) break;
      }
    });
  }

  async ask(method, target, body) {
    const response = await this.open(method, target, body);
    const pieces = [];
    await this.read(response, (piece) => pieces.push(piece));
    return { status: response.statusCode, text: Buffer.concat(pieces).toString() };
  }

  /// About a box: the answer's JSON. Gone when somebody else is deleting it.
  async json(box, method, target, body, status = 200) {
    const answer = await this.ask(method, target, body);
    if (box?.doomed && answer.status === 404) throw new Gone();
    assert.equal(answer.status, status, `${method} ${target}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  async orCut(work) {
    try {
      return await work();
    } catch (error) {
      if (this.fuse.blown && !(error instanceof assert.AssertionError)) throw new Cut();
      throw error;
    }
  }
}
