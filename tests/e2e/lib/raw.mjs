// A connection whose every byte is the test's own.

import assert from 'node:assert/strict';
import { once } from 'node:events';

/// One answer at the start of `text`, or null when it is not whole yet. `ended`: nothing more comes.
function parse(text, ended) {
  const at = text.indexOf('\r\n\r\n');
  if (at < 0) return null;
  const [line, ...fields] = text.slice(0, at).split('\r\n');
  const headers = Object.fromEntries(fields.map((field) => {
    const [name, value] = field.split(/: (.*)/);
    return [name.toLowerCase(), value];
  }));
  const status = Number(line.split(' ')[1]);
  const rest = text.slice(at + 4);
  const length = headers['content-length'];
  if (length !== undefined) {
    const size = Number(length);
    return rest.length < size ? null : { status, headers, body: rest.slice(0, size), rest: rest.slice(size) };
  }
  assert.equal(headers['transfer-encoding'], undefined, 'no test of raw bytes asks for a stream');
  return ended ? { status, headers, body: rest, rest: '' } : null;
}

export class RawConnection {
  constructor(socket) {
    this.socket = socket;
    this.text = '';
    this.closed = once(socket, 'close');
    socket.setEncoding('latin1').on('data', (text) => {
      this.text += text;
    });
    socket.on('error', (error) => {
      this.error = error; // of a write, after the other side has closed
    });
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /// What was answered until the other side closed.
  async finish() {
    await this.closed;
    const answers = [];
    for (let found = parse(this.text, true); found; found = parse(found.rest, true)) answers.push(found);
    return answers;
  }
}
