// The examples of the documentation, as they stand there: each call of docs/api.md by curl, and the job of docs/ci.md.
// With HUTCH_WRITE_ANSWERS=1 the answers in docs/api.md are written anew; without, they are held to have what is shown.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { Box } from './lib/box.mjs';
import { gitImage } from './lib/git-image.mjs';
import { freePort } from './lib/daemon.mjs';
import { layoutOf } from './lib/oci.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs('curl', 'git');
const directory = fs.mkdtempSync('/var/tmp/hutch-docs-');
after(() => fs.rmSync(directory, { recursive: true }));
const forge = http.createServer(async (request, response) => {
  let text = '';
  for await (const piece of request) text += piece;
  const pull = { html_url: 'https://github.com/acme/app/pull/7', number: 7, title: 'Say hello', base: { ref: 'main' } };
  response.writeHead(request.method === 'POST' ? 201 : 200, { 'content-type': 'application/json' }).end(JSON.stringify(request.method === 'POST' ? pull : { default_branch: 'main' }));
}).listen(0, '127.0.0.1');
await once(forge, 'listening');
after(() => {
  forge.close();
  forge.closeAllConnections();
});
const previewPort = await freePort();
const archive = gitImage(directory, { node: true });
const daemon = suite({ import: { debian: archive }, args: ['--preview_listen', `127.0.0.1:${previewPort}`, '--github_api_url', `http://127.0.0.1:${forge.address().port}`] });
daemon.args[daemon.args.indexOf('--default_image') + 1] = 'debian'; // that has git and node
const doc = (name) => fileOf(`../../docs/${name}`);
const fileOf = (name) => new URL(name, import.meta.url).pathname;

/// Not the one that waits for it: this process also answers as the forge.
async function bash(script, env, cwd) {
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', script], { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, complained] = ['', ''];
  shell.stdout.on('data', (piece) => (said += piece));
  shell.stderr.on('data', (piece) => (complained += piece));
  const [code] = await once(shell, 'close');
  assert.equal(code, 0, `${script}\n${said}\n${complained}`);
  return said;
}

// --- docs/api.md ---

const kSection = /^### (GET|POST|PUT|PATCH|DELETE) (\/\S+)\n(.*?)(?=^###? |(?![^]))/gms;
const kBlocks = /```sh\n(.*?)```\n(?:```(json|text)\n(.*?)```\n)?/s;

/// What `shown` tells is in `told`, as the same kind of thing.
function holds(shown, told, at) {
  if (shown === null || told === null) return;
  assert.equal(Array.isArray(told), Array.isArray(shown), at);
  assert.equal(typeof told, typeof shown, at);
  if (Array.isArray(shown)) {
    if (shown.length > 0) assert.ok(told.length > 0, `${at} is empty`);
    if (shown.length > 0) holds(shown[0], told[0], `${at}[0]`);
  } else if (typeof shown === 'object') {
    for (const [name, value] of Object.entries(shown)) {
      assert.ok(name in told, `${at}.${name} is not there; HUTCH_WRITE_ANSWERS=1 writes what is`);
      holds(value, told[name], `${at}.${name}`);
    }
  }
}

/// For reading: a member a line where all of it does not fit into one.
function pretty(value, indent = '') {
  const line = JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ');
  if (indent.length + line.length <= 120 || typeof value !== 'object') return line;
  const inner = `${indent}  `;
  if (Array.isArray(value)) return `[\n${value.map((each) => inner + pretty(each, inner)).join(',\n')}\n${indent}]`;
  let text = '';
  let row = inner;
  for (const [name, each] of Object.entries(value)) {
    const member = `${JSON.stringify(name)}: ${pretty(each, inner)},`;
    if (row.length + member.length > 120 && row !== inner) [text, row] = [`${text}${row.trimEnd()}\n`, inner];
    row += `${member} `;
  }
  return `{\n${text}${row.trimEnd().replace(/,$/, '')}\n${indent}}`;
}

const kWrites = process.env.HUTCH_WRITE_ANSWERS === '1';
const kMostShown = 12; // lines of an answer that is text
const shortened = (value) => {
  if (Array.isArray(value)) return value.slice(0, 2).map(shortened);
  if (typeof value === 'string' && value.length > 100) return `${value.slice(0, 60)}...`;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, shortened(each)]));
};

// In the box GitHub's repositories are directories; where a pull request goes, is read from the origin as it is.
const kHere = 'git config --global url./workspace/home/.insteadOf https://github.com/';
const demo = async () => new Box(daemon, await daemon.json('GET', '/v2/box/demo'));
// Neither a key, though it is of a daemon that is gone, nor what only the tests' host has.
const ofNoHost = (value) => JSON.parse(JSON.stringify(value).replaceAll(daemon.state, '/var/lib/hutch').replace(/(hutch|preview)_\w{52}/g, '$1_...').replaceAll(`localhost:${previewPort}`, 'localhost:8081').replaceAll(os.release(), '6.18.0'));

