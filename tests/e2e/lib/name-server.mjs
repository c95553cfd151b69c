// A name server of the test's own, and a daemon whose host asks no other.

import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

const kHeader = 12;
const kFailure = 2;
const kNoSuchName = 3;

export class NameServer {
  /// `names`: of each its addresses of IPv4, or null where it is to fail. It listens on port 53 of `address`.
  constructor(address, names) {
    Object.assign(this, { address, names });
    this.directory = fs.mkdtempSync('/var/tmp/hutch-names-');
  }

  async open() {
    this.socket = dgram.createSocket('udp4', (query, from) => this.socket.send(this.answer(query), from.port, from.address));
    this.socket.bind(53, this.address);
    await once(this.socket, 'listening');
  }

  close() {
    this.socket?.close();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  answer(query) {
    const labels = [];
    let at = kHeader;
    for (; query[at] !== 0; at += query[at] + 1) labels.push(query.subarray(at + 1, at + 1 + query[at]).toString());
    const question = query.subarray(kHeader, at + 5);
    const addresses = this.names[labels.join('.').toLowerCase()];
    const code = addresses === null ? kFailure : addresses === undefined ? kNoSuchName : 0;
    const wanted = question.readUInt16BE(question.length - 4) === 1 ? addresses ?? [] : [];
    const records = wanted.map((address) => Buffer.from([0xc0, kHeader, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, ...address.split('.').map(Number)]));
    const head = Buffer.from([query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, records.length, 0, 0, 0, 0]);
    return Buffer.concat([head, question, ...records]);
  }

  /// A program that starts `program` where this is the host's name server.
  asServerOf(program) {
    const configuration = path.join(this.directory, 'resolv.conf');
    const script = path.join(this.directory, 'hutchd');
    fs.writeFileSync(configuration, `nameserver ${this.address}\n`);
    fs.writeFileSync(script, `#!/bin/sh\nexec unshare -m sh -c 'mount --bind "$0" /etc/resolv.conf && exec "$@"' ${configuration} ${program} "$@"\n`, { mode: 0o755 });
    return script;
  }
}
