// What clients after 0.5.5 call, as they send it: there is none of them to install, so each call is made at the wire,
// with the key as they give it. Each row is one of the table in docs/client.md.

import assert from 'node:assert/strict';
import { Session } from '../e2e/lib/websocket.mjs';
import { until } from '../e2e/lib/until.mjs';
import { calls, daemon, sdk } from './client.mjs';

const { Box } = sdk;
const kHome = '/workspace/home';
const kReply = 'printf \'event: done\\ndata: {"output":"said"}\\n\\n\'';
const harness = (script) => ({ agent: 'custom', model: 'm', custom_runner: { command: '/bin/sh', args: ['-c', script], protocol: 'box-sse-v1' } });

export const rows = [];

/// An answer of the API to `method path body`; anything but `status` fails.
async function wire(method, path, body, status = 200) {
  const answer = await fetch(daemon.url + path, {
    method, headers: { Authorization: `Bearer ${daemon.key}`, ...(body && { 'content-type': 'application/json' }) }, body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert.equal(answer.status, status, `${method} ${path}: ${text}`);
  return text && JSON.parse(text);
}

/// A box made as newer clients make it: POST /v2/box, with the key as a bearer's.
class Wire {
  static async make(fields = {}) {
    return new Wire(await wire('POST', '/v2/box', fields, 201));
  }
  constructor({ id }) {
    this.id = id;
  }
  get(call, status) {
    return wire('GET', `/v2/box/${this.id}/${call}`, undefined, status);
  }
  post(call, body, status) {
    return wire('POST', `/v2/box/${this.id}/${call}`, body, status);
  }
  put(call, body, status) {
    return wire('PUT', `/v2/box/${this.id}/${call}`, body, status);
  }
  async sh(script) {
    const { exit_code: code, output, error } = await this.post('exec', { command: ['sh', '-c', script] });
    assert.equal(code, 0, error);
    return output;
  }
}

/// `call`: what is sent; `what`: what comes of it. `state`: what the table says besides "passes".
function newer(call, what, run, state = 'passes') {
  rows.push(`| ${call.startsWith('`') ? call : `\`${call}\``} | ${what} | ${state} |`);
  calls(`newer clients: ${call}: ${what}`, run);
}

newer('GET files/list', '`mod_time` is RFC 3339', async () => {
  const box = await Wire.make();
  await box.sh('touch -d "2026-01-02 03:04:05" file');
  const { files: [file] } = await box.get(`files/list?path=${kHome}`);
  assert.match(file.mod_time, /^2026-01-02T03:04:05(\.0+)?Z$/);
});

newer('GET files/read ?offset= &length=', 'a range of bytes; over 8 MiB 400', async () => {
  const box = await Wire.make();
  await box.sh('printf 0123456789 > file');
  const read = async (range) => (await box.get(`files/read?path=file&${range}`)).content;
  assert.deepEqual([await read('offset=2&length=3'), await read('offset=8&length=9'), await read('offset=3&length=0')], ['234', '89', '']);
  await box.get(`files/read?path=file&offset=0&length=${(8 << 20) + 1}`, 400);
});

newer('GET files/stat ?follow=', 'type, size, time, inode and version; of a link only when asked what it leads to', async () => {
  const box = await Wire.make();
  await box.sh('printf 12345 > file; ln -s file link; mkdir folder');
  const stat = (query) => box.get(`files/stat?path=${query}`);
  const { mod_time: time, ...file } = await stat('file');
  assert.deepEqual([file.type, file.size, new Date(time).toString() !== 'Invalid Date'], ['file', 5, true]);
  assert.ok(file.inode && file.version, JSON.stringify(file));
  assert.deepEqual([(await stat('folder')).type, (await stat('link')).type, await stat('link&follow=true')], ['directory', 'symlink', { ...file, mod_time: time }]);
  await box.sh('printf 67890 > file');
  assert.notEqual((await stat('file')).version, file.version);
});

newer('POST files/mkdir, files/rename, files/remove', '`{}`; a directory needs `recursive`', async () => {
  const box = await Wire.make();
  assert.deepEqual(await box.post('files/mkdir', { path: 'a/b', parents: true }), {});
  assert.deepEqual(await box.post('files/rename', { from: 'a/b', to: 'a/c' }), {});
  await box.post('files/remove', { path: 'a' }, 400);
  assert.equal(await box.sh('ls a'), 'c\n');
  assert.deepEqual(await box.post('files/remove', { path: 'a', recursive: true }), {});
  assert.equal(await box.sh('ls'), '');
});

newer('GET exec-session (WebSocket)', 'a command that is talked to in JSON frames, the key in `X-Box-Api-Key`', async () => {
  const box = await Wire.make();
  const session = await Session.open(undefined, `/v2/box/${box.id}/exec-session`, { type: 'start', argv: ['sh', '-c', 'read line; echo "got $line"; stty size; exit 3'], tty: true, rows: 30, cols: 90 },
    { url: daemon.url, headers: { 'X-Box-Api-Key': daemon.key } });
  session.text({ type: 'stdin', data: Buffer.from('word\n').toString('base64') });
  await session.finish();
  const said = Buffer.concat(session.texts.filter(({ type }) => type === 'stdout').map(({ data }) => Buffer.from(data, 'base64'))).toString();
  assert.match(said, /got word\r\n30 90\r\n/);
  const [{ pid, execId }] = session.texts.filter(({ type }) => type === 'started');
  assert.ok(pid > 0 && execId);
  assert.deepEqual(session.texts.at(-1), { type: 'exit', code: 3 });
});

newer('POST git/exec', '200 with `exit_code`, whatever git says', async () => {
  const box = await Wire.make({ runtime: 'git' });
  const { exit_code: code, output } = await box.post('git/exec', { args: ['log'] });
  assert.equal(code, 128);
  assert.match(output, /not a git repository/);
});

newer('POST git/clone', '`folder` is the destination and need not exist; `depth` is git\'s', async () => {
  const box = await Wire.make({ runtime: 'git' });
  await box.sh('git init -q origin && cd origin && for i in 1 2 3; do git commit -q --allow-empty -m $i; done');
  await box.post('git/clone', { repo: `file://${kHome}/origin`, folder: 'far/away', depth: 1 });
  assert.equal(await box.sh('git -C far/away rev-list --count HEAD'), '1\n');
  await box.sh('mkdir there && mv origin there');
  await box.post('git/clone', { repo: `${kHome}/there/origin` }); // its own name
  assert.equal(await box.sh('git -C origin rev-list --count HEAD'), '3\n');
});

newer('PUT config/git', 'both values that hold; they are in git\'s configuration from the beginning', async () => {
  const box = await Wire.make({ runtime: 'git', git_user_name: 'Jane' });
  const [name, email] = (await box.sh('git config --global user.name; git config --global user.email')).trim().split('\n');
  assert.equal(name, 'Jane');
  assert.deepEqual(await box.put('config/git', { git_user_name: 'Jo' }), { git_user_name: 'Jo', git_user_email: email });
  assert.equal(await box.sh('git config --global user.name'), 'Jo\n');
});

newer('GET git/status, git/diff', 'outside of a repository a sentence', async () => {
  const box = await Wire.make({ runtime: 'git' });
  for (const call of ['status', 'diff']) assert.match((await box.get(`git/${call}`, 409)).error, /not a git repository/);
});

newer('POST git/checkout', 'switches; a branch that is nowhere is an error', async () => {
  const box = await Wire.make({ runtime: 'git' });
  await box.sh('git init -q -b main . && git commit -q --allow-empty -m one && git branch other');
  await box.post('git/checkout', { branch: 'other' });
  assert.equal(await box.sh('git branch --show-current'), 'other\n');
  assert.match((await box.post('git/checkout', { branch: 'none' }, 409)).error, /^branch: "none" is neither here/);
});

newer('POST git/create-issue, git/create-pr', '`attach` too; `e2e/git` has a forge for them', async () => {
  const box = await Wire.make({ runtime: 'git', github_token: 'ghp_0' });
  await box.sh('git init -q . && echo x > log');
  for (const call of ['create-issue', 'create-pr']) assert.match((await box.post(`git/${call}`, { title: 't', body: 'b', attach: ['log'] }, 409)).error, /origin/);
}, 'refused, as it should be');

newer('POST run', 'a second prompt waits for its turn', async () => {
  const box = await Wire.make(harness(`cd ${kHome}; [ -e go ] || until [ -e go ]; do read x < fifo; done; ${kReply}`));
  await box.sh('mkfifo fifo');
  const ids = [];
  for (const prompt of ['one', 'two']) ids.push((await box.post('run', { prompt, webhook: { url: 'https://example.invalid/' } })).run_id);
  const statuses = async () => Promise.all(ids.map(async (id) => (await box.get(`runs/${id}`)).status));
  assert.deepEqual(await statuses(), ['running', 'running']);
  await box.sh('touch go; echo > fifo');
  await until('both have ended', async () => (await statuses()).every((status) => status === 'completed'));
});

newer('GET, PUT, DELETE startup', 'of any box; a paused one stays asleep', async () => {
  const box = await Wire.make({ init_command: 'pwd > where' });
  await until('it has run', async () => (await box.sh('cat where || true')) === `${kHome}\n`);
  await box.post('pause');
  await box.put('startup', { init_command: 'true' });
  assert.equal((await box.get('startup')).init_command, 'true');
  await wire('DELETE', `/v2/box/${box.id}/startup`);
  assert.equal((await box.get('status')).status, 'paused');
});

newer('POST fork', 'of the oldest clients: one box', async () => {
  const box = await Wire.make();
  await box.sh('echo here > file');
  const { id, boxes } = await box.post('fork', {}, 201);
  assert.equal(await new Wire({ id }).sh('cat file'), 'here\n');
  assert.equal(boxes.length, 1);
});

newer('PATCH schedules/{schedule}', 'what is given; what is empty goes', async () => {
  const box = await Wire.make();
  const made = await box.post('schedules', { type: 'exec', cron: '0 0 1 1 *', command: ['true'], webhook_url: 'https://example.org/' }, 201);
  const { webhook_url, ...rest } = made;
  const changed = await wire('PATCH', `/v2/box/${box.id}/schedules/${made.id}`, { command: ['false'], webhook_url: '' });
  assert.deepEqual(changed, { ...rest, command: ['false'], updated_at: changed.updated_at });
});

newer('POST, GET preview', 'a second for a port replaces the first; a list tells `id`, `created_at`, `basic_auth`, `bearer_token`', async () => {
  const box = await Wire.make();
  await box.post('pause');
  const first = await box.post('preview', { port: 3000 }, 201);
  await box.post('preview', { port: 3000, bearer_token: true }, 201);
  const { previews } = await box.get('preview');
  assert.deepEqual(previews.map(({ id, created_at, ...rest }) => [Boolean(id && created_at), rest]), [[true, { port: 3000, url: first.url, basic_auth: false, bearer_token: true }]]);
});

newer('POST /v2/box `attach_headers`, `network_policy.allowed_domains`', 'write-only headers for hosts; a policy by name (`e2e/attached`, `e2e/network_names`)', async () => {
  const box = await Wire.make({ attach_headers: { '*.example.org': { 'X-Key': 'secret' } }, network_policy: { mode: 'custom', allowed_domains: ['API.example.org.'] } });
  const told = await wire('GET', `/v2/box/${box.id}`);
  assert.deepEqual(told.network_policy, { mode: 'custom', allowed_domains: ['api.example.org'] });
  assert.ok(!JSON.stringify(told).includes('secret'));
  assert.deepEqual(await box.get('config/attach-headers'), { attach_headers: { '*.example.org': { 'X-Key': '********' } } });
});

newer('POST /v2/box', '`runtime` knows node, python, golang, ruby and rust, each also with `-alpine`', async () => {
  const { error } = await wire('POST', '/v2/box', { runtime: 'perl' }, 400);
  assert.match(error, /^runtime: no image is called "perl"/);
  for (const runtime of ['node', 'python-alpine', 'golang', 'ruby-alpine', 'rust']) {
    assert.match((await wire('POST', '/v2/box', { runtime }, 400)).error, /make it with: hutch image build/, runtime);
  }
  assert.equal((await wire('POST', '/v2/box', { runtime: 'git-alpine' }, 201)).runtime, 'git');
}, 'passes; each is made by `hutch image build`');

newer('browser/* (17 calls)', '501 and a sentence', async () => {
  const box = await Wire.make();
  for (const call of ['browser/goto', 'browser/screenshot']) assert.match((await box.post(call, {}, 501)).error, /browser/);
  assert.match((await wire('POST', '/v2/box', { browser: true }, 501)).error, /^browser/);
}, 'answers 501');
rows.push('| `ssh BOX@HOST`, password: an API key | commands, shells, files and `-L`, by [hutch-ssh](ssh.md) (`e2e/ssh`) | passes |');
