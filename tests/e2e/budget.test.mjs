// One customer sends the largest requests there may be, without pause; another is served all the while, and what the
// daemon holds for both stays within its budget.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { leakless, needs, suite } from './lib/suite.mjs';
import { hardLink, link, pax, tar } from './lib/tar.mjs';
import { until } from './lib/until.mjs';
import { Session } from './lib/websocket.mjs';

needs();
const kMiB = 1 << 20;
const kBudget = 256 * kMiB;
const daemon = suite({ tcp: true, args: ['--memory_budget', String(kBudget)] });

/// A customer that asks over TCP with its key, and has a box.
class Customer {
  static async make(name) {
    const customer = new Customer();
    customer.name = name;
    customer.key = (await daemon.json('POST', '/v2/keys', { name }, 201)).key;
    customer.box = (await customer.ask('POST', '/v2/box', { runtime: 'busybox-root' })).json.id;
    return customer;
  }

  path(rest) {
    return `/v2/box/${this.box}/${rest}`;
  }

  /// Its answer's text is counted; kept of a short one.
  async ask(method, path, body, headers = {}) {
    const bytes = body === undefined || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const request = http.request({ port: daemon.port, method, path, agent: false, headers: { 'x-box-api-key': this.key, ...headers, ...(bytes !== undefined && { 'content-length': Buffer.byteLength(bytes) }) } });
    request.on('error', () => {}); // a refusal may come before all is sent
    request.end(bytes);
    const [response] = await once(request, 'response');
    const answer = { status: response.statusCode, headers: response.headers, size: 0, text: '' };
    for await (const piece of response) {
      answer.size += piece.length;
      if (answer.size < kMiB) answer.text += piece;
    }
    answer.json = answer.size < kMiB && answer.text.startsWith('{') ? JSON.parse(answer.text) : undefined;
    return answer;
  }

  /// Nothing of it fails, for as long as `others` are at work.
  async worksBeside(others) {
    let over = false;
    const done = others.finally(() => {
      over = true;
    });
    let calls = 0;
    for (; !over || calls < 3; ++calls) {
      const ran = await this.ask('POST', this.path('exec'), { command: ['echo', 'mine'] });
      assert.deepEqual([ran.status, ran.json?.output], [200, 'mine\n'], ran.text);
      const written = await this.ask('POST', this.path('files/write'), { path: 'f', content: 'x'.repeat(100_000) });
      assert.equal(written.status, 200, written.text);
      const read = await this.ask('GET', this.path('files/read?path=f'));
      assert.deepEqual([read.status, read.size], [200, 100_000 + '{"content":""}'.length]);
    }
    return done;
  }

  async remove() {
    await daemon.json('DELETE', `/v2/box/${this.box}`);
    await daemon.json('DELETE', `/v2/keys/${this.name}`);
  }
}

const refused = ({ status, headers, json }) => {
  assert.equal(status, 429, JSON.stringify(json));
  assert.match(json.error, /^memory: /);
  assert.ok(Number(headers['retry-after']) >= 1);
};

/// The most that the daemon ever held (proc_pid_status(5)), in bytes.
const peak = () => Number(/VmHWM:\s+(\d+) kB/.exec(fs.readFileSync(`/proc/${daemon.process.pid}/status`, 'utf8'))[1]) * 1024;

function withCustomers(name, test) {
  leakless(daemon, name, { timeout: 240_000 }, async () => {
    const customers = [await Customer.make('alice'), await Customer.make('bob')];
    const before = peak();
    try {
      await test(...customers);
      // Beside the budget: a string of each decoder's while it grows, and pieces under way.
      assert.ok(peak() < before + kBudget + 160 * kMiB, `${peak() / kMiB} MiB after ${before / kMiB}`);
    } finally {
      for (const customer of customers) await customer.remove();
    }
  });
}

withCustomers('large files of control bytes, all read at once', async (alice, bob) => {
  await alice.ask('POST', alice.path('exec'), { command: ['sh', '-c', "head -c 66060288 /dev/zero | tr '\\0' '\\1' > f"] }); // 63 MiB
  const reads = Promise.all(Array.from({ length: 15 }, () => alice.ask('GET', alice.path('files/read?path=f'))));
  const answers = await bob.worksBeside(reads);
  const served = answers.filter(({ status }) => status === 200);
  assert.ok(served.length >= 1);
  for (const { size } of served) assert.equal(size, 6 * 66_060_288 + '{"content":""}'.length);
  answers.filter(({ status }) => status !== 200).forEach(refused);
  assert.ok(served.length < 15, 'the budget was never reached');
  assert.equal((await alice.ask('GET', alice.path('files/read?path=f'))).status, 200, 'what was held is given back');
});

