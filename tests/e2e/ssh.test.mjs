// ssh(1), scp(1), sftp(1) and rsync(1) into boxes, by hutch-ssh.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { withCustomers } from './lib/customer.mjs';
import { freePort } from './lib/daemon.mjs';
import { leakless, needs, skip } from './lib/suite.mjs';
import { scratch, sshSuite } from './lib/ssh.mjs';
import { sshImage } from './lib/ssh-image.mjs';
import { until } from './lib/until.mjs';

needs('ssh', 'sshpass', 'rsync', 'scp', 'sftp', 'bash');
if (!fs.existsSync(process.env.HUTCH_SSH ?? '')) skip('needs HUTCH_SSH, the path of the program');
if (!fs.existsSync('/usr/lib/openssh/sftp-server')) skip('needs openssh-sftp-server');
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'hutch-ssh-'));
// More connections than one address may guess with, all of them from one address here.
const { daemon, door } = sshSuite({ args: ['--wrong_keys_per_minute', '0'], import: { ssh: sshImage(directory) } });
after(() => fs.rmSync(directory, { recursive: true }));

const hash = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');
const running = async (box, words) => Number(await box.sh(`ps -o args | grep -c '^${words}' || true`));
/// Without a word: its ssh is gone, which sshpass started.
const abandon = (run) => spawnSync('pkill', ['-KILL', '-P', String(run.child.pid)]);
/// However it is closed.
const closed = (socket) => new Promise((resolve) => socket.on('error', () => {}).on('close', resolve));
const nothingRuns = (box) => until('nothing runs', async () => (await box.status()) === 'idle');

/// Says nothing, from here to the last test but one.
let silent;

test('a host key is made once, for its owner alone, and told by its fingerprint', async () => {
  assert.equal(fs.statSync(door.key).mode & 0o777, 0o600);
  const { stdout } = spawnSync('ssh-keygen', ['-lf', door.key], { encoding: 'utf8' });
  const [, fingerprint] = stdout.split(' ');
  assert.match(fingerprint, /^SHA256:/);
  assert.ok(door.log.includes(`hutch-ssh: host key ED25519 ${fingerprint}`), door.log.join('\n'));
  const before = fs.readFileSync(door.key);
  const { port } = door;
  await door.close();
  await door.launch(port);
  assert.deepEqual(fs.readFileSync(door.key), before);
});

test('what it cannot be started with is said, and ends it', () => {
  const complains = (args, about) => {
    const { status, stderr } = spawnSync(process.env.HUTCH_SSH, args, { encoding: 'utf8' });
    assert.equal(status, 2, stderr);
    assert.match(stderr, about);
    assert.match(stderr, /^hutch-ssh: [^\n]+\n$/);
  };
  const key = path.join(directory, 'key');
  complains(['--listen', '127.0.0.1', '--host-key', key], /--listen: "127\.0\.0\.1" must be ADDRESS:PORT/);
  complains(['--listen', '127.0.0.1:0', '--host', `unix://${daemon.socket}`, '--host-key', key], /--host: must be http.* no API keys are asked for/);
  fs.writeFileSync(key, 'x');
  fs.chmodSync(key, 0o644);
  complains(['--listen', '127.0.0.1:0', '--host-key', key], /others may read .*; run: chmod 600/);
  fs.chmodSync(key, 0o600);
  complains(['--listen', '127.0.0.1:0', '--host-key', key], /is no private key/);
});

leakless(daemon, 'a command: both streams apart, its exit status, by the id and the name of its box', async () => {
  const box = await daemon.box({ name: 'work' });
  for (const user of [box.id, 'work']) {
    const { code, stdout, stderr } = await door.run(user, ['echo out; echo oops >&2; pwd; exit 7']);
    assert.deepEqual([code, stdout, stderr], [7, 'out\n/workspace/home\n', 'oops\n']);
  }
  const killed = await door.run('work', ['kill -KILL $$']);
  assert.deepEqual([killed.code, killed.stdout], [255, '']);
  assert.equal((await door.run('work', ['nosuchprogram'])).code, 127);
});

