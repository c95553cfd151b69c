// A network outside of the host, made by the test: a namespace with a server, reached by a veth of its own.

import { execFileSync, spawn } from 'node:child_process';

export const kOutside = '203.0.113.2'; // documentation networks (RFC 5737): nobody's
export const kOther = '203.0.113.130';
export const kPort = 8080;

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export class Outside {
  /// `server`: the command that serves port kPort; it echoes what comes, if none is given. With a name and addresses
  /// of its own, `here` the host's end and `there` the others, one stands beside another.
  constructor(server = ['busybox', 'nc', '-ll', '-p', String(kPort), '-e', 'cat'], { name = 'outside-e2e', link = 'outside0', here = '203.0.113.1', there = [kOutside, kOther], prefix = 24 } = {}) {
    Object.assign(this, { command: server, name, link, here, there, prefix });
  }

  open() {
    this.close();
    ip('netns', 'add', this.name);
    ip('link', 'add', this.link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name);
    ip('addr', 'add', `${this.here}/${this.prefix}`, 'dev', this.link);
    ip('link', 'set', this.link, 'up');
    for (const address of this.there) ip('-n', this.name, 'addr', 'add', `${address}/${this.prefix}`, 'dev', 'eth0');
    ip('-n', this.name, 'link', 'set', 'eth0', 'up');
    this.server = spawn('ip', ['netns', 'exec', this.name, ...this.command], { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  close() {
    this.server?.kill();
    for (const pid of this.pids()) process.kill(pid);
    if (this.isOpen()) ip('netns', 'del', this.name);
  }

  isOpen() {
    return execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).split('\n').some((line) => line.split(' ')[0] === this.name);
  }

  /// Of what still runs in it.
  pids() {
    return this.isOpen() ? (execFileSync('ip', ['netns', 'pids', this.name], { encoding: 'utf8' }).match(/\d+/g) ?? []).map(Number) : [];
  }
}