async function makeReady() {
  await (await demo()).sh(`${kHere}
    git init -q --bare -b main acme/app; git init -q -b main made; cd made; echo hi > hello.txt; git add .; git -c user.name=a -c user.email=b commit -q -m one
    git push -q ../acme/app main; cd ..; rm -r made
    git init -q -b main acme/tools.git; cd acme/tools.git; mkdir -p skills/pdf; echo how > skills/pdf/SKILL.md; git add .; git -c user.name=a -c user.email=b commit -q -m one`);
}

leakless(daemon, 'each call that docs/api.md shows does what is shown', { timeout: 280_000 }, async (context) => {
  const page = fs.readFileSync(doc('api.md'), 'utf8');
  const env = { S: daemon.socket, RUN: '', SNAPSHOT: '', SCHEDULE: '' };
  fs.copyFileSync(archive, path.join(directory, 'rootfs.tar'));
  fs.writeFileSync(path.join(directory, 'layout.tar'), layoutOf([fs.readFileSync(archive)], { User: 'boxuser', WorkingDir: '/srv' }, { name: 'team/app:1.2' }));
  fs.writeFileSync(path.join(directory, 'notes.txt'), 'notes\n');
  const marked = 'curl() { command curl -sS -w "\\n%{http_code} %{content_type}" "$@"; };';
  const shown = new Set();
  const written = [];
  for (const [whole, method, target, text] of page.matchAll(kSection)) {
    const call = `${method} ${target}`;
    shown.add(call);
    const found = kBlocks.exec(text);
    if (found === null) continue;
    const [block, script, kind, answer] = found;
    const forged = /\/create-(pr|issue)$/.test(call);
    if (forged) await (await demo()).sh('git config --global --remove-section url./workspace/home/');
    const said = await bash(`${marked}\n${script}`, env, directory);
    const [, body, status, type] = /^([^]*)\n(\d+) (.*)$/.exec(said);
    assert.ok(Number(status) < 300, `${call}: ${said}`);
    const json = type === 'application/json' ? JSON.parse(body) : null;
    env.RUN = json?.run_id ?? /"run_id":"(\w+)"/.exec(body)?.[1] ?? env.RUN;
    if (forged) await (await demo()).sh(kHere);
    if (call.endsWith('/snapshots') && json?.id) env.SNAPSHOT = json.id;
    if (call.endsWith('/schedules') && json?.id) env.SCHEDULE = json.id;
    if (call === 'POST /v2/box' && json.name === 'demo') await makeReady();
    if (kind === 'json' && !kWrites) holds(JSON.parse(answer), json, call);
    if (kind === 'text') assert.ok(body.length > 0, call);
    const lines = body.trimEnd().split('\n');
    const now = kind === 'json' ? pretty(ofNoHost(shortened(json))) : lines.slice(0, kMostShown).concat(lines.length > kMostShown ? ['...'] : []).join('\n');
    if (kind !== undefined) written.push([whole, whole.replace(block, () => `\`\`\`sh\n${script}\`\`\`\n\`\`\`${kind}\n${now}\n\`\`\`\n`)]);
  }
  for (const name of ['web', 'mine']) await daemon.json('DELETE', `/v2/images/${name}`);
  await daemon.json('DELETE', '/v2/images/team/app:1.2');
  assert.ok(shown.size > 60, `only ${shown.size} calls are shown`);
  const { calls } = await daemon.json('GET', '/v2');
  for (const call of shown) assert.ok(calls.includes(call) || call === 'GET /healthz', `${call} is no call`);
  const { paths } = JSON.parse(fs.readFileSync(doc('openapi.json'), 'utf8'));
  const built = calls.filter((call) => !('501' in (paths[call.split(' ')[1]]?.[call.split(' ')[0].toLowerCase()]?.responses ?? {})));
  context.diagnostic(`without an example: ${built.filter((call) => !shown.has(call)).join(', ') || 'none'}`);
  if (kWrites) fs.writeFileSync(doc('api.md'), written.reduce((all, [before, now]) => all.replace(before, () => now), page));
});

// --- docs/ci.md ---

leakless(daemon, 'the job of docs/ci.md, and its prepared box, do what they say', async () => {
  const blocks = [...fs.readFileSync(doc('ci.md'), 'utf8').matchAll(/```sh\n(.*?)```/gs)].map(([, script]) => script);
  const env = { HUTCH_HOST: `unix://${daemon.socket}`, PATH: `${path.dirname(process.env.HUTCH)}:${process.env.PATH}` };
  const work = fs.mkdtempSync(path.join(directory, 'job-'));
  fs.writeFileSync(path.join(work, 'main.c'), 'int main;\n');
  assert.match(await bash(blocks[0], env, work), /the tests run here/);
  assert.ok(fs.existsSync(path.join(work, 'results/main.c')));
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  await bash(blocks[1], env, work);
  assert.deepEqual((await daemon.json('GET', '/v2/box')).map(({ name }) => name).sort(), ['base', 'job-1', 'shard-1', 'shard-2', 'shard-3', 'shard-4']);
  assert.equal(await new Box(daemon, await daemon.json('GET', '/v2/box/shard-3')).read('tools'), 'installed\n');
  await daemon.removeAll();
  await daemon.json('DELETE', '/v2/box/snapshots');
});