leakless(daemon, 'a key is asked for as a password and by keyboard-interactive, and by nothing else', async () => {
  const box = await daemon.box();
  for (const method of ['password', 'keyboard-interactive']) {
    assert.equal(await door.output(box.id, 'echo in', { more: ['-o', `PreferredAuthentications=${method}`] }), 'in\n');
  }
  const { stderr, code } = await door.run(box.id, ['true'], { more: ['-o', 'PreferredAuthentications=none'] });
  assert.equal(code, 255);
  assert.match(stderr, /Permission denied \((password,keyboard-interactive|keyboard-interactive,password)\)/);
});

leakless(daemon, '10 MB through cat, and back, by hash; an empty input ends', async () => {
  const box = await daemon.box();
  const bytes = crypto.randomBytes(10_000_000);
  const there = await door.run(box.id, ['cat'], { input: bytes });
  assert.deepEqual([there.code, there.bytes.length, hash(there.bytes)], [0, bytes.length, hash(bytes)]);
  assert.equal(await door.output(box.id, 'wc -c'), '0\n');
  const often = await door.run(box.id, ['cat'], { input: bytes, more: ['-o', 'RekeyLimit=1M'] });
  assert.deepEqual([often.code, hash(often.bytes)], [0, hash(bytes)]);
});

leakless(daemon, 'a reader that does not read holds its command back, and gets all of it in the end', async () => {
  const box = await daemon.box();
  const slow = door.ssh(box.id, ['head -c 30000000 /dev/zero; echo end']);
  slow.child.stdout.pause();
  await until('it runs', async () => (await box.status()) === 'running');
  assert.equal(await door.output(box.id, 'echo beside'), 'beside\n');
  assert.equal(await box.status(), 'running');
  slow.child.stdout.resume();
  const { code, bytes } = await slow.ended;
  assert.deepEqual([code, bytes.length, bytes.subarray(-4).toString()], [0, 30_000_004, 'end\n']);
});

leakless(daemon, 'a terminal: its size and kind from the start, Ctrl-C, an interactive shell', async () => {
  const box = await daemon.box({ runtime: 'ssh' });
  const terminal = door.ssh(box.id, [], { more: ['-tt'], open: true, terminal: 'stty rows 33 cols 101' });
  terminal.child.stdin.write('stty size; echo "$TERM" $((6 * 7))\n');
  await terminal.said('33 101');
  await terminal.said('vt220 42');
  terminal.child.stdin.write('sleep 1000\n');
  await until('it sleeps', async () => (await running(box, 'sleep')) > 0);
  terminal.child.stdin.write('\x03');
  terminal.child.stdin.write('echo code $?; exit 3\n');
  await terminal.said('code 130');
  assert.equal((await terminal.ended).code, 3);
});

leakless(daemon, 'variables go along; one that is reserved is refused by its name', async () => {
  const box = await daemon.box();
  const set = (name) => ({ more: ['-o', `SetEnv=${name}=b=c`] });
  assert.equal(await door.output(box.id, 'echo "$FOO"', set('FOO')), 'b=c\n');
  const { code, stderr } = await door.run(box.id, ['true'], set('LD_PRELOAD'));
  assert.equal(code, 255);
  assert.match(stderr, /^hutch-ssh: env: LD_PRELOAD is reserved/);
});

leakless(daemon, 'who leaves hangs up: the command ends, and what a shell left in the background lives on', async () => {
  const box = await daemon.box();
  for (const more of [[], ['-tt']]) {
    const run = door.ssh(box.id, ['mkfifo f; setsid sh -c "echo > f; exec sleep 2000" < /dev/null > /dev/null 2>&1 & read x < f; rm f; echo up; sleep 1000; true'], { more, open: true });
    await run.said('up');
    abandon(run);
    await nothingRuns(box);
    assert.deepEqual([await running(box, 'sleep 1000'), await running(box, 'sleep 2000')], [0, 1], `${more}`);
    await box.sh('kill $(ps -o pid,args | awk \'/[s]leep 2000/ { print $1 }\')');
  }
});

leakless(daemon, 'a command that takes no input ends too when its client leaves', async () => {
  const box = await daemon.box();
  const run = door.ssh(box.id, ['echo up; sleep 1000'], { input: Buffer.alloc(4_000_000), open: true });
  await run.said('up');
  abandon(run);
  await nothingRuns(box);
});

