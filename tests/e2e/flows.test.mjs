// The same work by curl over the Unix socket and by the hutch command: whoever has either needs nothing else.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';
import { hutch, json, output } from './lib/command.mjs';
import { gitImage } from './lib/git-image.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs('curl', 'git', 'ldd');
const directory = fs.mkdtempSync('/var/tmp/hutch-flows-');
after(() => fs.rmSync(directory, { recursive: true }));
const daemon = suite({ import: { git: gitImage(directory) } });

/// What curl prints of a call that must succeed.
async function curl(method, target, ...args) {
  const child = spawn('curl', ['--silent', '--show-error', '--fail-with-body', '--unix-socket', daemon.socket, '-X', method, ...args, `http://hutch${target}`]);
  const pieces = [];
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => pieces.push(piece));
  const [code] = await once(child, 'close');
  const text = Buffer.concat(pieces).toString();
  assert.equal(code, 0, `curl ${method} ${target}: ${text}`);
  return text;
}
const call = async (method, target, body) => JSON.parse(await curl(method, target, ...(body === undefined ? [] : ['--json', JSON.stringify(body)])));

// Each flow has a box by its name, and asks for the same of both.
const byCurl = {
  create: (name, { labels, env }) => call('POST', '/v2/box', { name, labels, env_vars: env, runtime: 'git' }),
  async sh(name, script) {
    const { exit_code: code, output: out, error: err = '' } = await call('POST', `/v2/box/${name}/exec`, { command: ['sh', '-c', script] });
    return { code, said: out + err };
  },
  upload: (name, file, to) => curl('POST', `/v2/box/${name}/files/upload`, '-F', `paths=${to}`, '-F', `files=@${file}`),
  download: (name, from, file) => curl('GET', `/v2/box/${name}/files/download?folder=${encodeURIComponent(from)}`, '-o', file),
  status: async (name) => (await call('GET', `/v2/box/${name}/status`)).status,
  pause: (name) => call('POST', `/v2/box/${name}/pause`),
  runs: async (name) => (await call('GET', `/v2/box/${name}/runs`)).runs,
  snapshot: async (name, title) => (await call('POST', `/v2/box/${name}/snapshots`, { name: title })).id,
  restore: (id, name) => call('POST', '/v2/box/from-snapshot', { snapshot_id: id, name }),
  fork: (name, to) => call('POST', `/v2/box/${name}/fork`, { count: 2, name: to }),
  changed: async (name) => (await call('GET', `/v2/box/${name}/diff`)).changes.map(({ path: file }) => file),
  label: (name, label) => call('POST', `/v2/box/${name}/config/labels`, { label }),
  labelled: async (label) => (await call('GET', `/v2/box?label=${label}`)).map(({ name }) => name),
  setEnv: (name, value) => call('PUT', `/v2/box/settings/env/${name}`, { value }),
  unsetEnv: (name) => call('DELETE', `/v2/box/settings/env/${name}`),
  gitStatus: async (name) => (await call('GET', `/v2/box/${name}/git/status?folder=app`)).status,
  commit: async (name, message) => (await call('POST', `/v2/box/${name}/git/commit`, { message, folder: 'app' })).sha,
  usage: async (name) => (await call('GET', `/v2/box/${name}/usage`)).cpu_ns,
  remove: (names) => call('DELETE', '/v2/box', { ids: names }),
  removeSnapshot: (name, id) => call('DELETE', `/v2/box/${name}/snapshots/${id}`),
};

const run = (...args) => output(daemon, args);
const byHutch = {
  create: (name, { labels, env }) => run('create', name, '--image', 'git', ...labels.flatMap((label) => ['--label', label]), ...Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`])),
  async sh(name, script) {
    const { code, stdout, stderr } = await hutch(daemon, ['exec', name, '--', 'sh', '-c', script]);
    return { code, said: stdout + stderr };
  },
  upload: (name, file, to) => run('cp', file, `${name}:${to}`),
  download: (name, from, file) => run('cp', `${name}:${from}`, file),
  status: async (name) => (await json(daemon, ['inspect', name])).status,
  pause: (name) => run('pause', name),
  runs: async (name) => (await json(daemon, ['runs', name])).runs,
  snapshot: async (name, title) => (await run('snapshot', 'create', name, title)).trim(),
  restore: (id, name) => run('create', name, '--snapshot', id),
  fork: (name, to) => run('fork', name, '--count', '2', '--name', to),
  changed: async (name) => (await json(daemon, ['diff', name])).changes.map(({ path: file }) => file),
  label: (name, label) => run('label', 'add', name, label),
  labelled: async (label) => (await json(daemon, ['ls', '--label', label])).map(({ name }) => name),
  setEnv: (name, value) => run('env', 'set', `${name}=${value}`),
  unsetEnv: (name) => run('env', 'unset', name),
  gitStatus: (name) => run('git', 'status', name, '--folder', 'app'),
  commit: async (name, message) => (await run('git', 'commit', name, '-m', message, '--folder', 'app')).trim(),
  usage: async (name) => (await json(daemon, ['usage', name])).cpu_ns,
  remove: (names) => run('rm', ...names),
  removeSnapshot: (name, id) => run('snapshot', 'rm', id),
};

async function flow(by) {
  await by.create('dev', { labels: ['team:a'], env: { OWN: 'mine' } });
  await by.setEnv('ALL', 'ours');
  assert.deepEqual(await by.sh('dev', 'echo "$OWN $ALL"; echo oh >&2; exit 3'), { code: 3, said: 'mine ours\noh\n' });
  await by.unsetEnv('ALL');
  assert.equal((await by.runs('dev'))[0].status, 'failed');

  const [there, back] = ['there', 'back'].map((name) => path.join(directory, name));
  fs.writeFileSync(there, crypto.randomBytes(3 << 20));
  await by.upload('dev', there, 'data.bin');
  await by.download('dev', 'data.bin', back);
  assert.ok(fs.readFileSync(there).equals(fs.readFileSync(back)), 'byte for byte');

  await by.label('dev', 'busy');
  assert.deepEqual(await by.labelled('busy'), ['dev']);

  await by.pause('dev');
  assert.equal(await by.status('dev'), 'paused');
  assert.equal((await by.sh('dev', 'git init --quiet --template= app && cd app && echo one > file && echo awake')).said, 'awake\n');
  assert.match(await by.gitStatus('dev'), /\?\? file/);
  assert.match(await by.commit('dev', 'first'), /^[0-9a-f]{40}$/);
  assert.equal((await by.sh('dev', 'cd app && git log --format=%s')).said, 'first\n');
  assert.ok((await by.changed('dev')).includes('/workspace/home/data.bin'));

  const id = await by.snapshot('dev', 'state');
  await by.sh('dev', 'rm -r app');
  await by.restore(id, 'again');
  await by.fork('again', 'worker');
  for (const name of ['again', 'worker-1', 'worker-2']) assert.equal((await by.sh(name, 'cat app/file')).said, 'one\n', name);
  assert.ok(await by.usage('dev') > 0);
  await by.removeSnapshot('dev', id);
  await by.remove(['dev', 'again', 'worker-1', 'worker-2']);
  assert.deepEqual(await by.labelled('busy'), []);
}

leakless(daemon, 'a day of a box, by curl', () => flow(byCurl));
leakless(daemon, 'a day of a box, by hutch', () => flow(byHutch));
