// Three hosts, as scripts/fleet-up makes them, each with its door.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Box } from './box.mjs';
import { ask } from './http.mjs';
import { until } from './until.mjs';

const kScript = path.join(import.meta.dirname, '../../../scripts/fleet-up');
const kName = (process.env.HUTCH_TEST_NAME ?? 'etest').slice(0, 5);
const [kRange] = (process.env.HUTCH_TEST_NETWORK ?? '198.19.64.0/20').split('/');
const [a, b, c] = kRange.split('.').map(Number);

/// One host: its own socket, whose caller is its operator.
class Host {
  constructor(fleet, number) {
    this.fleet = fleet;
    this.number = number;
    this.name = `h${number}`;
    this.directory = `/var/lib/hutch-${kName}/${this.name}`;
    this.socket = `/run/hutch-${kName}/${this.name}/hutch.sock`;
    this.url = `http://${fleet.net}.${10 + number}:8080`;
  }

  ask(method, target, options) {
    return ask(this.socket, method, target, options);
  }

  async json(method, target, body, status = 200) {
    const answer = await this.ask(method, target, { body });
    assert.equal(answer.status, status, `${this.name}: ${method} ${target}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /// The refusal's sentence.
  async refuses(status, about, method, target, options) {
    const answer = await this.ask(method, target, options);
    assert.equal(answer.status, status, `${this.name}: ${method} ${target}: ${answer.status} ${answer.text}`);
    assert.match(answer.json.error, about);
    return answer.json.error;
  }

  async box(body = {}, status = 201) {
    return new Box(this, await this.json('POST', '/v2/box', body, status));
  }

  /// The same box, seen through this door.
  seen(box) {
    return new Box(this, box.data);
  }

  get pid() {
    return Number(fs.readFileSync(`${this.directory}/pid`, 'utf8'));
  }

  async kill() {
    process.kill(this.pid, 'SIGKILL');
    await until(`${this.name} is gone`, () => !fs.existsSync(`/proc/${this.pid}`) || fs.readFileSync(`/proc/${this.pid}/stat`, 'utf8').includes(') Z'));
  }

  async start() {
    this.fleet.script('host', String(this.number));
    await until(`${this.name} answers`, () => this.ask('GET', '/v2').then(() => true, () => false));
  }
}

export class Fleet {
  constructor() {
    this.net = `${a}.${b}.${c}`;
    this.env = { ...process.env, FLEET_NAME: kName, FLEET_NET: this.net, FLEET_BOXES: `${a}.${b}.${c + 4}.0/22` };
    this.hosts = [1, 2, 3].map((number) => new Host(this, number));
    this.directory = `/var/lib/hutch-${kName}`;
  }

  script(...args) {
    return execFileSync(kScript, args, { env: this.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  }

  up() {
    this.script('down');
    this.said = this.script('up');
    this.key = fs.readFileSync(`${this.directory}/keys`, 'utf8').trim();
  }

  down() {
    this.script('down');
  }

  host(name) {
    return this.hosts.find((host) => host.name === name);
  }

  others(name) {
    return this.hosts.filter((host) => host.name !== name);
  }

  get etcdPid() {
    return Number(fs.readFileSync(`${this.directory}/etcd/pid`, 'utf8'));
  }

  async killEtcd() {
    process.kill(this.etcdPid, 'SIGKILL');
    await until('etcd is gone', () => !fs.existsSync(`/proc/${this.etcdPid}`) || fs.readFileSync(`/proc/${this.etcdPid}/stat`, 'utf8').includes(') Z'));
  }

  /// Every host's directory is up to date, and all hosts are there.
  async whole() {
    for (const host of this.hosts) {
      await until(`${host.name} sees all`, async () => {
        const { hosts, trouble } = await host.json('GET', '/v2/hosts');
        return trouble === undefined && hosts.length === 3 && hosts.every((one) => one.there);
      }, 60_000);
    }
  }

  async removeAll() {
    for (const host of this.hosts) {
      const boxes = await host.json('GET', '/v2/box?all=1');
      await host.json('DELETE', '/v2/box/snapshots', {});
      if (boxes.length > 0) await host.json('DELETE', '/v2/box', { ids: boxes.map((box) => box.id) });
    }
  }
}
