// exec-session: a command that is talked to in JSON frames, and ends with its client.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import { Customer } from './lib/customer.mjs';
import { connections } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';
import { Session } from './lib/websocket.mjs';

needs();
const daemon = suite({ tcp: true });

const coded = (text) => Buffer.from(text).toString('base64');

/// What one has said, as it comes.
class Talk {
  static async open(box, start, options) {
    const session = await Session.open(daemon.socket, `${box.path}/exec-session`, start && { type: 'start', ...start }, options);
    return new Talk(session);
  }
  constructor(session) {
    this.session = session;
  }
  send(type, more = {}) {
    this.session.text({ type, ...more });
  }
  of(type) {
    return this.session.texts.filter((message) => message.type === type);
  }
  said(type) {
    return Buffer.concat(this.of(type).map(({ data }) => Buffer.from(data, 'base64'))).toString();
  }
  get errors() {
    return this.of('error').map(({ message }) => message);
  }
  async until(what, done) {
    while (!done()) assert.ok(await this.session.step(), `ended before ${what}: ${JSON.stringify(this.session.texts)}`);
  }
  hears(text, type = 'stdout') {
    return this.until(text, () => this.said(type).includes(text));
  }
  async started() {
    await this.until('it has started', () => this.of('started').length === 1);
    return this.of('started')[0];
  }
  /// To the end: how it exited.
  async finish() {
    await this.session.finish();
    return this.of('exit')[0]?.code;
  }
  leave() {
    this.session.abandon();
  }
}

const runOf = (box, id) => daemon.json('GET', `${box.path}/runs/${id}`);
const processes = async (box, word) => Number(await box.sh(`ps -o args | grep -c '^${word}' || true`));

leakless(daemon, 'a command: started with its pid, its input, both streams apart, its exit code last', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sh', '-c', 'echo $$; read line; echo "got $line"; echo oops >&2; cat; exit 7'] });
  const { pid, execId } = await talk.started();
  await talk.hears('\n');
  assert.deepEqual([talk.said('stdout'), pid > 0], [`${pid}\n`, true]);
  talk.send('stdin', { data: coded('one\ntw') });
  talk.send('stdin', { data: coded('o') });
  talk.send('stdin_close');
  assert.equal(await talk.finish(), 7);
  assert.deepEqual([talk.said('stdout'), talk.said('stderr'), talk.session.texts.at(-1)], [`${pid}\ngot one\ntwo`, 'oops\n', { type: 'exit', code: 7 }]);
  const run = await runOf(box, execId);
  assert.deepEqual([run.status, run.exit_code], ['failed', 7]);
});

leakless(daemon, 'where it runs, as whom, and with which variables; reserved ones are dropped', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sh', '-c', 'pwd; id -un; echo "$A|$HOME|$PATH|$LD_PRELOAD"'], cwd: '/tmp', env: ['A=b=c', 'HOME=/nowhere', 'PATH=/none', 'LD_PRELOAD=/x.so', 'NODE_OPTIONS=-x'] });
  assert.equal(await talk.finish(), 0);
  const [cwd, user, variables] = talk.said('stdout').split('\n');
  assert.deepEqual([cwd, user], ['/tmp', 'boxuser']);
  assert.match(variables, /^b=c\|\/home\/boxuser\|\/[^|]*\/bin[^|]*\|$/);
  assert.doesNotMatch(variables, /none/);
});

leakless(daemon, 'cmd is a line for bash, as at a login', async () => {
  const box = await daemon.box({ runtime: 'busybox-root' });
  const none = await Talk.open(box, { cmd: 'echo x' });
  await none.finish();
  assert.deepEqual(none.errors, ['cmd: is run by bash, which the box has not; use argv']);
  await box.sh('printf "#!/bin/sh\\necho \\"\\$@\\"\\n" > /bin/bash; chmod +x /bin/bash');
  const talk = await Talk.open(box, { cmd: 'a | b' });
  assert.equal(await talk.finish(), 0);
  assert.equal(talk.said('stdout'), '-lc a | b\n');
});

