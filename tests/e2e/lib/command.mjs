// The `hutch` command, run as its user runs it: with pipes, or on a terminal.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

function environment(daemon, env) {
  const { NO_COLOR, HUTCH_API_KEY, ...own } = process.env;
  return { ...own, HUTCH_HOST: `unix://${daemon.socket}`, TZ: 'UTC', LC_ALL: 'C.UTF-8', ...env };
}

function collect(stream) {
  const pieces = [];
  stream.on('data', (piece) => pieces.push(piece));
  return pieces;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const commandLine = (args) => [process.env.HUTCH, ...args].map(quoted).join(' ');

/// Starts it; `ended` is how it ends. `input`: what it reads, nothing when there is none, which has no end while it is
/// `open`; `shell`: makes the command line of a shell of it.
export function start(daemon, args, { input = '', open = false, env, cwd = daemon.directory, shell } = {}) {
  const options = { env: environment(daemon, env), cwd };
  const child = shell ? spawn('bash', ['-c', shell(commandLine(args))], options) : spawn(process.env.HUTCH, args, options);
  child.stdin.on('error', () => {}); // it may end before it has read all
  child.stdin.write(input);
  if (!open) child.stdin.end();
  const [out, err] = [collect(child.stdout), collect(child.stderr)];
  const ended = once(child, 'close').then(([code, signal]) => {
    const bytes = Buffer.concat(out);
    return { code, signal, bytes, stdout: bytes.toString(), stderr: Buffer.concat(err).toString() };
  });
  return { child, ended };
}

export function hutch(daemon, args, options) {
  return start(daemon, args, options).ended;
}

/// What it prints when it must succeed, and say nothing else.
export async function output(daemon, args, options) {
  const { code, stdout, stderr } = await hutch(daemon, args, options);
  assert.deepEqual([code, stderr], [0, ''], `hutch ${args.join(' ')}: ${stdout}`);
  return stdout;
}

export async function json(daemon, args, options) {
  return JSON.parse(await output(daemon, [...args, '--json'], options));
}

/// It must fail with that exit code and one sentence about it, and print nothing.
export async function complains(daemon, code, about, args, options) {
  const result = await hutch(daemon, args, options);
  const what = `hutch ${args.join(' ')}: ${result.stdout}${result.stderr}`;
  assert.deepEqual([result.code, result.stdout], [code, ''], what);
  assert.match(result.stderr, /^hutch: [^\n]+\n$/, what);
  assert.match(result.stderr, about, what);
}

/// On a terminal of script(1)'s, which echoes and signals as a real one does. `shell`: what is run there instead of it.
export class Terminal {
  constructor(daemon, args, { env, before = '', shell, cwd } = {}) {
    const command = `${before}exec ${shell ?? commandLine(args)}`;
    this.child = spawn('script', ['-qefc', command, '/dev/null'], { cwd, env: environment(daemon, { TERM: 'vt220', ...env }) });
    this.output = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.output += text;
    });
    this.closed = once(this.child, 'close');
  }

  type(text) {
    this.child.stdin.write(text);
  }

  async until(pattern) {
    while (!pattern.test(this.output)) {
      const open = await Promise.race([once(this.child.stdout, 'data').then(() => true), this.closed.then(() => false)]);
      assert.ok(open || pattern.test(this.output), `ended without ${pattern}: ${this.output}`);
    }
  }

  /// To its end: the exit code, and the output with its line ends made plain.
  async finish() {
    const [code] = await this.closed;
    return { code, output: this.output.replaceAll('\r\n', '\n') };
  }
}
