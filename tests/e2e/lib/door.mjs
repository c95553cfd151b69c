// HUTCH_TEST_DOOR=NETWORK: what a suite asks of its hutchd goes through the door of another host of its fleet, which has
// no box and gets none. What is about the host itself is asked there.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import * as host from './host.mjs';
import { ask } from './http.mjs';
import { until } from './until.mjs';

export const kDoor = process.env.HUTCH_TEST_DOOR;

/// Whether a call is about the host that it comes to, and not about the boxes of all.
export const isOfHost = (target) => /^\/(metrics|healthz|v2$|v2\/(host|images|df|events|usage)\b)/.test(target);

export class Door {
  /// Of `daemon`, which has its directory, and no process yet. `port`: where it listens besides.
  constructor(daemon, freePort) {
    this.daemon = daemon;
    this.freePort = freePort;
    this.directory = path.join(daemon.directory, 'door');
    this.ownSocket = path.join(daemon.directory, 'owner.sock');
    this.socket = daemon.socket;
    this.name = `${daemon.name}d`.slice(-6);
  }

  async prepare() {
    fs.mkdirSync(this.directory);
    [this.etcd, this.peer, this.ownerPort, this.doorPort] = await Promise.all([1, 2, 3, 4].map(() => this.freePort()));
    const file = (name) => path.join(this.directory, name);
    const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore' });
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-x509', ...ec, '-subj', '/CN=fleet', '-keyout', file('ca.key'), '-out', file('ca.pem'));
    for (const name of ['owner', 'door']) {
      openssl('req', '-x509', ...ec, '-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`));
      fs.chmodSync(file(`${name}.key`), 0o600);
    }
    const [client, peer] = [`http://127.0.0.1:${this.etcd}`, `http://127.0.0.1:${this.peer}`];
    this.server = spawn('etcd', ['--data-dir', file('etcd'), '--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer,
      '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`, '--logger=zap'], { stdio: 'ignore' });
  }

  member(name, port) {
    const file = (kind) => path.join(this.directory, kind);
    return ['--fleet', 'test', '--fleet_host', name, '--fleet_etcd', `http://127.0.0.1:${this.etcd}`, '--fleet_listen', `127.0.0.1:${port}`,
      '--fleet_certificate', file(`${name}.pem`), '--fleet_key', file(`${name}.key`), '--fleet_ca', file('ca.pem')];
  }

  /// In place of the arguments that a hutchd by itself gets.
  ownerArgs(args) {
    const own = [...args];
    own[own.indexOf('--socket') + 1] = this.ownSocket;
    for (const option of ['--listen', '--tls_certificate', '--tls_key']) {
      const at = own.indexOf(option);
      if (at >= 0) (this.listening ??= []).push(...own.splice(at, 2));
    }
    return [...own, ...this.member('owner', this.ownerPort)];
  }

  async open(keyFile) {
    const { daemon } = this;
    this.process = spawn(process.env.HUTCHD, ['--name', this.name, '--state_dir', path.join(this.directory, 'state'), '--run_dir', path.join(this.directory, 'run'),
      '--socket', this.socket, '--network', kDoor, '--pool', '0', ...(this.listening ?? []), ...keyFile, ...this.member('door', this.doorPort)], { stdio: ['ignore', 'ignore', fs.openSync(path.join(this.directory, 'log'), 'a')] });
    this.exited = once(this.process, 'exit');
    const hosts = () => ask(this.socket, 'GET', '/v2/hosts').then((answer) => answer.json, () => ({ hosts: [] }));
    await until('both hosts are there', async () => (await hosts()).hosts.filter((host) => host.there).length === 2);
    await ask(this.socket, 'PUT', '/v2/hosts/door', { body: { state: 'cordoned' } });
    await until('the door gets no box', async () => (await hosts()).hosts.some((host) => host.state === 'cordoned'));
  }

  async close() {
    this.process?.kill('SIGTERM');
    await this.exited;
    this.server?.kill('SIGKILL');
    await host.sweep(this.name);
  }
}