leakless(daemon, 'on a terminal its size is right from the first read, changes, and stderr is merged', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sh', '-c', 'stty size; echo to-err >&2; trap "stty size; exit 3" WINCH; echo ready; while :; do read x; done'], tty: true, rows: 33, cols: 101 });
  await talk.hears('ready');
  assert.match(talk.said('stdout'), /^33 101\r\nto-err\r\nready/);
  talk.send('resize', { rows: 20, cols: 60 });
  assert.equal(await talk.finish(), 3);
  assert.match(talk.said('stdout'), /20 60\r\n$/);
  assert.deepEqual(talk.of('stderr'), []);
  const cat = await Talk.open(box, { argv: ['cat'], tty: true });
  await cat.started();
  cat.send('stdin', { data: coded('x\n') });
  await cat.hears('x\r\nx\r\n');
  cat.send('stdin_close');
  assert.equal(await cat.finish(), 0);
});

leakless(daemon, 'signals go to the whole tree; terminate kills what does not go in time', async () => {
  const box = await daemon.box();
  const script = 'trap "echo parent" USR1; setsid sh -c \'trap "echo child; exit" USR1; echo up; while :; do read x < /workspace/home/f; done\' & wait; wait; exit 4';
  await box.sh('mkfifo f');
  const talk = await Talk.open(box, { argv: ['sh', '-c', script] });
  await talk.hears('up');
  talk.send('signal', { signal: 'USR1' });
  await talk.hears('parent');
  await talk.hears('child');
  assert.equal(await talk.finish(), 4);
  for (const [signal, code] of [['KILL', 137], ['TERM', 143], ['INT', 130], ['HUP', 129], ['QUIT', 131], ['USR2', 140]]) {
    const one = await Talk.open(box, { argv: ['sleep', '1000'] });
    await one.started();
    one.send('signal', { signal });
    assert.equal(await one.finish(), code, signal);
  }
  const kind = await Talk.open(box, { argv: ['sh', '-c', 'trap "echo bye; exit 5" TERM; echo up; while :; do read x < f; done'] });
  await kind.hears('up');
  kind.send('terminate');
  assert.equal(await kind.finish(), 5);
  const stubborn = await Talk.open(box, { argv: ['sh', '-c', 'trap "" TERM; echo up; while :; do read x < f; done'] });
  await stubborn.hears('up');
  stubborn.send('terminate', { graceMs: 50 });
  assert.equal(await stubborn.finish(), 137);
  assert.equal(await processes(box, 'sleep 1000'), 0);
});

leakless(daemon, 'closing the socket kills the whole tree, also of one that does not read what it is given', async () => {
  const box = await daemon.box();
  for (const flood of [false, true]) {
    const talk = await Talk.open(box, { argv: ['sh', '-c', 'setsid sleep 1000 & echo up; sleep 1000'] });
    const { execId } = await talk.started();
    await talk.hears('up');
    if (flood) {
      const piece = coded(Buffer.alloc(300_000));
      for (let i = 0; i < 20; ++i) talk.send('stdin', { data: piece });
      await until('the daemon reads no further', () => talk.session.socket.writableLength > 0);
    }
    talk.leave();
    await until('it is cancelled', async () => (await runOf(box, execId)).status === 'cancelled');
    assert.equal(await processes(box, 'sleep 1000'), 0);
    await until('its connection is closed', () => connections(daemon.socket) === 0);
  }
});

leakless(daemon, 'one that asks for more than is done in a minute leaves all the same', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sleep', '3131'], tty: true });
  const { execId } = await talk.started();
  for (let i = 0; i < 20_000; ++i) talk.send('resize', { rows: 30, cols: 90 });
  talk.leave();
  await until('it has ended', async () => (await runOf(box, execId)).status !== 'running', 20_000);
});