// Of so many that grow side by side all may be refused; one alone is not.
withCustomers('commands that print control bytes', async (alice, bob) => {
  const print = () => alice.ask('POST', alice.path('exec'), { command: ['sh', '-c', "head -c 31000000 /dev/zero | tr '\\0' '\\1'"] });
  const answers = await bob.worksBeside(Promise.all(Array.from({ length: 8 }, print)));
  for (const { status, headers, json } of answers.filter((answer) => answer.status !== 200)) {
    assert.equal(status, 429);
    assert.match(json.error, /^memory: .*; the command goes on as run \w+, /);
    assert.equal(headers['retry-after'], undefined, 'who asks again has the command twice');
  }
  const alone = await print();
  for (const { status, size } of [alone, ...answers.filter((answer) => answer.status === 200)]) assert.deepEqual([status, size > 6 * 31_000_000], [200, true]);
});

// A turn of the loop that takes long ends the daemon in this suite.
withCustomers('frames for terminals that are large, first and later', async (alice, bob) => {
  const members = (count) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [i.toString(36), 0])));
  const large = [`{"resize":${members(85_000)}}`, `{"command":["sleep","1000"],"tty":true,"env":${members(85_000)}}`];
  const flood = async () => {
    const session = await Session.open(undefined, alice.path('exec-tty'), { command: ['sleep', '1000'], tty: true }, { url: daemon.url, headers: { 'x-box-api-key': alice.key } });
    for (let i = 0; i < 20; ++i) session.raw(large[0]) || await once(session.socket, 'drain');
    session.abandon();
    const first = await Session.open(undefined, alice.path('exec-tty'), undefined, { url: daemon.url, headers: { 'x-box-api-key': alice.key } });
    first.raw(large[1]);
    assert.match((await first.finish()).error, /^frame: JSON of more than 20000 values/);
  };
  await bob.worksBeside(Promise.all(Array.from({ length: 4 }, flood)));
});

withCustomers('schemas that are large, of prompts that wait', async (alice, bob) => {
  await daemon.json('PUT', `/v2/box/${alice.box}/config/custom-runner`, { custom_runner: { command: '/bin/sh', args: ['-c', 'sleep 1000'], protocol: 'box-sse-v1' } });
  const webhook = { url: 'http://127.0.0.1:9/' };
  const schema = (count) => ({ type: 'object', properties: Object.fromEntries(Array.from({ length: count }, (_, i) => [i.toString(36), {}])) });
  const ask = (count) => alice.ask('POST', alice.path('run'), { prompt: 'x', webhook, ...(count > 0 && { json_schema: schema(count) }) });
  assert.equal((await ask(0)).status, 200);
  const refusal = await ask(84_000);
  assert.deepEqual([refusal.status, refusal.json], [413, { error: 'json_schema: longer than 128 KiB' }]);
  const waiting = [];
  for (let i = 0; i < 16; ++i) waiting.push(await ask(9_000));
  assert.ok(waiting.every(({ status }) => status === 200), JSON.stringify(waiting));
  await bob.worksBeside((async () => {
    for (const { json } of waiting) await alice.ask('POST', alice.path(`runs/${json.run_id}/cancel`));
  })());
});

const kHead = (customer, size) => `POST ${customer.path('files/write')} HTTP/1.1\r\nHost: x\r\nX-Box-Api-Key: ${customer.key}\r\nContent-Length: ${size}\r\n\r\n`;

