// Servers for tests of names: TLS, HTTP and one that speaks first, each telling by what name it was reached. Run inside a network namespace.

import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';

const [directory] = process.argv.slice(2);
const pem = (name) => fs.readFileSync(`${directory}/${name}.pem`);

const web = http.createServer((request, response) => {
  const { servername, localAddress } = request.socket;
  response.write(`${servername === undefined ? 'http' : `tls ${servername || '-'}`} ${request.headers.host} ${localAddress}\n`);
  if (request.url !== '/slow') response.end();
});
web.on('upgrade', (request, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello'));
web.listen(80, '0.0.0.0');
tls.createServer({ key: pem('key'), cert: pem('cert') }, (socket) => web.emit('connection', socket)).on('tlsClientError', () => {}).listen(443, '0.0.0.0');
net.createServer((socket) => {
  socket.on('error', () => {});
  socket.write('SSH-2.0-here\r\n');
  socket.pipe(socket);
}).listen(22, '0.0.0.0');
