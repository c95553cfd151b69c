// Commands in a box: what goes in, what comes out, and when.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import zlib from 'node:zlib';
import { complains } from './lib/command.mjs';
import { unframed } from './lib/frames.mjs';
import { connections, parents } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

leakless(daemon, 'code: bad requests are named, and an image without the program is told', async () => {
  const box = await daemon.box();
  const bad = (about, body) => daemon.refuses(400, about, 'POST', `${box.path}/code`, { body });
  await bad(/^code: /, { language: 'js' });
  await bad(/^code: /, { language: 'js', code: 1 });
  await bad(/^language: /, { code: '1' });
  await bad(/^language: "ruby" is not one of/, { code: '1', language: 'ruby' });
  await bad(/^language: js needs the program node, which image busybox does not have/, { code: '1', language: 'js' });
  await bad(/^folder: /, { code: '1', language: 'js', folder: 'none' });
  await bad(/^timeout: /, { code: '1', language: 'js', timeout: 0 });
  const streamed = await daemon.ask('POST', `${box.path}/code-stream`, { body: { code: '1', language: 'python' } });
  assert.match(streamed.text, /^event: error\ndata: .*needs the program python3/);
  await daemon.refuses(404, /nobody/, 'POST', '/v2/box/nobody/code', { body: { code: '1', language: 'js' } });
  await complains(daemon, 2, /--language/, ['code', box.id, '/etc/hostname']);
});