leakless(daemon, 'scp, sftp and rsync, where the box has their servers', async () => {
  const box = await daemon.box({ runtime: 'ssh' });
  const files = scratch(daemon, 'ssh-files');
  const big = crypto.randomBytes(3_000_000);
  fs.writeFileSync(path.join(files, 'big'), big);
  fs.mkdirSync(path.join(files, 'tree/deep'), { recursive: true });
  fs.writeFileSync(path.join(files, 'tree/deep/leaf'), 'leaf\n', { mode: 0o640 });
  const does = async (...words) => {
    const { code, stdout, stderr } = await door.start(words).ended;
    assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  const at = `${box.id}@127.0.0.1`;
  const scp = ['scp', ...door.options, '-P', String(door.port)];
  await does(...scp, path.join(files, 'big'), `${at}:big`);
  assert.equal((await box.sh('sha256sum big')).split(' ')[0], hash(big));
  await does(...scp, '-O', `${at}:/workspace/home/big`, path.join(files, 'back'));
  assert.equal(hash(fs.readFileSync(path.join(files, 'back'))), hash(big));
  const batch = path.join(files, 'batch');
  fs.writeFileSync(batch, 'mkdir made\ncd made\nput tree/deep/leaf\nls -1\n');
  const listed = spawnSync('sshpass', ['-e', 'sftp', ...door.options, '-P', String(door.port), '-o', 'BatchMode=no', '-b', batch, at], { cwd: files, env: { ...process.env, SSHPASS: daemon.key }, encoding: 'utf8' });
  assert.match(listed.stdout, /^leaf$/m, listed.stderr);
  await does('rsync', '-a', '-e', door.shell, `${path.join(files, 'tree')}/`, `${at}:copy/`);
  assert.equal(await box.sh('cat copy/deep/leaf; stat -c %a copy/deep/leaf'), 'leaf\n640');
  await does('rsync', '-a', '-e', door.shell, `${at}:copy/`, path.join(files, 'again'));
  assert.equal(fs.readFileSync(path.join(files, 'again/deep/leaf'), 'utf8'), 'leaf\n');
});

leakless(daemon, 'one connection carries several commands, each by itself', async () => {
  const box = await daemon.box();
  const more = ['-o', 'ControlMaster=auto', '-o', `ControlPath=${path.join(directory, 'control')}`];
  const first = door.ssh(box.id, ['echo first; cat'], { more, open: true });
  await first.said('first');
  const others = await Promise.all([1, 2, 3, 4, 5].map((i) => door.run(box.id, [`cat; echo err >&2; exit ${i}`], { more, input: `input ${i}`, password: 'not asked for, since it is open' })));
  assert.deepEqual(others.map(({ code, stdout, stderr }) => [code, stdout, stderr]), [1, 2, 3, 4, 5].map((i) => [i, `input ${i}`, 'err\n']));
  first.child.stdin.end(' last');
  assert.equal((await first.ended).stdout, 'first\n last');
});

leakless(daemon, 'a box without an sftp-server says so', async () => {
  const box = await daemon.box();
  const { code, stderr } = await door.start(['scp', ...door.options, '-P', String(door.port), door.key, `${box.id}@127.0.0.1:x`]).ended;
  assert.notEqual(code, 0);
  assert.match(stderr, /this box has no sftp-server; install openssh-sftp-server/);
});

const kServe = 'echo hello from the box > index.html; httpd -f -p 127.0.0.1:8000';

leakless(daemon, '-L and -D lead to ports of the box itself, as many at once as one likes', async () => {
  const box = await daemon.box({ name: 'web' });
  const [port, none] = [await freePort(), await freePort()];
  const tunnel = door.ssh('web', ['true; cat'], { more: ['-o', 'LogLevel=DEBUG1', '-L', `${port}:localhost:8000`, '-L', `${none}:127.0.0.1:8001`], open: true });
  const server = door.ssh('web', [kServe]);
  const get = async () => (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } })).text();
  await until('it serves', () => get().catch(() => null));
  const answers = await Promise.all(Array.from({ length: 20 }, get));
  assert.deepEqual(answers, Array(20).fill('hello from the box\n'));
  const refused = net.connect(none, '127.0.0.1');
  await closed(refused); // nothing listens there
  await tunnel.complained('Nothing listens on port 8001');
  tunnel.child.stdin.end();
  await tunnel.ended;
  abandon(server);
  await nothingRuns(box);
});

