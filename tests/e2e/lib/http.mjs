// HTTP over a Unix socket.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { pipeline } from 'node:stream/promises';

// Reached only by a daemon that hangs: every call of the suites says something long before, unless it asks for more.
const kDeadlineMs = 60_000;

/// The request, and its answer as a stream: resolves when the answer's head is there. `sent` is called when the whole
/// request is with the kernel.
export async function open(socketPath, method, target, { body, stream, sent, headers = {}, deadline = kDeadlineMs } = {}) {
  const isJson = body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body);
  const bytes = isJson ? JSON.stringify(body) : body;
  const request = http.request({
    socketPath, method, path: target, agent: false, timeout: deadline,
    headers: { ...(isJson && { 'content-type': 'application/json' }), ...headers,
      ...(bytes !== undefined && { 'content-length': Buffer.byteLength(bytes) }) },
  });
  request.on('timeout', () => request.destroy(new Error(`${method} ${target}: no answer in ${deadline} ms`)));
  if (sent) request.on('finish', sent);
  const answered = once(request, 'response');
  request.on('error', () => {}); // `answered` tells; after the answer, that the rest of a refused body found no reader
  if (stream) {
    pipeline(stream, request).catch(() => {}); // a refusal may come before all is sent; `answered` tells
  } else {
    request.end(bytes);
  }
  const [response] = await answered;
  return response;
}

export async function ask(socketPath, method, target, options) {
  const response = await open(socketPath, method, target, options);
  const pieces = [];
  for await (const piece of response) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  return {
    status: response.statusCode,
    type: response.headers['content-type'],
    bytes,
    get text() {
      return bytes.toString();
    },
    get json() {
      return JSON.parse(bytes.toString());
    },
  };
}

/// The server-sent events of an answer, as they come.
export async function* events(response) {
  let text = '';
  for await (const piece of response) {
    text += piece;
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      if (text.startsWith(':')) continue; // a comment: nothing new yet
      const [, name, data] = /^event: (.*)\ndata: (.*)$/s.exec(text.slice(0, end));
      yield { name, data: JSON.parse(data) };
    }
  }
  assert.equal(text, '');
}