leakless(daemon, 'a signal comes through though the command does not read its input; what it reads is whole', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sleep', '1000'] });
  await talk.started();
  for (let i = 0; i < 8; ++i) talk.send('stdin', { data: coded(Buffer.alloc(100_000)) });
  talk.send('signal', { signal: 'TERM' });
  assert.equal(await talk.finish(), 143);
  await box.sh('mkfifo f');
  const piece = coded(Buffer.alloc(700_000, 'x'));
  const again = await Talk.open(box, { argv: ['sh', '-c', 'echo up; read x < f; wc -c'] });
  await again.hears('up');
  for (let i = 0; i < 10; ++i) again.send('stdin', { data: piece });
  again.send('stdin_close');
  await box.sh('echo > f');
  assert.equal(await again.finish(), 0);
  assert.match(again.said('stdout'), /7000000/);
});

leakless(daemon, 'a client that does not read holds the command back, and gets all of it in the end', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sh', '-c', 'head -c 8000000 /dev/zero; echo over > over'] });
  await talk.started();
  assert.equal(await box.fails('[ -e over ]'), 1);
  assert.equal(await talk.finish(), 0);
  assert.equal(talk.said('stdout').length, 8_000_000);
  assert.equal(await box.read('over'), 'over\n');
});

const kStarts = [
  [{}, /^start: needs argv/], [{ argv: [] }, /^argv: must name/], [{ argv: ['a'], cmd: 'b' }, /^start: needs argv/], [{ argv: ['a\0'] }, /^argv: .*NUL/], [{ argv: 'x' }, /^argv: /],
  [{ argv: ['true'], cwd: 'here' }, /^cwd: must be absolute/], [{ argv: ['true'], cwd: '/none' }, /^cwd: cannot enter/], [{ argv: ['no-such'] }, /^argv: cannot run/],
  [{ argv: ['true'], env: ['X'] }, /^env: "X" is not NAME=VALUE/], [{ argv: ['true'], env: ['a b=c'] }, /^env: /], [{ argv: ['true'], tty: 1 }, /^tty: /],
  [{ argv: ['true'], tty: true, rows: 0 }, /^rows: /], [{ argv: ['true'], user: 'nobody' }, /^user: /], [{ argv: ['true'], cmd: 5 }, /^start: needs/],
];
leakless(daemon, 'a start that is none is answered by an error that names the field, and ends the session', async () => {
  const box = await daemon.box();
  for (const [start, error] of kStarts) {
    const talk = await Talk.open(box, start);
    assert.equal(await talk.finish(), undefined);
    assert.equal(talk.errors.length, 1, JSON.stringify(start));
    assert.match(talk.errors[0], error);
  }
  for (const frame of ['{', '[]', '{"type":5}', '{}', `{"type":"stdin","data":"eA=="}`, '['.repeat(100), `{"type":"start","argv":[${'"a",'.repeat(30_000)}"a"]}`]) {
    const talk = await Talk.open(box);
    talk.session.raw(frame);
    assert.equal(await talk.finish(), undefined);
    assert.equal(talk.errors.length, 1, frame.slice(0, 40));
  }
  assert.deepEqual((await daemon.json('GET', `${box.path}/runs`)).runs, []);
  await daemon.refuses(400, /WebSocket/, 'GET', `${box.path}/exec-session`);
});

leakless(daemon, 'frames that are none of this call are answered, and a hundred of them end it', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['cat'] });
  await talk.started();
  const bad = [['what', /^type: "what" is not one of start, stdin/], ['start', /^start: the command of this session has started/], ['stdin', /^data: /], ['resize', null], ['signal', /^signal: /], ['terminate', /^graceMs: /]];
  talk.send('what');
  talk.send('start', { argv: ['true'] });
  talk.send('stdin', { data: '!' });
  talk.send('signal', { signal: 'SEGV' });
  talk.send('terminate', { graceMs: -1 });
  talk.session.input('binary');
  talk.send('resize', { rows: 1e9 });
  await talk.until('all are answered', () => talk.errors.length === 7);
  const wanted = [bad[0][1], bad[1][1], bad[2][1], bad[4][1], bad[5][1], /^frame: must be JSON in a text frame/, /^rows: /];
  wanted.forEach((error, i) => assert.match(talk.errors[i], error));
  talk.send('stdin', { data: coded('still here') });
  await talk.hears('still here');
  for (let i = 0; i < 200; ++i) talk.session.raw('{');
  assert.equal(await talk.finish(), undefined);
  assert.match(talk.errors.at(-1), /the session ends/);
  assert.equal(talk.errors.length, 101);
  const large = await Talk.open(box, { argv: ['cat'] });
  await large.started();
  large.session.socket.on('error', () => {});
  large.session.raw(JSON.stringify({ type: 'stdin', data: coded(Buffer.alloc(2_000_000)) }));
  await large.session.finish().catch(() => {});
  await until('nothing runs', async () => (await box.status()) === 'idle');
});