leakless(daemon, 'a forward carries bytes both ways and each end of them by itself', async () => {
  const box = await daemon.box();
  const port = await freePort();
  await box.sh('setsid nc -ll -p 9000 -e /bin/sh -c "cat; echo that was all" > /dev/null 2>&1 < /dev/null &');
  await until('it listens', async () => (await box.sh('cat /proc/net/tcp* | grep -c ":2328 " || true')) !== '0');
  const tunnel = door.ssh(box.id, ['echo up; cat'], { more: ['-L', `${port}:localhost:9000`], open: true });
  await tunnel.said('up');
  const bytes = crypto.randomBytes(5_000_000);
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.end(bytes);
  const pieces = [];
  for await (const piece of socket) pieces.push(piece);
  const whole = Buffer.concat(pieces);
  assert.equal(hash(whole.subarray(0, bytes.length)), hash(bytes));
  assert.equal(whole.subarray(bytes.length).toString(), 'that was all\n');
  tunnel.child.stdin.end();
  await tunnel.ended;
});

leakless(daemon, 'forwards to elsewhere, from the box, of X11 and of an agent are refused', async () => {
  const box = await daemon.box();
  const port = await freePort();
  const tunnel = door.ssh(box.id, ['echo up; cat'], { more: ['-o', 'LogLevel=DEBUG1', '-L', `${port}:${new URL(daemon.url).host}`.replace('127.0.0.1', '127.0.0.2')], open: true });
  await tunnel.said('up');
  const socket = net.connect(port, '127.0.0.1');
  await closed(socket);
  await tunnel.complained('administratively prohibited');
  await tunnel.complained('forwards lead to ports of the box itself: use localhost');
  tunnel.child.stdin.end();
  await tunnel.ended;
  const back = await door.run(box.id, ['true'], { more: ['-R', '8002:localhost:8000', '-o', 'ExitOnForwardFailure=yes'] });
  assert.equal(back.code, 255);
  assert.match(back.stderr, /remote port forwarding failed/);
  const agent = await door.output(box.id, 'echo "[$SSH_AUTH_SOCK$DISPLAY]"', { more: ['-A', '-X'], env: { SSH_AUTH_SOCK: '/nowhere', DISPLAY: ':0' } });
  assert.equal(agent, '[]\n');
});

withCustomers(daemon, 'a wrong key, a foreign one and no box are answered alike, and neither key is told', async (alice, bob) => {
  const box = await alice.box({ name: 'hers' });
  const { key } = alice;
  assert.equal(await door.output('hers', 'echo in', { password: key }), 'in\n');
  const answers = [];
  for (const [user, password] of [[box.id, bob.key], ['hers', bob.key], [box.id, 'hutch_00000000000000000000000000000000'], ['nothing', key], ['snapshots', key], [box.id, 'short']]) {
    const { code, stdout, stderr } = await door.run(user, ['echo in'], { password, more: ['-o', 'NumberOfPasswordPrompts=1'] });
    answers.push([code, stdout, stderr.replaceAll(user, 'USER')]);
  }
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  assert.equal(answers[0][1], '');
  const log = door.log.join('\n');
  for (const secret of [key, bob.key]) assert.ok(!log.includes(secret));
}, '-of-ssh');

leakless(daemon, 'an address that guesses is let in no more, and others are', async () => {
  const box = await daemon.box();
  silent = closed(net.connect(door.port, '127.0.0.1').resume());
  const from = (address) => ['-o', `BindAddress=${address}`, '-o', 'NumberOfPasswordPrompts=1', '-o', 'PreferredAuthentications=password'];
  for (let guess = 0; guess < 20; ++guess) {
    const { code, stderr } = await door.run(box.id, ['true'], { password: `a-guess-of-some-length-${guess}`, more: from('127.0.0.2') });
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied/);
  }
  const shut = await door.run(box.id, ['true'], { more: from('127.0.0.2') });
  assert.equal(shut.code, 255);
  assert.match(shut.stderr, /Connection (closed|reset)/);
  assert.equal(await door.output(box.id, 'echo in', { more: from('127.0.0.3') }), 'in\n');
});