leakless(daemon, 'output, errors and exit code come back apart', async () => {
  const box = await daemon.box();
  const { exit_code, output, error } = await box.exec(['sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.deepEqual({ exit_code, output, error }, { exit_code: 7, output: 'out\n', error: 'err\n' });
});

leakless(daemon, 'without errors there is no error field', async () => {
  const box = await daemon.box();
  assert.deepEqual(Object.keys(await box.exec(['true'])).sort(), ['cpu_ns', 'exit_code', 'output']);
});

leakless(daemon, 'who asks for details is told what each step took', async () => {
  const box = await daemon.box();
  const { details } = await daemon.json('POST', `${box.path}/exec?details=1`, { command: ['true'] });
  assert.deepEqual(Object.keys(details.run_ns).sort(), ['exited', 'finish', 'leaf', 'record', 'started']);
  for (const [step, time] of Object.entries(details.run_ns)) assert.ok(time >= 0, `${step}: ${time}`);
});

leakless(daemon, 'arguments arrive as they are', async () => {
  const box = await daemon.box();
  const odd = ['', ' a  b ', '$HOME', '*', '"', '\n', '--', 'ä€😀'];
  const { output } = await box.exec(['sh', '-c', 'for a; do printf "%s\\0" "$a"; done', 'sh', ...odd]);
  assert.deepEqual(output.split('\0').slice(0, -1), odd);
});

leakless(daemon, 'output that is no UTF-8 does not break the answer', async () => {
  const box = await daemon.box();
  assert.equal((await box.exec(['printf', 'a\\377b'])).output, 'a\ufffdb');
});

leakless(daemon, 'a command runs as boxuser in the work directory with its environment', async () => {
  const box = await daemon.box();
  assert.equal(await box.sh('id -u; id -g; id -G; pwd; echo $HOME $USER $SHELL; umask'),
    '1000\n1000\n1000\n/workspace/home\n/home/boxuser boxuser /bin/sh\n0022');
});

leakless(daemon, 'the environment holds nothing of the daemon', async () => {
  const box = await daemon.box();
  const names = (await box.exec(['env'])).output.trim().split('\n').map((line) => line.split('=')[0]);
  const own = names.filter((name) => name !== 'OMP_NUM_THREADS'); // where the host has more CPUs than the box
  assert.deepEqual(own.sort(), ['HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'USER']);
});

leakless(daemon, 'programs in ~/.local/bin, in PATH of env_vars and of /etc/environment are found', async () => {
  const put = (directory, name) => `mkdir -p ${directory}; printf '#!/bin/sh\\necho ${name}\\n' > ${directory}/${name}; chmod 755 ${directory}/${name}`;
  const box = await daemon.rootBox();
  await box.sh(`${put('/root/.local/bin', 'own')}; ${put('/opt/bin', 'added')}`);
  assert.equal((await box.exec(['own'])).output, 'own\n');
  await box.sh('echo PATH=/opt/bin:/bin > /etc/environment; echo COLOUR=blue >> /etc/environment');
  assert.equal((await box.exec(['added'])).output, 'added\n');
  assert.equal(await box.sh('own; echo $COLOUR'), 'own\nblue');
  const other = await daemon.box({ env_vars: { PATH: '/workspace/home/tools:/bin', COLOUR: 'red' } });
  await other.sh(put('/workspace/home/tools', 'mine'));
  assert.equal((await other.exec(['mine'])).output, 'mine\n');
});

leakless(daemon, 'a box whose work directory is gone runs commands in /, and says so', async () => {
  const box = await daemon.rootBox();
  await box.sh('rm -r /workspace/home');
  const { exit_code, output, error } = await box.exec(['pwd']);
  assert.deepEqual([exit_code, output], [0, '/\n']);
  assert.match(error, /^hutch: the work directory \/workspace\/home is missing; the command runs in \/\n$/);
  await daemon.refuses(400, /^folder: .*none/, 'POST', `${box.path}/exec`, { body: { command: ['pwd'], folder: 'none' } });
  await box.sh('mkdir /workspace/home');
  assert.equal((await box.exec(['pwd'])).output, '/workspace/home\n');
});

leakless(daemon, 'the user of the image is who a command runs as', async () => {
  const box = await daemon.rootBox();
  assert.equal(await box.sh('id -u; echo $HOME'), '0\n/root');
});

leakless(daemon, 'a folder is relative to the work directory, or absolute', async () => {
  const box = await daemon.box();
  await box.sh('mkdir -p sub/deep');
  assert.equal((await box.exec(['pwd'], 'sub/deep')).output, '/workspace/home/sub/deep\n');
  assert.equal((await box.exec(['pwd'], '/tmp')).output, '/tmp\n');
  assert.equal((await box.exec(['pwd'], '')).output, '/workspace/home\n');
});

leakless(daemon, 'a command ended by a signal has 128 and its number as exit code', async () => {
  const box = await daemon.box();
  assert.equal((await box.exec(['sh', '-c', 'kill -9 $$'])).exit_code, 137);
  assert.equal((await box.exec(['sh', '-c', 'kill -15 $$'])).exit_code, 143);
});

leakless(daemon, 'a command that does not exist is refused by name', async () => {
  const box = await daemon.box();
  await daemon.refuses(400, /^command: .*"no-such-program".*no such program/, 'POST', `${box.path}/exec`,
    { body: { command: ['no-such-program'] } });
  await daemon.refuses(400, /^command: .*"\/etc\/passwd".*ermission/, 'POST', `${box.path}/exec`,
    { body: { command: ['/etc/passwd'] } });
  assert.equal(await box.status(), 'idle');
});

leakless(daemon, 'a folder that does not exist is refused by name', async () => {
  const box = await daemon.box();
  for (const folder of ['nowhere', '/etc/passwd']) {
    await daemon.refuses(400, new RegExp(`^folder: .*${folder}`), 'POST', `${box.path}/exec`,
      { body: { command: ['true'], folder } });
  }
});

leakless(daemon, 'what is no command is refused', async () => {
  const box = await daemon.box();
  const bad = [{}, { command: [] }, { command: [''] }, { command: 'ls' }, { command: [1] }, { command: ['a\u0000b'] },
    { command: null }];
  for (const body of bad) await daemon.refuses(400, /^command: /, 'POST', `${box.path}/exec`, { body });
  await daemon.refuses(400, /^folder: must be a string/, 'POST', `${box.path}/exec`, { body: { command: ['ls'], folder: 1 } });
  await daemon.refuses(400, /^folder: .*NUL/, 'POST', `${box.path}/exec`, { body: { command: ['ls'], folder: 'a\u0000' } });
});

leakless(daemon, 'a command with too many or too long arguments is refused, and the box stays usable', async () => {
  const box = await daemon.box();
  for (const command of [['echo', ...Array(20_000).fill('x')], ['echo', 'x'.repeat(4_000_000)]]) {
    const answer = await daemon.ask('POST', `${box.path}/exec`, { body: { command } });
    assert.ok([400, 413].includes(answer.status), `${answer.status} ${answer.text.slice(0, 200)}`);
    assert.match(answer.json.error, /command|body/);
  }
  assert.equal(await box.sh('echo fine'), 'fine');
});

leakless(daemon, 'a command in an unknown box is 404', async () => {
  await daemon.refuses(404, /nobody/, 'POST', '/v2/box/nobody/exec', { body: { command: ['true'] } });
  await daemon.refuses(404, /nobody/, 'POST', '/v2/box/nobody/exec-stream', { body: { command: ['true'] } });
});

leakless(daemon, 'a stream ends with the exit event', async () => {
  const box = await daemon.box();
  const stream = await box.stream(['sh', '-c', 'echo out; echo err >&2; exit 3']);
  const { output, event, data } = await stream.finish();
  assert.deepEqual([output.toString(), event, Object.keys(data).sort(), data.exit_code],
    ['out\nerr\n', 'exit', ['cpu_ns', 'exit_code'], 3]);
});

leakless(daemon, 'a framed stream tells output and errors apart, each in its order', async () => {
  const box = await daemon.box();
  const script = 'i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo out $i; echo err $i >&2; done; exit 3';
  const ask = (more) => daemon.ask('POST', `${box.path}/exec-stream`, { body: { command: ['sh', '-c', script], frames: true, ...more } });
  const lines = (word) => Array.from({ length: 2000 }, (_, i) => `${word} ${i + 1}\n`).join('');
  const answer = await ask({});
  assert.equal(answer.type, 'application/vnd.hutch.frames');
  const { output, errors, end } = unframed(answer.bytes);
  assert.deepEqual([output, errors, end.exit_code], [lines('out'), lines('err'), 3]);
  const merged = unframed((await ask({ errors: 'merged' })).bytes);
  assert.deepEqual([merged.output.length, merged.errors], [output.length + errors.length, '']);
  const none = await daemon.ask('POST', `${box.path}/exec-stream`, { body: { command: ['no-such-program'], frames: true } });
  assert.match(unframed(none.bytes).end.error, /no-such-program/);
  const refused = (about, body) => daemon.refuses(400, about, 'POST', `${box.path}/exec-stream`, { body: { command: ['true'], ...body } });
  await refused(/^errors: separate needs "frames": true/, { errors: 'separate' });
  await refused(/^errors: must be/, { errors: 'both', frames: true });
  await refused(/^frames: must be/, { frames: 1 });
});

leakless(daemon, 'a stream is as ever for who takes gzip', async () => {
  const box = await daemon.box();
  const answer = await daemon.ask('POST', `${box.path}/exec-stream`,
    { body: { command: ['sh', '-c', 'head -c 300000 /dev/zero; echo end'] }, headers: { 'accept-encoding': 'gzip, deflate' } });
  const plain = zlib.gunzipSync(answer.bytes); // checks sum and length
  assert.ok(plain.subarray(0, 300_000).every((byte) => byte === 0));
  assert.match(plain.subarray(300_000).toString(), /^end\nevent: exit\ndata: \{.*\}\n\n$/);
});

leakless(daemon, 'streams can be opened again by their names, by root and by others who have them', async () => {
  const box = await daemon.box();
  const both = async (of, script) => {
    const { output, error } = await of.exec(['sh', '-c', script]);
    return [output, error];
  };
  assert.deepEqual(await both(box, 'echo out > /dev/stdout; echo err > /dev/stderr'), ['out\n', 'err\n']);
  assert.deepEqual(await both(box, 'echo out > /proc/self/fd/1; echo copy | tee /dev/stderr > /dev/null'), ['out\n', 'copy\n']);
  assert.equal(await box.sh('cat /dev/stdin; stat -L -c "%u %g" /proc/self/fd/1'), '1000 1000');
  const root = await daemon.rootBox();
  assert.deepEqual(await both(root, 'echo out > /dev/stdout; su boxuser -c "echo err > /dev/stderr"'), ['out\n', 'err\n']);
  const session = await box.session({ command: ['cat', '/dev/stdin'] });
  session.input('typed\n');
  session.text({ eof: true });
  await session.finish();
  assert.equal(session.output, 'typed\n');
});

leakless(daemon, 'how a command ended is told beside its exit code', async () => {
  const box = await daemon.box();
  const how = async (script, more) => {
    const { exit_code, exit_reason, signal, error_message } = await daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', script], ...more });
    return { exit_code, exit_reason, signal, error_message };
  };
  const plain = { exit_reason: undefined, signal: undefined, error_message: undefined };
  assert.deepEqual(await how('exit 137'), { exit_code: 137, ...plain });
  assert.deepEqual(await how('kill -SEGV $$'), { exit_code: 139, exit_reason: 'signal', signal: 'SEGV', error_message: 'ended by signal SEGV' });
  assert.deepEqual(await how('sleep 1000', { timeout: 50 }),
    { exit_code: 137, exit_reason: 'timeout', signal: 'KILL', error_message: 'killed at its timeout of 50 ms' });
  const { data } = await (await box.stream(['sh', '-c', 'kill $$'])).finish();
  assert.deepEqual([data.exit_reason, data.signal], ['signal', 'TERM']);
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.match(logs.map(({ message }) => message).join('\n'), /^run \w+ \(sh -c kill -SEGV \$\$\): ended by signal SEGV$/m);
});

/// Lowers what the box may have of memory, from outside.
function limitMemory(box, bytes) {
  const files = parents(daemon.name).flatMap((group) =>
    ['memory.limit_in_bytes', 'memory.max'].map((name) => `${group}/c-local/b-${box.id}/${name}`));
  fs.writeFileSync(files.find((file) => fs.existsSync(file)), String(bytes));
}

leakless(daemon, 'a command that the kernel kills for want of memory is told as that', async () => {
  const box = await daemon.box();
  await box.sh('true');
  limitMemory(box, 48 << 20);
  const hog = ['sort', '/dev/zero'];
  const { exit_code, exit_reason, signal, error_message } = await box.exec(hog);
  assert.deepEqual([exit_code, exit_reason, signal], [137, 'out_of_memory', 'KILL']);
  assert.match(error_message, /^out of memory: the kernel killed sort; the box is of size small$/);
  const [{ id }] = (await daemon.json('GET', `${box.path}/runs`)).runs;
  const record = await daemon.json('GET', `${box.path}/runs/${id}`);
  assert.deepEqual([record.status, record.exit_reason, record.signal, record.error_message], ['failed', 'out_of_memory', 'KILL', error_message]);
  const shell = await box.exec(['sh', '-c', 'sort /dev/zero; exit $?']);
  assert.deepEqual([shell.exit_code, shell.exit_reason, shell.signal], [137, 'out_of_memory', undefined]);
  assert.match(shell.error_message, /^out of memory: the kernel killed 1 process of the box while it ran; /);
  assert.equal((await box.exec(['sh', '-c', 'exit 137'])).exit_reason, undefined, 'what was before it is not its own');
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.ok(logs.some(({ level, message }) => level === 'error' && message.startsWith(`run ${id} (sort /dev/zero): out of memory`)), JSON.stringify(logs));
});

leakless(daemon, 'a failure to run ends the stream with the error event', async () => {
  const box = await daemon.box();
  const { output, event, data } = await (await box.stream(['no-such-program'])).finish();
  assert.deepEqual([output.length, event], [0, 'error']);
  assert.match(data.error, /no-such-program/);
});

leakless(daemon, 'chunks arrive before the command ends', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo /tmp/go');
  const stream = await box.stream(['sh', '-c', 'echo first; read x < /tmp/go; echo $x']);
  await stream.until('first\n'); // the command cannot have ended: nobody has written yet
  assert.equal(await box.status(), 'running');
  await box.sh('echo second > /tmp/go');
  assert.equal((await stream.finish()).output.toString(), 'first\nsecond\n');
});

leakless(daemon, '50 MB of output arrive whole', async () => {
  const box = await daemon.box();
  const line = '0123456789\n';
  const bytes = 50_000_000;
  const stream = await box.stream(['sh', '-c', `yes 0123456789 | head -c ${bytes}`]);
  const { output } = await stream.finish();
  const sent = Buffer.alloc(bytes, line);
  const hash = (data) => crypto.createHash('sha256').update(data).digest('hex');
  assert.deepEqual([output.length, hash(output)], [bytes, hash(sent)]);
});

leakless(daemon, 'binary output arrives byte for byte', async () => {
  const box = await daemon.box();
  const all = Array.from({ length: 256 }, (_, i) => `\\${i.toString(8).padStart(3, '0')}`).join('');
  const { output } = await (await box.stream(['printf', all])).finish();
  assert.deepEqual(output, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
});

leakless(daemon, 'output beyond what an answer holds is cut, and said', async () => {
  const box = await daemon.box();
  const { exit_code, output, error } = await box.exec(['sh', '-c', 'yes 0123456789 | head -c 40000000']);
  assert.equal(exit_code, 0);
  assert.ok(output.length >= 1_000_000 && output.length < 40_000_000, `${output.length}`);
  assert.match(error, /dropped.*exec-stream/);
});

leakless(daemon, 'a client that goes away does not end the run', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo /tmp/go /tmp/done');
  const stream = await box.stream(['sh', '-c',
    'echo up; read x < /tmp/go; yes | head -c 1000000; echo $x > after; echo done > /tmp/done']);
  await stream.until('up\n');
  stream.abandon();
  await box.sh('echo 42 > /tmp/go; read x < /tmp/done'); // returns once the command has come to its end
  assert.equal(await box.read('after'), '42\n');
});

// Its socket is closed at once, and not when the command has something to say; the command goes on.
const kLong = ['sh', '-c', 'read x < /tmp/go; echo $x > after'];
function ask(target, body) {
  const client = http.request({ socketPath: daemon.socket, method: 'POST', path: target, agent: false });
  client.on('error', () => {}); // it leaves
  client.end(JSON.stringify(body));
  return client;
}
const kWays = {
  exec: (box) => ask(`${box.path}/exec`, { command: kLong }),
  'exec-stream': (box) => ask(`${box.path}/exec-stream`, { command: kLong }),
  'exec-tty': async (box) => {
    const session = await box.session({ command: kLong });
    return { destroy: () => session.abandon() };
  },
};
for (const [way, begin] of Object.entries(kWays)) {
  leakless(daemon, `a client that leaves in the middle of ${way} is noticed, and its command goes on`, async () => {
    const box = await daemon.box();
    await box.sh('mkfifo /tmp/go');
    const client = await begin(box);
    await until('it runs', async () => await box.status() === 'running');
    client.destroy();
    await until('its connection is closed', () => connections(daemon.socket) === 0);
    assert.equal(await box.status(), 'running');
    await box.sh('echo 42 > /tmp/go');
    await until('the command has gone on', async () => await box.sh('cat after 2>&- || true') === '42');
    assert.deepEqual(daemon.log.filter((line) => JSON.parse(line).level === 'error'), []);
  });
}

leakless(daemon, 'a process in the background does not hold up the answer', async () => {
  const box = await daemon.box();
  const pid = await box.sh('sleep 1000 & echo $!'); // it holds on to the output of its shell
  await box.sh(`kill -0 ${pid}`);
});

leakless(daemon, 'a process in the background that writes without end does not hold up the answer', async () => {
  const box = await daemon.box();
  const { exit_code } = await box.exec(['sh', '-c', 'cat /dev/zero & cat /dev/zero & true']);
  assert.equal(exit_code, 0);
});

leakless(daemon, 'a process in the background that writes without end does not hold up the end of a stream', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo /tmp/go');
  const stream = await box.stream(['sh', '-c', 'cat /dev/zero & cat /dev/zero & read x < /tmp/go']);
  await stream.until('\0'); // and read no further: from now on the stream is full
  await box.sh('echo > /tmp/go');
  await until('the command has ended', async () => await box.sh('pidof sh | wc -w') === '1'); // the asking one
  let bytes = 0;
  for (let next = await stream.pieces.next(); !next.done; next = await stream.pieces.next()) {
    bytes += next.value.length;
    assert.ok(bytes < 16 << 20, 'more than what pipe and socket can have held at the end of the command');
  }
});

leakless(daemon, 'standard input is empty when none is given', async () => {
  const box = await daemon.box();
  assert.equal((await box.exec(['cat'])).output, '');
});

leakless(daemon, '32 commands at a time', async () => {
  const box = await daemon.box();
  const runs = Array.from({ length: 32 }, (_, i) => box.sh(`echo ${i}; cat /proc/uptime > /dev/null; exit 0`));
  assert.deepEqual(await Promise.all(runs), Array.from({ length: 32 }, (_, i) => String(i)));
});

leakless(daemon, 'a box is running while a command runs, and idle after it', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo /tmp/go');
  const stream = await box.stream(['sh', '-c', 'echo up; read x < /tmp/go']);
  await stream.until('up\n');
  assert.equal(await box.status(), 'running');
  await box.sh('echo > /tmp/go');
  await stream.finish();
  assert.equal(await box.status(), 'idle');
});

const kBurn = 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done';

leakless(daemon, 'the CPU time of a command is what it used', async () => {
  const box = await daemon.box();
  const idle = await box.exec(['true']);
  const began = performance.now();
  const busy = await box.exec(['sh', '-c', kBurn]);
  const wall = (performance.now() - began) * 1e6;
  assert.ok(idle.cpu_ns > 0 && busy.cpu_ns > 10 * idle.cpu_ns, `${busy.cpu_ns} against ${idle.cpu_ns}`);
  assert.ok(busy.cpu_ns < 1.05 * wall, `${busy.cpu_ns} of one thread in ${wall} ns`);
});

leakless(daemon, 'the box adds up the CPU time of its commands, and its cost', async () => {
  const box = await daemon.box();
  const { cpu_ns } = await box.exec(['sh', '-c', kBurn]);
  const { total_cpu_ns, total_compute_cost_usd } = await daemon.json('GET', box.path);
  assert.ok(total_cpu_ns >= cpu_ns, `${total_cpu_ns} of ${cpu_ns}`);
  assert.ok(Math.abs(total_compute_cost_usd - total_cpu_ns / 3.6e12 * 0.1) < 1e-12, `${total_compute_cost_usd}`);
});

leakless(daemon, 'a client that leaves a terminal ends its command, also one that does not read', async () => {
  const box = await daemon.box();
  for (const flood of [(session) => session.input('a\n'.repeat(1000)), (session) => session.text({ resize: { rows: 30, cols: 90 } })]) {
    const session = await box.session({ command: ['sh', '-c', 'echo up; exec sleep 3131'], tty: true });
    await session.until(/up/);
    for (let i = 0; i < 20_000; ++i) flood(session);
    session.abandon();
    await until('it has ended', async () => (await daemon.json('GET', `${box.path}/runs`)).runs.every(({ status }) => status !== 'running'), 20_000);
  }
});

leakless(daemon, 'what a command leaves in the background counts for the box', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo /tmp/burnt');
  const before = (await daemon.json('GET', box.path)).total_cpu_ns;
  await box.sh(`(${kBurn}; echo > /tmp/burnt) > /dev/null 2>&1 &`);
  await box.sh('read x < /tmp/burnt');
  assert.ok((await daemon.json('GET', box.path)).total_cpu_ns > before + 10_000_000);
});

