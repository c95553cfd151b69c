// What hutchd and a service manager say to each other.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { after, before, test } from 'node:test';
import readline from 'node:readline';
import { Daemon } from './lib/daemon.mjs';
import * as host from './lib/host.mjs';
import { needs } from './lib/suite.mjs';

needs('python3');
const daemon = new Daemon({ images: false });
const script = new URL('lib/service_manager.py', import.meta.url).pathname;
let manager;
let lines;

before(async () => {
  await host.sweep(daemon.name);
  const env = { ...process.env, WATCHDOG_USEC: '200000' };
  manager = spawn('python3', [script, daemon.socket, process.env.HUTCHD, ...daemon.args], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  lines = readline.createInterface(manager.stdout)[Symbol.asyncIterator]();
  await heard('bound');
});

after(async () => {
  manager.stdin.end();
  await once(manager, 'exit');
  await host.sweep(daemon.name);
  fs.rmSync(daemon.directory, { recursive: true, force: true });
});

const tell = (command) => manager.stdin.write(`${command}\n`);

/// Reads on to that line.
async function heard(line) {
  for (;;) {
    const { value, done } = await lines.next();
    assert.ok(!done && (line.startsWith('ended') || !value.startsWith('ended')), `no ${line}, but ${value}`);
    if (value === line) return;
  }
}

async function end() {
  tell('term');
  await heard('STOPPING=1');
  await heard('ended 0');
}

test('it says that it is ready, that it lives, and that it stops', { timeout: 60_000 }, async () => {
  tell('start');
  await heard('READY=1');
  assert.equal((await daemon.ask('GET', '/v2/host')).status, 200);
  for (let ping = 0; ping < 3; ++ping) await heard('WATCHDOG=1');
  await end();
});

test('the socket outlives it: the next one answers what was asked meanwhile', { timeout: 60_000 }, async () => {
  for (let round = 0; round < 2; ++round) {
    const asked = daemon.ask('GET', '/v2/host');
    tell('start');
    assert.equal((await asked).status, 200);
    await end();
    assert.ok(fs.existsSync(daemon.socket));
  }
});

test('it refuses to serve on what is no listening socket', { timeout: 60_000 }, () => {
  const other = fs.openSync('/dev/null', 'r');
  const args = ['-c', 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', 'sh', process.env.HUTCHD, ...daemon.args];
  const { status, stderr } = spawnSync('sh', args, { stdio: ['ignore', 'ignore', 'pipe', other] });
  fs.closeSync(other);
  assert.equal(status, 1);
  assert.match(stderr.toString(), /LISTEN_FDS: must be one listening Unix stream socket; .*ListenStream=/);
});
