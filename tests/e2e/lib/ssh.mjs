// A hutch-ssh of the test's own, and OpenSSH's client as its users run it.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { after, before } from 'node:test';
import { Daemon } from './daemon.mjs';

export class SshDoor {
  /// Of that daemon, which listens on TCP.
  constructor(daemon) {
    this.daemon = daemon;
    this.key = path.join(daemon.directory, 'ssh-host-key');
    this.known = path.join(daemon.directory, 'ssh-known-hosts');
  }

  async launch(port = 0) {
    this.log = [];
    const args = ['--listen', `127.0.0.1:${port}`, '--host', this.daemon.url, '--host-key', this.key];
    this.process = spawn(process.env.HUTCH_SSH, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.exited = once(this.process, 'exit');
    const lines = readline.createInterface(this.process.stderr);
    await new Promise((resolve, reject) => {
      lines.on('line', (line) => {
        this.log.push(line);
        const listening = /listening on 127\.0\.0\.1:(\d+)$/.exec(line);
        if (listening) resolve(this.port = Number(listening[1]));
      });
      lines.on('close', () => reject(new Error(`hutch-ssh ended:\n${this.log.join('\n')}`)));
    });
  }

  async close() {
    this.process.kill('SIGTERM');
    assert.deepEqual(await this.exited, [0, null], this.log.join('\n'));
  }

  get options() {
    return ['-F', '/dev/null', '-o', 'StrictHostKeyChecking=accept-new', '-o', `UserKnownHostsFile=${this.known}`, '-o', 'LogLevel=ERROR', '-o', 'PubkeyAuthentication=no'];
  }

  /// Starts a program that asks for a password; `ended` is how it ends. `terminal`: on one of script(1)'s, after that
  /// command.
  start(words, { input = '', open = false, password = this.daemon.key, env = {}, terminal } = {}) {
    const line = ['sshpass', '-e', ...words];
    const [program, ...args] = terminal ? ['script', '-qefc', `${terminal}; exec ${line.map((word) => `'${word}'`).join(' ')}`, '/dev/null'] : line;
    const child = spawn(program, args, { env: { ...process.env, SSHPASS: password, TERM: 'vt220', LC_ALL: 'C.UTF-8', ...env } });
    child.stdin.on('error', () => {}); // it may end before it has read all
    child.stdin.write(input);
    if (!open) child.stdin.end();
    const [out, err] = [[], []];
    child.stdout.on('data', (piece) => out.push(piece));
    child.stderr.on('data', (piece) => err.push(piece));
    const ended = once(child, 'close').then(([code, signal]) => {
      const bytes = Buffer.concat(out);
      return { code, signal, bytes, stdout: bytes.toString(), stderr: Buffer.concat(err).toString() };
    });
    const said = async (text, pieces = out, stream = child.stdout) => {
      while (!Buffer.concat(pieces).includes(text)) {
        const more = await Promise.race([once(stream, 'data').then(() => true), ended.then(() => false)]);
        assert.ok(more || Buffer.concat(pieces).includes(text), `ended without ${text}: ${Buffer.concat(out)}${Buffer.concat(err)}`);
      }
    };
    return { child, ended, said, complained: (text) => said(text, err, child.stderr) };
  }

  ssh(user, words, options = {}) {
    // Of two values of an option ssh takes the first.
    return this.start(['ssh', ...(options.more ?? []), ...this.options, '-p', String(this.port), `${user}@127.0.0.1`, ...words], options);
  }

  run(user, words, options) {
    return this.ssh(user, words, options).ended;
  }

  /// What a command prints that must succeed.
  async output(user, command, options) {
    const { code, stdout, stderr } = await this.run(user, [command], options);
    assert.equal(code, 0, `${command}: ${stdout}${stderr}`);
    return stdout;
  }

  /// What rsync is told to reach a box by.
  get shell() {
    return ['ssh', ...this.options, '-p', String(this.port)].join(' ');
  }
}

/// A daemon and a door for all tests of the file.
export function sshSuite(options) {
  const daemon = new Daemon({ ...options, tcp: true });
  const door = new SshDoor(daemon);
  before(async () => {
    await daemon.open();
    await door.launch();
  }, { timeout: 120_000 });
  after(async () => {
    await door.close();
    await daemon.close();
  }, { timeout: 60_000 });
  return { daemon, door };
}

/// Its directory for files of a test, empty.
export function scratch(daemon, name) {
  const directory = path.join(daemon.directory, name);
  fs.rmSync(directory, { recursive: true, force: true });
  fs.mkdirSync(directory);
  return directory;
}