leakless(daemon, 'zombies are reaped', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo /tmp/end; (sh -c "echo > /tmp/end" &) ; read x < /tmp/end');
  await until('no zombie is left', async () => !(await box.sh('cat /proc/[0-9]*/stat 2>/dev/null; true')).includes(') Z '));
});

// --- sessions ---

leakless(daemon, 'a session passes input on, and ends with it', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['cat'] });
  session.input('one\n');
  await session.until(/one\n/);
  session.input(Buffer.from([0, 255, 10]));
  session.text({ eof: true });
  const final = await session.finish();
  assert.deepEqual([session.output, final.exit_code], ['one\n\u0000\u00ff\n', 0]);
});

leakless(daemon, 'a session without a terminal has none', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['tty'] });
  assert.equal((await session.finish()).exit_code, 1);
  assert.match(session.output, /not a tty/);
});

leakless(daemon, 'a terminal has the size and the name that were asked for', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'tty; stty size; echo $TERM'], tty: true, rows: 31, cols: 97, term: 'vt52' });
  assert.equal((await session.finish()).exit_code, 0);
  assert.match(session.output, /^\/dev\/pts\/\d+\r\n31 97\r\nvt52\r\n$/);
});

leakless(daemon, 'a terminal can be resized, and its program hears of it', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'trap "stty size; exit 5" WINCH; echo up; while :; do read x; done'], tty: true });
  await session.until(/up/);
  session.text({ resize: { rows: 50, cols: 132 } });
  assert.equal((await session.finish()).exit_code, 5);
  assert.match(session.output, /50 132/);
});

