// A dockerd of the test's own: in namespaces of its own for mounts and network, so that it touches neither the host's
// firewall nor another dockerd.

import { spawn, execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { until } from './until.mjs';

const chained = (below, diffId) => `sha256:${crypto.createHash('sha256').update(`${below} ${diffId}`).digest('hex')}`;

export class Docker {
  constructor(directory) {
    this.directory = directory;
    this.host = ['-H', `unix://${directory}/docker.sock`];
  }

  async open() {
    fs.mkdirSync(this.directory);
    const at = (name) => path.join(this.directory, name);
    const options = ['--iptables=false', '--ip6tables=false', '--bridge=none', '--storage-driver', 'vfs', '--data-root', at('data'),
      '--exec-root', at('exec'), '--pidfile', at('pid'), ...this.host];
    const script = 'ip link set lo up; mount -t tmpfs none /run; exec dockerd "$@"';
    this.log = fs.openSync(at('log'), 'w');
    this.process = spawn('unshare', ['-n', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', ...options], { stdio: ['ignore', this.log, this.log] });
    this.exited = once(this.process, 'exit');
    await until('dockerd answers', () => {
      try {
        return this.run('version') !== '';
      } catch {
        return false;
      }
    }, 60_000);
  }

  run(...args) {
    return execFileSync('/usr/bin/docker', [...this.host, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  }

  /// The directory in which the storage driver keeps the image's files.
  rootOf(image) {
    const diffIds = JSON.parse(this.run('image', 'inspect', image))[0].RootFS.Layers;
    const [, chain] = diffIds.slice(1).reduce(chained, diffIds[0]).split(':');
    const data = path.join(this.directory, 'data');
    const id = fs.readFileSync(path.join(data, 'image/vfs/layerdb/sha256', chain, 'cache-id'), 'utf8');
    return path.join(data, 'vfs/dir', id);
  }

  async close() {
    this.process.kill('SIGTERM');
    await this.exited;
    fs.closeSync(this.log);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}
