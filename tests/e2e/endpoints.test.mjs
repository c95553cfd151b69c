// Every call of docs/openapi.json, with boxes in every state and with what it does not take. What each call is to do
// stands in the tables of lib/endpoints.mjs.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { ofBoxes, others } from './lib/endpoints.mjs';
import { gitImage } from './lib/git-image.mjs';
import { freePort } from './lib/daemon.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs('git', 'ldd');
const kTooLong = 'x'.repeat(17_000);
const document = JSON.parse(fs.readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'));
const directory = fs.mkdtempSync('/var/tmp/hutch-endpoints-');
const forge = http.createServer((_, response) => response.writeHead(201, { connection: 'close' }).end('{"html_url":"http://forge.invalid/7","number":7}'));
forge.listen(0, '127.0.0.1');
await once(forge, 'listening');
const daemon = suite({ tcp: true, import: { git: gitImage(directory) },
  args: ['--preview_listen', `127.0.0.1:${await freePort()}`, '--github_url', 'http://forge.invalid', '--github_api_url', `http://127.0.0.1:${forge.address().port}`] });

let key;
const stranger = async () => ({ 'x-box-api-key': await (key ??= daemon.json('POST', '/v2/keys', { name: 'stranger' }, 201).then((made) => made.key)), connection: 'close' });

after(() => {
  forge.close();
  fs.rmSync(directory, { recursive: true });
});

/// A call of the document, made as its row says.
class Call {
  constructor(name, row) {
    this.name = name;
    this.row = row;
    [this.method, this.route] = name.split(' ');
    this.operation = document.paths[this.route][this.method.toLowerCase()];
    this.status = row.status ?? Number(Object.keys(this.operation.responses).find((code) => !code.startsWith('4')));
  }

  /// A box as this call wants it, and what stands in the path and in bodies.
  async scene(make = this.row.make) {
    const box = await daemon.box(make);
    return { box, told: { id: box.id, ...await this.row.prepare?.(box) } };
  }

  target({ told, query = this.row.query, path }) {
    const values = { ...told, ...path };
    const route = this.route.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values[name] ?? 'none'));
    return query ? `${route}?${query}` : route;
  }

  options({ told, body = this.row.body, headers = this.row.headers }) {
    return { body: typeof body === 'function' ? body({ ...told, archive: this.archive() }) : body, headers };
  }

  archive() {
    return this.route.startsWith('/v2/images') ? fs.readFileSync(`${daemon.directory}/busybox.tar`) : undefined;
  }

  send(what) {
    return daemon.ask(this.method, this.target(what), this.options(what));
  }

  /// Over TCP, by another customer.
  async sendAsStranger(what) {
    const { body, headers } = this.options(what);
    const isJson = body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body);
    const answer = await fetch(`${daemon.url}${this.target(what)}`, { method: this.method,
      headers: { ...await stranger(), ...headers }, ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body }) });
    return { status: answer.status, text: await answer.text() };
  }

  /// An answer that is due: its status, and its text, which may be that of a session.
  async answered(what, status) {
    if (this.row.opening && status === 101) {
      const query = this.row.query ? `?${this.row.query}` : '';
      const session = await what.box.session(this.row.opening, this.route.split('/').at(-1) + query);
      return JSON.stringify(await session.finish());
    }
    const answer = await this.send(what);
    assert.equal(answer.status, status, `${this.name}: ${answer.status} ${answer.text}`);
    if (status >= 400) assert.deepEqual(Object.keys(answer.json), ['error']);
    return answer.text;
  }

  /// What the document says an answer of this status has.
  checkShape(status, text) {
    const schema = this.operation.responses[status]?.content?.['application/json']?.schema;
    const { required = [], type } = schema ? document.components.schemas[schema.$ref.split('/').at(-1)] : {};
    const json = schema && JSON.parse(text);
    if (type === 'array') assert.ok(Array.isArray(json), text);
    for (const field of required) assert.ok(field in json, `${this.name}: no ${field}: ${text}`);
  }
}

async function ofIdle(call) {
  const text = await call.answered(await call.scene(), call.status);
  if (call.status !== 101) call.checkShape(call.status, text);
  if (call.row.says) assert.match(text, call.row.says, call.name);
}

const leftOf = async (box) => {
  const { status, json } = await daemon.ask('GET', `${box.path}/status`);
  return status === 404 ? 'gone' : json.status === 'paused' ? 'paused' : 'awake';
};

async function ofPaused(call) {
  const { status = call.status, make = call.row.make, left = 'paused' } = call.row.paused ?? {};
  const what = await call.scene(make);
  await daemon.json('POST', `${what.box.path}/pause`);
  const text = await call.answered(what, status);
  if (call.row.says && status === call.status) assert.match(text, call.row.says, call.name);
  assert.equal(await leftOf(what.box), left, `${call.name}: the box is left`);
}

