// Debian's docker-registry, started by the test and filled by skopeo, and what stands before it.

import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import { freePort } from './daemon.mjs';
import { until } from './until.mjs';

const digestOf = (bytes) => `sha256:${crypto.createHash('sha256').update(bytes).digest('hex')}`;

/// An OCI layout in `directory`: of each of these archives a layer, the lowest first. `config`: of the image's own.
export function layout(directory, archives, config = {}, platform = { architecture: { x64: 'amd64' }[process.arch] ?? process.arch, os: 'linux' }) {
  const blobs = path.join(directory, 'blobs/sha256');
  fs.mkdirSync(blobs, { recursive: true });
  const put = (mediaType, bytes) => {
    const digest = digestOf(bytes);
    fs.writeFileSync(path.join(blobs, digest.slice(7)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layers = archives.map((bytes) => put('application/vnd.oci.image.layer.v1.tar+gzip', zlib.gzipSync(bytes, { level: 1 })));
  const image = { ...platform, config, rootfs: { type: 'layers', diff_ids: archives.map(digestOf) } };
  const configured = put('application/vnd.oci.image.config.v1+json', Buffer.from(JSON.stringify(image)));
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = put(mediaType, Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config: configured, layers })));
  fs.writeFileSync(path.join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  fs.writeFileSync(path.join(directory, 'index.json'), JSON.stringify({
    schemaVersion: 2, manifests: [{ ...manifest, platform, annotations: { 'org.opencontainers.image.ref.name': 'it' } }] }));
  return { manifest, layers, config: configured };
}

export class Registry {
  /// `users`: their passwords by name, asked for by Basic; `certificate`: it speaks TLS.
  constructor(directory, { users, certificate } = {}) {
    Object.assign(this, { directory, users, certificate });
  }
  async open() {
    fs.mkdirSync(this.directory, { recursive: true });
    this.host = `127.0.0.1:${await freePort()}`;
    const lines = ['version: 0.1', 'storage:', '  filesystem:', `    rootdirectory: ${this.directory}/data`, 'http:', `  addr: ${this.host}`];
    if (this.certificate) lines.push('  tls:', `    certificate: ${this.certificate.certificate}`, `    key: ${this.certificate.key}`);
    if (this.users) {
      const file = `${this.directory}/htpasswd`;
      fs.writeFileSync(file, Object.entries(this.users).map(([name, password]) => execFileSync('htpasswd', ['-nbB', name, password])).join('\n'));
      lines.push('auth:', '  htpasswd:', '    realm: tests', `    path: ${file}`);
    }
    fs.writeFileSync(`${this.directory}/config.yml`, `${lines.join('\n')}\n`);
    this.process = spawn('docker-registry', ['serve', `${this.directory}/config.yml`], { stdio: 'ignore' });
    const [name, port] = this.host.split(':');
    await until('the registry listens', () => new Promise((resolve) => {
      const socket = net.connect(Number(port), name);
      socket.on('connect', () => resolve(true) ?? socket.destroy()).on('error', () => resolve(false));
    }));
  }
  /// Puts the layout in `from` there as `repository:tag`.
  push(from, name) {
    const user = Object.entries(this.users ?? {})[0];
    execFileSync('skopeo', ['copy', '--quiet', '--dest-tls-verify=false', ...(user ? ['--dest-creds', user.join(':')] : []),
      `oci:${from}:it`, `docker://${this.host}/${name}`]);
  }
  async close() {
    if (!this.process) return;
    const gone = once(this.process, 'exit');
    this.process.kill();
    await gone;
  }
}

/// What stands before a registry at the wire: `answer(request, response)` says true when it has answered itself; else
/// the registry does. All heads are in `seen`.
export class Before {
  constructor(registry, answer = () => false) {
    this.seen = [];
    this.server = http.createServer((request, response) => {
      this.seen.push({ method: request.method, url: request.url, headers: request.headers });
      if (answer(request, response, this)) return;
      const { authorization, ...headers } = request.headers;
      const passed = http.request(`http://${registry.host}${request.url}`, { method: request.method, headers }, (answered) => {
        response.writeHead(answered.statusCode, answered.headers);
        answered.pipe(response);
      });
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      request.pipe(passed);
    });
  }
  async open() {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.host = `127.0.0.1:${this.server.address().port}`;
    this.url = `http://${this.host}`;
  }
  /// How many blobs were asked for since the last call.
  blobs() {
    const count = this.seen.filter(({ method, url }) => method === 'GET' && url.includes('/blobs/')).length;
    this.seen = [];
    return count;
  }
  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
