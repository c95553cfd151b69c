// A hutchd of the test's own: started, asked over its socket, stopped or killed, and looked over for leaks.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import readline from 'node:readline';
import { Box } from './box.mjs';
import { Door, isOfHost, kDoor } from './door.mjs';
import { baseImage } from './image.mjs';
import { ask } from './http.mjs';
import * as host from './host.mjs';
import { until } from './until.mjs';

// Not "hutch": neither daemon's link names may begin with the other's (netns/config.h). Others in the environment let
// two suites run on one host at the same time.
const kName = process.env.HUTCH_TEST_NAME ?? 'etest';
const kNetwork = process.env.HUTCH_TEST_NETWORK ?? '198.19.64.0/20';
// Lets any suite run on a store that is a btrfs in a file.
const kStoreSize = process.env.HUTCH_TEST_STORE_SIZE ? ['--store_size', process.env.HUTCH_TEST_STORE_SIZE] : [];
// Every box of the suite is one that was restored from a snapshot.
const kRestored = process.env.HUTCH_TEST_RESTORED === '1';
// Every box of the suite is one with nesting.
export const kNesting = process.env.HUTCH_TEST_NESTING === '1';

/// A port of this host that nobody has.
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export class Daemon {
  /// `args` come after our own, so that they win; `env`: is added to ours; `state`: its state directory, when not one of our own; `tcp`: it
  /// listens on `url` too, for who knows `key`; `import`: the archives of more images, by name; `name` and
  /// `network`: for a second one beside that of the file; `pool`: so much it makes ahead of need.
  constructor({ args = [], env = {}, state, images = true, import: more = {}, name = kName, network = kNetwork, tcp = false, pool = 4 } = {}) {
    this.name = name;
    this.env = env;
    this.more = more;
    this.tcp = tcp;
    this.pool = pool;
    this.directory = fs.mkdtempSync('/var/tmp/hutch-e2e-');
    this.state = state ?? path.join(this.directory, 'state');
    this.socket = path.join(this.directory, 'hutch.sock');
    this.args = [
      '--name', name, '--state_dir', this.state, '--run_dir', path.join(this.directory, 'run'), '--socket', this.socket,
      '--network', network, '--default_image', 'busybox', '--pool', String(pool),
      ...(args.includes('--store_size') ? [] : kStoreSize), ...(kNesting ? ['--allow_nesting'] : []), ...args,
    ];
    this.images = images;
    if (kDoor) this.door = new Door(this, freePort);
  }

  /// As the daemon sees it: a store that is a file system of its own is mounted for nobody else.
  get store() {
    const store = path.join(this.state, 'store');
    return this.running ? path.join(`/proc/${this.process.pid}/root`, store) : store;
  }

  /// Brings it up with its images and remembers the host as it is then: what the tests come back to.
  async open() {
    await host.sweep(this.name);
    assert.deepEqual(host.leftovers(this), host.nothing, 'an earlier run left something behind; remove it by hand');
    this.links = new host.LinkMonitor(this.name);
    await this.door?.prepare();
    if (this.tcp) await this.listen();
    if (this.door) this.args = this.door.ownerArgs(this.args);
    await this.launch();
    await this.door?.open(this.tcp ? ['--api_key_file', path.join(this.directory, 'keys')] : []);
    if (this.images) {
      const archive = baseImage(this.directory);
      await this.import('busybox', archive);
      await this.import('busybox-root', archive, '?user=root');
      for (const [name, file] of Object.entries(this.more)) await this.import(name, file);
      while (this.links.heard === 0) await (await this.box()).remove();
    }
    this.baseline = await this.census();
  }

  async listen() {
    this.port = await freePort();
    this.url = `http://127.0.0.1:${this.port}`;
    this.key = crypto.randomBytes(16).toString('hex');
    const file = path.join(this.directory, 'keys');
    fs.writeFileSync(file, `${this.key}\n`, { mode: 0o600 });
    this.args.push('--listen', `127.0.0.1:${this.port}`, '--api_key_file', file);
  }

  async import(name, file, query = '') {
    const answer = await this.ask('PUT', `/v2/images/${name}${query}`, { stream: fs.createReadStream(file) });
    assert.equal(answer.status, 201, answer.text);
    return answer.json;
  }

  /// Starts the program; what it says is in `log`.
  spawn() {
    this.log = [];
    // TURNS: ends it when a turn of its event loop takes too long (../turns.cpp).
    const preload = [this.env.LD_PRELOAD, process.env.TURNS].filter(Boolean).join(':');
    const env = { ...process.env, ...this.env, ...(preload && { LD_PRELOAD: preload }) };
    this.process = spawn(process.env.HUTCHD, this.args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    this.exited = once(this.process, 'exit');
    const lines = readline.createInterface(this.process.stderr);
    lines.on('line', (line) => this.log.push(line));
    this.firstLine = once(lines, 'line');
    return lines;
  }

  /// Ready once it says so itself. Rejects with its log if it ends before that.
  async launch() {
    const lines = this.spawn();
    const last = this.door ? this.door.ownSocket : this.tcp ? `127.0.0.1:${this.port}` : this.socket;
    await new Promise((resolve, reject) => {
      lines.on('line', (line) => line.includes(`listening on ${last}`) && resolve());
      lines.on('close', () => reject(new Error(`hutchd ended:\n${this.log.join('\n')}`)));
    });
  }

  get running() {
    return this.process !== undefined && this.process.exitCode === null && this.process.signalCode === null;
  }

  /// Fails if it has crashed, and brings it up again for the tests that follow.
  async assertAlive() {
    const alive = await this.ask('GET', '/v2/host').then(() => true, () => false);
    if (alive) return;
    if (this.running) await this.exited; // the broken connection was quicker than the news of its end
    const { log } = this;
    const how = this.process.signalCode ?? this.process.exitCode;
    await this.launch();
    assert.fail(`hutchd ended by itself (${how}):\n${log.join('\n')}`);
  }

  async end(signal) {
    this.process.kill(signal);
    const [code, by] = await this.exited;
    return { code, signal: by };
  }

  /// Ends everything, and fails if anything of it is left on the host.
  async close() {
    try {
      if (this.running) {
        await this.removeAll();
        await this.settled();
        assert.deepEqual(await this.end('SIGTERM'), { code: 0, signal: null }, this.log.join('\n'));
      }
      await this.links.settle(0);
      assert.deepEqual(host.leftovers(this), host.nothing);
    } finally {
      this.links?.close();
      await this.door?.close();
      await host.sweep(this.name);
      fs.rmSync(this.directory, { recursive: true, force: true });
    }
  }

  /// One request on a connection of its own. `body`: an object becomes JSON, text and bytes go as they are.
  ask(method, target, options) {
    return ask(this.door && isOfHost(target) ? this.door.ownSocket : this.socket, method, target, options);
  }

  async json(method, target, body, status = 200) {
    const answer = await this.ask(method, target, { body });
    assert.equal(answer.status, status, `${method} ${target}: ${answer.status} ${answer.text}`);
    return answer.json;
  }

  /// Asserts a refusal: its status, and that its one sentence says `about`.
  async refuses(status, about, method, target, options) {
    const answer = await this.ask(method, target, options);
    assert.equal(answer.status, status, `${method} ${target}: ${answer.status} ${answer.text}`);
    assert.deepEqual(Object.keys(answer.json), ['error']);
    assert.match(answer.json.error, about);
    assert.doesNotMatch(answer.json.error, /\n/);
    return answer.json.error;
  }

  async box(body = {}) {
    const made = new Box(this, await this.json('POST', '/v2/box', { ...(kNesting && { nesting: true }), ...body }, 201));
    return kRestored ? this.restored(made, body) : made;
  }

  /// The like of a new box, from a snapshot of it; it and the snapshot are gone.
  async restored(box, { runtime, ...body }) {
    const { id } = await this.json('POST', `${box.path}/snapshots`, { name: 'the-box-before' }, 201);
    await box.remove();
    const copy = new Box(this, await this.json('POST', '/v2/box/from-snapshot', { snapshot_id: id, ...body }, 201));
    await this.json('DELETE', '/v2/box/snapshots', { ids: [id] });
    return copy;
  }

  /// A box whose commands run as its root.
  rootBox(body = {}) {
    return this.box({ runtime: 'busybox-root', ...body });
  }

  async removeAll() {
    const boxes = await this.json('GET', '/v2/box');
    if (boxes.length > 0) await this.json('DELETE', '/v2/box', { ids: boxes.map((box) => box.id) });
  }

  /// Nothing is being deleted any more, the pool of slots is full again, and the trash is out.
  async settled() {
    const { boxes, boxes_ready: ready } = await until('deletions are finished and the pool is full', async () => {
      const state = await this.json('GET', '/v2/host');
      return state.deleting === 0 && state.slots_ready === this.pool
        && state.boxes_ready.length === state.boxes_wanted
        && (state.uppers_ready === null || this.pool === 0 || state.uppers_ready > this.pool / 2) && state;
    });
    await this.links.settle(this.pool + boxes + ready.length);
    await until('every connection is closed', () => host.connections(this.socket, this.port) === 0);
    await until('journals of deleted boxes are gone', () => fs.readdirSync(path.join(this.state, 'runs')).length <= boxes);
    await until('the trash is empty', () => fs.readdirSync(path.join(this.store, 'trash')).length === 0, 60_000);
    return ready;
  }

  /// What the daemon and its boxes hold of the host now, but for the boxes that it made ahead.
  async census() {
    const census = host.census(this, await this.settled());
    if (this.door) delete census.descriptors; // connections between hosts are kept
    return census;
  }

  /// Removes what boxes there are and compares the host with what it was after open().
  async assertNoLeak() {
    await this.removeAll();
    assert.deepEqual(await this.census(), this.baseline);
  }
}