const sleeps = async (box) => ({ run: (await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202)).run_id });

async function ofBusy(call) {
  const { status = call.status, ends = false, its = false, work = sleeps } = call.row.busy ?? {};
  const { box, told } = await call.scene();
  const { run } = await work(box);
  await call.answered({ box, told: { ...told, ...(its && { run }) } }, status);
  const found = await daemon.ask('GET', `${box.path}/runs/${run}`);
  assert.equal(found.status === 404 || found.json.status !== 'running', ends, `${call.name}: the run under way is over`);
}

async function ofDeleted(call) {
  const what = await call.scene();
  await what.box.remove();
  await call.answered(what, call.row.gone ?? 404);
}

async function ofAnother(call) {
  const what = await call.scene();
  const { status, text } = await call.sendAsStranger(what);
  assert.equal(status, 404, `${call.name}: ${status} ${text}`);
  assert.deepEqual(Object.keys(JSON.parse(text)), ['error']);
  await what.box.sh('true');
}

async function ofBadInput(call) {
  const { bad = [] } = call.row;
  assert.ok(!call.operation.requestBody || bad.length > 0, `${call.name}: takes a body, and its row has none that is bad`);
  const { box, told } = await call.scene();
  for (const [field, input] of bad) {
    const { status, text } = await call.send({ told, ...input });
    const what = `${call.name} ${JSON.stringify(input).slice(0, 200)}: ${status} ${text}`;
    assert.equal(status, 400, what);
    assert.ok(JSON.parse(text).error.startsWith(field), `${field} is not named: ${what}`);
  }
  await box.sh('true');
}

async function byStranger(call) {
  const { status, text } = await call.sendAsStranger(await call.scene());
  assert.equal(status, call.row.stranger ?? call.status, `${call.name}: ${status} ${text}`);
  const headers = await stranger();
  const boxes = await (await fetch(`${daemon.url}/v2/box`, { headers })).json();
  await fetch(`${daemon.url}/v2/box`, { method: 'DELETE', headers, body: JSON.stringify({ ids: boxes.map(({ id }) => id) }) });
}

/// One after the other; what each made is gone before the next.
async function each(call, ...cases) {
  for (const run of cases) {
    try {
      await run(call);
    } finally {
      await call.row.undo?.(daemon);
      await daemon.removeAll();
      await daemon.json('DELETE', '/v2/box/snapshots', {});
    }
  }
}

test('every call of the document and of the daemon has its row, and no row is of another', async () => {
  const rows = [...Object.keys(ofBoxes), ...Object.keys(others)].sort();
  const told = Object.entries(document.paths).filter(([path]) => path !== '/healthz').flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
  assert.deepEqual(rows, told.sort());
  assert.deepEqual(rows, (await daemon.json('GET', '/v2')).calls.sort());
  for (const name of rows) assert.equal(name in ofBoxes, name.includes('/v2/box/{id}'), name);
});

/// The answer to a head that tells of so long a body, which never comes.
async function answerToLength(call, told, length) {
  const request = http.request({ socketPath: daemon.socket, method: call.method, path: call.target({ told }), agent: false,
    headers: { 'content-type': 'application/json', 'content-length': length } });
  request.on('error', () => {}); // that it is cut, once all is known
  request.flushHeaders();
  const [{ statusCode }] = await once(request, 'response');
  request.destroy();
  return statusCode;
}

leakless(daemon, 'what is too large is refused as the document says', async () => {
  const { id } = await daemon.box();
  for (const [name, row] of Object.entries({ ...ofBoxes, ...others })) {
    const call = new Call(name, row);
    const head = await call.send({ told: { id }, headers: { 'x-long': kTooLong } });
    assert.deepEqual([head.status, '431' in call.operation.responses], [431, true], name);
    const content = call.operation.requestBody?.content ?? {};
    if ('application/json' in content) assert.deepEqual([await answerToLength(call, { id }, 1e9), '413' in call.operation.responses], [413, true], name);
  }
  const { status } = await daemon.ask('POST', `/v2/box/${id}/files/upload`, { body: `--x\r\nA: ${kTooLong}\r\n`, headers: { 'content-type': 'multipart/form-data; boundary=x' } });
  assert.equal(status, 413);
});

for (const [name, row] of Object.entries(ofBoxes)) {
  leakless(daemon, name, () => each(new Call(name, row), ofIdle, ofPaused, ofBusy, ofDeleted, ofAnother, ofBadInput));
}

for (const [name, row] of Object.entries(others)) {
  leakless(daemon, name, () => each(new Call(name, row), ofIdle, byStranger, ofBadInput));
}
