// A server for a box, which tests put there and start: node preview-server.mjs ADDRESS PORT

import crypto from 'node:crypto';
import http from 'node:http';

const [address, port] = process.argv.slice(2);
let requests = 0;

const frame = (opcode, data) => {
  const head = data.length < 126 ? Buffer.from([0x80 | opcode, data.length]) : Buffer.from([0x80 | opcode, 126, data.length >> 8, data.length & 0xff]);
  return Buffer.concat([head, data]);
};

const answers = {
  // What came, as it came.
  async '/echo'(request, response) {
    let bytes = 0;
    for await (const piece of request) bytes += piece.length;
    response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.rawHeaders, bytes, requests }));
  },
  async '/upload'(request, response) {
    const hash = crypto.createHash('sha256');
    let bytes = 0;
    for await (const piece of request) {
      hash.update(piece);
      bytes += piece.length;
    }
    response.end(JSON.stringify({ bytes, sha256: hash.digest('hex') }));
  },
  // So many zeros; with a length, in chunks, or until the end of the connection.
  async '/zeros'(request, response, query) {
    let left = Number(query.get('bytes'));
    if (query.get('how') === 'length') response.setHeader('content-length', left);
    if (query.get('how') === 'end') response.useChunkedEncodingByDefault = false;
    const zeros = Buffer.alloc(65536);
    while (left > 0) {
      const piece = zeros.subarray(0, Math.min(left, zeros.length));
      left -= piece.length;
      if (!response.write(piece)) await new Promise((resolve) => response.once('drain', resolve));
    }
    response.end();
  },
  // An event at once, and another for each request of /event.
  '/events'(request, response) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('event: first\ndata: {}\n\n');
    listeners.add(response);
    request.socket.on('close', () => listeners.delete(response));
  },
  '/event'(request, response) {
    for (const listener of listeners) listener.write('event: next\ndata: {}\n\n');
    response.end(String(listeners.size));
  },
  // Answered when /release is asked.
  '/poll'(request, response) {
    polls.push(response);
    request.socket.on('close', () => (gone += 1));
  },
  '/release'(request, response) {
    response.end(String(polls.length));
    for (const poll of polls.splice(0)) poll.end('released');
  },
  '/polls': (request, response) => response.end(String(polls.length)),
  '/gone': (request, response) => response.end(String(gone)),
  '/early': (request, response) => response.writeHead(413).end('too large'),
};
const listeners = new Set();
const polls = [];
let gone = 0;

const server = http.createServer((request, response) => {
  requests += 1;
  const url = new URL(request.url, 'http://box');
  const answer = answers[url.pathname];
  if (!answer) return response.writeHead(404).end('no such page of the box');
  return Promise.resolve(answer(request, response, url.searchParams)).catch(() => {}); // of a client that leaves within its body
});

// An echo, one short frame at a time.
server.on('upgrade', (request, socket) => {
  const accept = crypto.createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  let unread = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (data) => {
    unread = Buffer.concat([unread, data]);
    while (unread.length >= 6) {
      const long = (unread[1] & 0x7f) === 126;
      const begin = long ? 8 : 6;
      if (unread.length < begin) break;
      const length = long ? unread.readUInt16BE(2) : unread[1] & 0x7f;
      if (unread.length < begin + length) break;
      const mask = unread.subarray(begin - 4, begin);
      const text = Buffer.from(unread.subarray(begin, begin + length).map((byte, i) => byte ^ mask[i % 4]));
      const opcode = unread[0] & 0x0f;
      socket.write(frame(opcode, text));
      unread = unread.subarray(begin + length);
      if (opcode === 8) socket.end();
    }
  });
});

server.listen(Number(port), address, () => console.log('listening'));