leakless(daemon, 'three passwords, and the connection ends', async () => {
  const box = await daemon.box();
  const askpass = path.join(directory, 'askpass');
  fs.writeFileSync(askpass, `#!/bin/sh\necho asked >> ${directory}/asked\necho wrong-password-of-a-guest\n`, { mode: 0o755 });
  const { status, stderr } = spawnSync('setsid', ['ssh', ...door.options, '-o', 'NumberOfPasswordPrompts=10', '-p', String(door.port), `${box.id}@127.0.0.1`, 'true'],
    { env: { ...process.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' }, encoding: 'utf8' });
  assert.equal(status, 255, stderr);
  assert.equal(fs.readFileSync(path.join(directory, 'asked'), 'utf8'), 'asked\n'.repeat(3));
});

leakless(daemon, 'hostile bytes before the handshake end their connection alone', async () => {
  const box = await daemon.box();
  const beside = door.ssh(box.id, ['echo up; cat'], { open: true });
  await beside.said('up');
  const kinds = [Buffer.alloc(100_000, 'A'), Buffer.from('GET / HTTP/1.1\r\n\r\n'), crypto.randomBytes(50_000), Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.from([0xff, 0xff, 0xff, 0xff]), crypto.randomBytes(5000)]),
    Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), crypto.randomBytes(70_000)]), Buffer.from('SSH-1.5-old\r\n')];
  for (const bytes of kinds) {
    const socket = net.connect(door.port, '127.0.0.1');
    socket.resume().end(bytes);
    await closed(socket);
  }
  beside.child.stdin.end('still here');
  assert.equal((await beside.ended).stdout, 'up\nstill here');
});

leakless(daemon, '50 connections at once', { timeout: 240_000 }, async () => {
  const box = await daemon.box();
  const runs = Array.from({ length: 50 }, (_, i) => door.ssh(box.id, [`echo ${i}; cat`], { open: true }));
  for (const [i, run] of runs.entries()) await run.said(`${i}\n`);
  for (const run of runs) run.child.stdin.end();
  for (const run of runs) assert.equal((await run.ended).code, 0);
});

leakless(daemon, 'a paused box is woken, and one that is deleted ends what runs in it', async () => {
  const box = await daemon.box();
  await daemon.json('POST', `${box.path}/pause`);
  assert.equal(await door.output(box.id, 'echo awake'), 'awake\n');
  const run = door.ssh(box.id, ['echo up; sleep 1000'], { open: true });
  await run.said('up');
  await box.remove();
  const { code, stderr } = await run.ended;
  assert.equal(code, 255);
  assert.match(stderr, /^hutch-ssh: /);
});

leakless(daemon, 'a restart of hutchd ends sessions with a sentence; the next one is served', async () => {
  const box = await daemon.box();
  const run = door.ssh(box.id, ['echo up; cat'], { open: true });
  await run.said('up');
  await daemon.end('SIGKILL');
  const ended = await run.ended;
  const meanwhile = await door.run(box.id, ['true'], { more: ['-o', 'NumberOfPasswordPrompts=1'] });
  await daemon.launch();
  assert.equal(ended.code, 255);
  assert.match(ended.stderr, /^hutch-ssh: the daemon broke off/);
  assert.notEqual(meanwhile.code, 0);
  assert.equal(await door.output(box.id, 'echo again'), 'again\n');
  for (const { id } of (await daemon.json('GET', `${box.path}/runs`)).runs) await daemon.ask('POST', `${box.path}/runs/${id}/cancel`);
});

test('who says nothing is shown the door', { timeout: 60_000 }, () => silent);

leakless(daemon, 'a stop of hutch-ssh hangs all up', async () => {
  const box = await daemon.box();
  const run = door.ssh(box.id, ['echo up; sleep 1000'], { open: true });
  await run.said('up');
  await door.close();
  assert.equal((await run.ended).code, 255);
  await nothingRuns(box);
  await door.launch(door.port);
});
