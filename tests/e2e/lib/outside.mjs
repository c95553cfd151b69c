// A network outside of the host, made by the test: a namespace with a server, reached by a veth of its own.

import { execFileSync, spawn } from 'node:child_process';

export const kOutside = '203.0.113.2'; // documentation networks (RFC 5737): nobody's
export const kOther = '203.0.113.130';
export const kPort = 8080;

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export class Outside {
  /// `server`: the command that serves port kPort; it echoes what comes, if none is given. With a name and a network of
  /// its own one stands beside another.
  constructor(server = ['busybox', 'nc', '-ll', '-p', String(kPort), '-e', 'cat'], { name = 'outside-e2e', link = 'outside0', network = '203.0.113' } = {}) {
    Object.assign(this, { command: server, name, link, network });
  }

  open() {
    this.close();
    ip('netns', 'add', this.name);
    ip('link', 'add', this.link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name);
    ip('addr', 'add', `${this.network}.1/24`, 'dev', this.link);
    ip('link', 'set', this.link, 'up');
    for (const host of [kOutside, kOther].map((address) => address.split('.')[3])) ip('-n', this.name, 'addr', 'add', `${this.network}.${host}/24`, 'dev', 'eth0');
    ip('-n', this.name, 'link', 'set', 'eth0', 'up');
    this.server = spawn('ip', ['netns', 'exec', this.name, ...this.command], { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  close() {
    this.server?.kill();
    for (const pid of this.pids()) process.kill(pid);
    if (execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).includes(this.name)) ip('netns', 'del', this.name);
  }

  /// Of what still runs in it.
  pids() {
    const listed = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).includes(this.name);
    return listed ? (execFileSync('ip', ['netns', 'pids', this.name], { encoding: 'utf8' }).match(/\d+/g) ?? []).map(Number) : [];
  }
}
