// Run in a network namespace: HTTPS servers of several names on one port 443 of each address, with the certificates in
// the directory DIRECTORY/NAME, and one that is no HTTP. What they hear is a line of JSON each in DIRECTORY/heard.
//     node tls-servers.mjs DIRECTORY NAME...

import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import tls from 'node:tls';

const [directory, ...names] = process.argv.slice(2);
const read = (name) => ({ cert: fs.readFileSync(`${directory}/${name}/certificate.pem`), key: fs.readFileSync(`${directory}/${name}/key.pem`) });
const contexts = Object.fromEntries(names.map((name) => [name, tls.createSecureContext(read(name))]));
let connections = 0; // each with a number
const hear = (what) => fs.appendFileSync(`${directory}/heard`, `${JSON.stringify(what)}\n`);

const server = https.createServer({
  ...read(names[0]),
  SNICallback: (name, done) => done(null, contexts[name] ?? contexts[names[0]]),
}, async (request, response) => {
  let body = '';
  try {
    for await (const piece of request) body += piece;
  } catch {
    return; // its client has left
  }
  const { socket } = request;
  socket.number ??= ++connections;
  socket.requests = (socket.requests ?? 0) + 1;
  hear({ connection: socket.number, name: socket.servername, protocol: socket.alpnProtocol, method: request.method, url: request.url, headers: request.rawHeaders, body });
  if (request.url === '/large') return response.end('x'.repeat(4 << 20));
  if (request.url === '/chunks') {
    response.write('one,');
    return response.end('two');
  }
  if (request.url === '/last') response.setHeader('Connection', 'close');
  if (request.url === '/first-only' && socket.requests > 1) return socket.destroy();
  response.end(`${request.url}\n`);
});
server.on('upgrade', (request, socket) => {
  hear({ name: request.socket.servername, url: request.url, headers: request.rawHeaders });
  const accept = crypto.createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.on('data', (bytes) => socket.write(bytes));
  socket.on('error', () => {});
});
server.listen(443, '0.0.0.0', () => hear({ listening: true }));