withCustomers('fields of uploads that are held back count, too', async (alice, bob) => {
  const part = (name, value) => `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const fields = Buffer.from((part('paths', `/${'p'.repeat(4000)}`) + part('modes', '6'.repeat(4000))).repeat(5000)); // 40 MB
  const sockets = [];
  const refusal = () => new Promise((resolve) => {
    const socket = net.connect(daemon.port, '127.0.0.1').on('error', () => {});
    sockets.push(socket.on('data', (data) => resolve(data.toString())));
    socket.write(`POST ${alice.path('files/upload')} HTTP/1.1\r\nHost: x\r\nX-Box-Api-Key: ${alice.key}\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: ${60 * kMiB}\r\n\r\n`);
    socket.write(fields);
  });
  assert.match(await bob.worksBeside(Promise.race(Array.from({ length: 12 }, refusal))), /^HTTP\/1.1 429 .*memory: /s);
  for (const socket of sockets) socket.destroy();
});

withCustomers('lists of links that are long', async (alice, bob) => {
  const entries = [pax({ linkpath: 'a/'.repeat(2000) }), link('l', 'x'), ...Array.from({ length: 30_000 }, (_, i) => hardLink(`l${i}`, 'l'))];
  const made = await alice.ask('POST', alice.path('files/upload?folder=/l'), tar(...entries), { 'content-type': 'application/x-tar' });
  assert.equal(made.status, 200, made.text);
  const list = () => alice.ask('GET', alice.path('files/list?folder=/l'));
  (await bob.worksBeside(Promise.all(Array.from({ length: 6 }, list)))).forEach(refused);
  const kept = await alice.ask('POST', alice.path('exec'), { command: ['sh', '-c', 'cd /l && ls | tail -n +5000 | xargs rm'] });
  assert.equal(kept.json.exit_code, 0, kept.text);
  const few = await list();
  assert.deepEqual([few.status, few.size > 4999 * 4000], [200, true], 'what was held is given back');
});

const kFiller = Buffer.alloc(30 * kMiB, 'x');

/// A body that is never finished. Resolves with what was answered, once the daemon has refused it or has it all.
function hold(customer, bytes) {
  const socket = net.connect(daemon.port, '127.0.0.1');
  socket.on('error', () => {}); // it is cut in the end
  const answered = once(socket, 'data').then(([data]) => data.toString());
  const taken = new Promise((resolve) => {
    socket.write(kHead(customer, 60 * kMiB) + '{"path":"f","content":"');
    socket.write(kFiller.subarray(0, bytes), () => resolve('held'));
  });
  return { socket, done: Promise.race([answered, taken]) };
}

withCustomers('uploads that are held back count as they come', async (alice, bob) => {
  const uploads = Array.from({ length: 60 }, () => hold(alice, kFiller.length));
  const ends = await bob.worksBeside(Promise.all(uploads.map(({ done }) => done)));
  const refusals = ends.filter((end) => end !== 'held');
  assert.ok(refusals.length >= 50, `${refusals.length} were refused`);
  for (const refusal of refusals) assert.match(refusal, /^HTTP\/1.1 429 .*memory: /s);
  for (const { socket } of uploads) socket.destroy();
  const again = await alice.ask('POST', alice.path('exec'), { command: ['true'] });
  assert.equal(again.status, 200, again.text);
});

withCustomers('who announces much and sends little holds little', async (alice, bob) => {
  const uploads = Array.from({ length: 60 }, () => hold(alice, 1024));
  assert.deepEqual(new Set(await Promise.all(uploads.map(({ done }) => done))), new Set(['held']));
  for (const customer of [alice, bob]) await customer.worksBeside(Promise.resolve());
  for (const { socket } of uploads) socket.destroy();
});

withCustomers('bodies that are long to read', async (alice, bob) => {
  const part = '--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n';
  const form = Buffer.from(part.repeat(Math.floor(kMiB / part.length)) + '--X--\r\n');
  const content = Buffer.from(JSON.stringify({ path: 'b', encoding: 'base64', content: Buffer.alloc(20 * kMiB).toString('base64') }));
  const control = Buffer.from(`{"path":"c","content":"${'\\u0001'.repeat(5 * kMiB)}"}`);
  const write = (body) => alice.ask('POST', alice.path('files/write'), body);
  const asked = await bob.worksBeside(Promise.all([
    ...Array.from({ length: 4 }, () => alice.ask('POST', alice.path('run'), form, { 'content-type': 'multipart/form-data; boundary=X' })),
    ...[content, control, content, control].map(write),
  ]));
  for (const answer of asked) if (answer.status === 429) refused(answer);
  assert.equal((await write(content)).status, 200);
  assert.equal((await write(control)).status, 200);
  const { json } = await alice.ask('POST', alice.path('exec'), { command: ['wc', '-c', 'b', 'c'] });
  assert.match(json.output, new RegExp(`${20 * kMiB} b\n.*${5 * kMiB} c`));
});

withCustomers('large directories', async (alice, bob) => {
  const made = await alice.ask('POST', alice.path('exec'), { command: ['sh', '-c', 'mkdir many; cd many; seq 90000 | xargs touch'] });
  assert.equal(made.json.exit_code, 0, made.text);
  const [list, diff] = await bob.worksBeside(Promise.all([alice.ask('GET', alice.path('files/list?folder=many')), alice.ask('GET', alice.path('diff'))]));
  for (const { status, size, text } of [list, diff]) assert.deepEqual([status, size > 6 * kMiB], [200, true], text.slice(0, 1000));
});

leakless(daemon, 'the metrics tell what is held', async () => {
  const held = async () => Number(/^hutch_memory_budget_held_bytes (\d+)$/m.exec((await daemon.ask('GET', '/metrics')).text)[1]);
  await until('what the last requests held is given back', async () => await held() === 0);
  const box = await daemon.box();
  const socket = net.connect(daemon.socket);
  socket.write(`POST ${box.path}/files/write HTTP/1.1\r\nhost: hutch\r\ncontent-type: application/json\r\ncontent-length: ${8 * kMiB}\r\n\r\n`);
  socket.write(Buffer.alloc(4 * kMiB));
  await until('half of a body is held', async () => await held() >= 4 * kMiB);
  socket.destroy();
  await until('it is given back', async () => await held() === 0);
});

leakless(daemon, 'no turn of the event loop was long', async () => {
  const { text } = await daemon.ask('GET', '/metrics');
  const value = (name) => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)[1]);
  assert.ok(value('hutch_loop_longest_turn_seconds') < 0.1, text);
  assert.ok(value('hutch_loop_lag_seconds_count') >= 1);
  assert.match(text, /^hutch_loop_lag_seconds_bucket\{le="\+Inf"\} \d+$/m);
});
