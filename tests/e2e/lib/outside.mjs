// A network outside of the host, made by the test: a namespace with a server, reached by a veth of its own.

import { execFileSync, spawn } from 'node:child_process';

const kName = 'outside-e2e';
const kLink = 'outside0';
export const kOutside = '203.0.113.2'; // documentation networks (RFC 5737): nobody's
export const kOther = '203.0.113.130';
export const kPort = 8080;

const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export class Outside {
  /// `server`: the command that serves port kPort; it echoes what comes, if none is given.
  constructor(server = ['busybox', 'nc', '-ll', '-p', String(kPort), '-e', 'cat']) {
    this.command = server;
  }

  open() {
    this.close();
    ip('netns', 'add', kName);
    ip('link', 'add', kLink, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', kName);
    ip('addr', 'add', '203.0.113.1/24', 'dev', kLink);
    ip('link', 'set', kLink, 'up');
    for (const address of [kOutside, kOther]) ip('-n', kName, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', kName, 'link', 'set', 'eth0', 'up');
    this.server = spawn('ip', ['netns', 'exec', kName, ...this.command], { stdio: ['ignore', 'ignore', 'inherit'] });
  }

  close() {
    this.server?.kill();
    for (const pid of this.pids()) process.kill(pid);
    if (execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).includes(kName)) ip('netns', 'del', kName);
  }

  /// Of what still runs in it.
  pids() {
    const listed = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' }).includes(kName);
    return listed ? (execFileSync('ip', ['netns', 'pids', kName], { encoding: 'utf8' }).match(/\d+/g) ?? []).map(Number) : [];
  }
}