leakless(daemon, 'a paused box is woken, and does not fall asleep meanwhile', async () => {
  const box = await daemon.box();
  await daemon.json('POST', `${box.path}/pause`);
  const talk = await Talk.open(box, { argv: ['cat'] });
  await talk.started();
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  assert.match(details.sleep.awake_because, /runs in it/);
  talk.send('stdin_close');
  assert.equal(await talk.finish(), 0);
});

leakless(daemon, 'it counts among the connections and the commands of its customer, by either header of a key', async () => {
  const alice = await Customer.make(daemon, 'alice');
  const bob = await Customer.make(daemon, 'bob');
  try {
    const { id } = await alice.box();
    const path = `/v2/box/${id}/exec-session`;
    const open = (key, how = 'x-box-api-key') => Session.open('', path, { type: 'start', argv: ['cat'] }, { url: daemon.url, headers: { [how]: how === 'authorization' ? `Bearer ${key}` : key } });
    await alice.limit({ commands: 1 });
    const first = new Talk(await open(alice.key, 'authorization'));
    await first.started();
    const { commands, connections: held } = await alice.limits();
    assert.deepEqual([commands.used, held.used], [1, 1]);
    const second = new Talk(await open(alice.key));
    await second.finish();
    assert.match(second.errors[0], /^commands: 1 of 1/);
    await assert.rejects(open(bob.key), /404/);
    await assert.rejects(open('wrong'), /401/);
    first.leave();
    await until('it is over', async () => (await alice.limits()).commands.used === 0);
  } finally {
    await alice.limit({ commands: 0 });
    await alice.remove();
    await bob.remove();
  }
});

leakless(daemon, 'it ends with the daemon: told so by one that stops, killed by the next after one that was killed', async () => {
  const box = await daemon.box();
  const talk = await Talk.open(box, { argv: ['sh', '-c', 'sleep 1000 & cat'] });
  const { execId } = await talk.started();
  const over = talk.finish();
  await daemon.end('SIGTERM');
  assert.equal(await over, undefined);
  assert.deepEqual(talk.errors, ['hutchd ends, and the command with it']);
  await daemon.launch();
  await until('it is cancelled', async () => (await runOf(box, execId)).status === 'cancelled');
  assert.equal(await processes(box, 'sleep 1000'), 0);
  const other = await Talk.open(box, { argv: ['sh', '-c', 'sleep 1000 & cat'] });
  const { execId: id } = await other.started();
  const closed = once(other.session.socket, 'close').catch(() => {});
  other.session.socket.on('error', () => {}).resume();
  await daemon.end('SIGKILL');
  await closed;
  await daemon.launch();
  await until('it is cancelled', async () => (await runOf(box, id)).status === 'cancelled');
  assert.equal(await processes(box, 'sleep 1000'), 0);
});

leakless(daemon, 'the frames that docs/api.md shows are answered as it shows', async () => {
  const page = fs.readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');
  const [, section] = /^### GET \/v2\/box\/\{id\}\/exec-session\n(.*?)^### /ms.exec(page);
  const [sent, answered] = [...section.matchAll(/^```\w*\n(.*?)^```/gms)].map(([, block]) => block.trimEnd().split('\n'));
  const box = await daemon.box();
  const talk = await Talk.open(box);
  for (const frame of sent) talk.session.raw(frame);
  assert.equal(await talk.finish(), 0);
  const { pid, execId } = talk.of('started')[0];
  assert.deepEqual(talk.session.texts, answered.map((line) => JSON.parse(line)).map((frame) => (frame.type === 'started' ? { ...frame, pid, execId } : frame)));
});