leakless(daemon, 'a key interrupts the program in a terminal', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'echo up; cat'], tty: true });
  await session.until(/up/);
  session.input('\u0003');
  assert.equal((await session.finish()).exit_code, 130);
});

leakless(daemon, 'an end of input ends a program in a terminal', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'echo up; cat; echo over'], tty: true });
  await session.until(/up/);
  session.text({ eof: true });
  assert.equal((await session.finish()).exit_code, 0);
  assert.match(session.output, /over/);
});

leakless(daemon, 'a terminal whose client goes away ends its programs', async () => {
  const box = await daemon.box();
  const session = await box.session({ command: ['sh', '-c', 'trap "" HUP; echo up; sleep 1000'], tty: true });
  await session.until(/up/);
  session.abandon();
  await until('the box is idle', async () => await box.status() === 'idle');
  assert.equal(await box.sh('pidof sleep | wc -w'), '0');
});

leakless(daemon, 'a session that cannot start says why', async () => {
  const box = await daemon.box();
  for (const [opening, about] of [[{ command: ['no-such-program'] }, /no-such-program/], [{}, /^command: /],
    [{ command: ['sh'], tty: true, rows: 0 }, /^rows: /], [{ command: ['sh'], tty: 'yes' }, /^tty: /]]) {
    const final = await (await box.session(opening)).finish();
    assert.match(final.error, about);
  }
});

leakless(daemon, 'a session asked for without a WebSocket is refused', async () => {
  const box = await daemon.box();
  await daemon.refuses(400, /WebSocket/, 'GET', `${box.path}/exec-tty`);
});
