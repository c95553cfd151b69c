// The `hutch` command as its user meets it: what it prints where, its exit codes, and its one sentence when it fails.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { Clock } from './lib/clock.mjs';
import { complains, hutch, json, output, start, Terminal } from './lib/command.mjs';
import { connections } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('script');
const daemon = suite();

const run = (...args) => output(daemon, args);
const scratch = (name) => path.join(daemon.directory, name);

async function boxNamed(name, body = {}) {
  return daemon.box({ name, ...body });
}

/// A table's rows as objects; fails unless each cell stands below the head of its column.
function rowsOf(table) {
  const [head, ...lines] = table.trimEnd().split('\n');
  const starts = [...head.matchAll(/\S+/g)].map((found) => found.index);
  const cells = (line) => starts.map((start, i) => line.slice(start, starts[i + 1]));
  const names = cells(head).map((name) => name.trim());
  return lines.map((line) => {
    for (const start of starts.slice(1)) assert.match(line.padEnd(start).slice(start - 2, start), /^ {2}$/, table);
    assert.equal(line, line.trimEnd());
    return Object.fromEntries(cells(line).map((cell, i) => [names[i], cell.trim()]));
  });
}

// --- create, ls, inspect, rm, logs ---

leakless(daemon, 'create prints the name, or the id of a box without one', async () => {
  assert.equal(await run('create', 'web', '--label', 'ci', '--label', 'team:a', '--size', 'medium', '--env', 'A=b=c'), 'web\n');
  const id = (await run('create')).trimEnd();
  assert.equal((await daemon.json('GET', `/v2/box/${id}`)).name, '');
  const { labels, size } = await daemon.json('GET', '/v2/box/web');
  assert.deepEqual([labels, size], [['ci', 'team:a'], 'medium']);
  assert.equal(await run('exec', 'web', '--', 'sh', '-c', 'echo $A'), 'b=c\n');
});

leakless(daemon, 'ls is a table whose columns line up', async () => {
  assert.deepEqual(rowsOf(await run('ls')), []);
  await boxNamed('a');
  await boxNamed('a-longer-name', { size: 'medium' });
  await daemon.box();
  const rows = rowsOf(await run('ls'));
  assert.deepEqual(rows.map((row) => row.NAME).sort(), ['', 'a', 'a-longer-name']);
  const longer = rows.find((row) => row.NAME === 'a-longer-name');
  assert.deepEqual(Object.keys(rows[0]), ['NAME', 'ID', 'STATUS', 'IMAGE', 'SIZE', 'AGE', 'CPU', 'COST']);
  assert.deepEqual([longer.STATUS, longer.IMAGE, longer.SIZE], ['idle', 'busybox', 'medium']);
});

leakless(daemon, 'ls picks by label', async () => {
  await boxNamed('red', { labels: ['x:1'] });
  await boxNamed('blue');
  assert.deepEqual(rowsOf(await run('ls', '--label', 'x:1')).map((row) => row.NAME), ['red']);
});

leakless(daemon, 'inspect is JSON in a pipe, and a description on a terminal', async () => {
  const box = await boxNamed('web', { labels: ['ci'] });
  assert.equal(JSON.parse(await run('inspect', 'web')).id, box.id);
  const { code, output: shown } = await new Terminal(daemon, ['inspect', 'web'], { env: { NO_COLOR: '1' } }).finish();
  assert.equal(code, 0);
  assert.match(shown, new RegExp(`^Name +web\nId +${box.id}\nStatus +idle\n`));
});

leakless(daemon, 'colour is for terminals, and only where it is wanted', async () => {
  await boxNamed('web');
  const colour = /\x1b\[\d+m/;
  assert.match((await new Terminal(daemon, ['ls']).finish()).output, colour);
  assert.doesNotMatch((await new Terminal(daemon, ['ls'], { env: { NO_COLOR: '1' } }).finish()).output, colour);
  assert.doesNotMatch((await new Terminal(daemon, ['ls', '--json']).finish()).output, colour);
  for (const args of [['ls'], ['doctor'], ['logs', 'web'], ['image', 'ls']]) {
    assert.doesNotMatch((await hutch(daemon, args)).stdout, colour, args.join(' '));
  }
});

leakless(daemon, 'what a box calls its files steers no terminal, in lists, JSON and errors', async () => {
  const box = await boxNamed('web');
  const csi = '\u009b';
  await box.write(`\u001b]0;owned\u0007 ${csi}31m \u007f`, 'x');
  for (const args of [['diff', 'web'], ['diff', 'web', '--json'], ['cp', 'web:\u001b]0;owned\u0007', '-']]) {
    const { output: shown } = await new Terminal(daemon, args, { env: { NO_COLOR: '1' } }).finish();
    assert.match(shown, /owned/, args.join(' '));
    assert.doesNotMatch(shown.replaceAll('\n', ''), /[\u0000-\u001f\u0080-\u009f]/, args.join(' '));
  }
  assert.ok((await run('diff', 'web', '--json')).includes(csi), 'in a pipe it is as it is');
});

leakless(daemon, 'rm deletes boxes by name or id', async () => {
  const box = await daemon.box();
  await boxNamed('one');
  await boxNamed('two');
  assert.equal(await run('rm', 'one'), '');
  assert.equal(await run('rm', 'two', box.id), '');
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  await complains(daemon, 1, /one/, ['rm', 'one']);
  await complains(daemon, 2, /no box's name/, ['rm', 'snapshots']); // its address is that of all snapshots
  assert.equal(await run('rm', '-f', 'one', 'two'), '');
});

leakless(daemon, 'rm of many with one unknown deletes none, unless it is forced', async () => {
  await boxNamed('here');
  await complains(daemon, 1, /gone/, ['rm', 'gone', 'here']);
  await daemon.json('GET', '/v2/box/here');
  assert.equal(await run('rm', '--force', 'gone', 'here'), '');
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
});

leakless(daemon, 'logs tells what happened, one line each; -n the newest', async () => {
  const box = await boxNamed('web');
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  await until('its end is noted', async () => (await run('logs', 'web')).split('\n').length > 2);
  const line = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}(\w+) {2}system {2}(.*)$/;
  const lines = (await run('logs', 'web')).trimEnd().split('\n').map((text) => line.exec(text).slice(1));
  assert.deepEqual(lines[0], ['info', 'created from image busybox']);
  assert.match((await run('logs', 'web', '-n', '1')), /error {2}system {2}its init ended/);
  const { logs } = await json(daemon, ['logs', 'web', '-n', '1']);
  assert.deepEqual(logs.map((entry) => entry.level), ['error']);
});

leakless(daemon, 'pause and resume say nothing, and ls shows what they did', async () => {
  await boxNamed('one');
  await boxNamed('two');
  const statuses = async () => rowsOf(await run('ls')).map((row) => row.STATUS);
  assert.equal(await run('pause', 'one', 'two'), '');
  assert.deepEqual(await statuses(), ['paused', 'paused']);
  assert.equal(await run('resume', 'one'), '');
  assert.deepEqual(rowsOf(await run('ls')).find((row) => row.NAME === 'two').STATUS, 'paused');
  assert.equal(await run('exec', 'two', '--', 'echo', 'awake'), 'awake\n');
  assert.deepEqual(await statuses(), ['idle', 'idle']);
  await complains(daemon, 1, /nobody/, ['pause', 'nobody']);
  await complains(daemon, 2, /BOX/, ['resume']);
});

leakless(daemon, 'create says how long a box is awake and how long it lives, and inspect tells', async () => {
  await run('create', 'kept', '--keep-alive', '--init-command', 'echo a b');
  await run('create', 'short', '--ephemeral', '--ttl', '3600', '--idle-timeout', '60');
  const [kept, short] = [await json(daemon, ['inspect', 'kept']), await json(daemon, ['inspect', 'short'])];
  assert.equal(kept.keep_alive, true);
  assert.deepEqual(await daemon.json('GET', '/v2/box/kept/startup'), { init_command: 'echo a b' });
  assert.equal(short.expires_at - short.created_at, 3600);
  assert.equal(short.details.sleep.idle_timeout, 60);
  const shown = async (box) => (await new Terminal(daemon, ['inspect', box], { env: { NO_COLOR: '1' } }).finish()).output;
  assert.match(await shown('kept'), /^Awake +keep_alive is set$/m);
  assert.match(await shown('short'), /^Sleeps +\S+ \S+ \(in \w+\)$/m);
  assert.match(await shown('short'), /^Ends +\S+ \S+ \(in \w+\)$/m);
  await complains(daemon, 1, /keep_alive/, ['pause', 'kept']);
  await complains(daemon, 2, /ephemeral/, ['create', '--ttl', '5']);
  await complains(daemon, 1, /--ttl: /, ['create', '--ephemeral', '--ttl', '0']);
});

// --- exec ---

leakless(daemon, 'exec passes output and exit code through', async () => {
  await boxNamed('web');
  const { code, stdout, stderr } = await hutch(daemon, ['exec', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7']);
  assert.deepEqual([code, stdout, stderr], [7, 'out\n', 'err\n']);
});

leakless(daemon, 'errors stay apart with input too; where both go to one place they keep their order', async () => {
  await boxNamed('web');
  const both = ['sh', '-c', 'cat; echo err >&2'];
  const { stdout, stderr } = await hutch(daemon, ['exec', '-i', 'web', '--', ...both], { input: 'in\n' });
  assert.deepEqual([stdout, stderr], ['in\n', 'err\n']);
  const many = 'for i in 1 2 3 4 5; do echo out; echo err >&2; done';
  for (const options of [[], ['-i']]) {
    const merged = await start(daemon, ['exec', ...options, 'web', '--', 'sh', '-c', many], { shell: (command) => `${command} 2>&1` }).ended;
    assert.equal(merged.stdout, 'out\nerr\n'.repeat(5));
  }
});

leakless(daemon, 'what its output does not tell of a command\'s end is said in a sentence', async () => {
  await boxNamed('web');
  const ended = async (...args) => {
    const { code, stderr } = await hutch(daemon, ['exec', ...args]);
    return [code, stderr];
  };
  assert.deepEqual(await ended('web', '--', 'sh', '-c', 'kill -SEGV $$'), [139, 'hutch: sh: ended by signal SEGV\n']);
  assert.deepEqual(await ended('--timeout', '1', 'web', '--', 'sleep', '1000'), [137, 'hutch: sleep: killed at its timeout of 1000 ms\n']);
  assert.deepEqual(await ended('web', '--', 'sh', '-c', 'exit 137'), [137, '']);
  const { child, ended: over } = start(daemon, ['exec', 'web', '--', 'sh', '-c', 'echo up; sleep 1000']);
  await once(child.stdout, 'data');
  await run('cancel', 'web', JSON.parse(await run('runs', 'web', '--json')).runs[0].id);
  assert.equal((await over).stderr, 'hutch: sh: cancelled\n');
});

leakless(daemon, 'the words after the box are the command\'s, whatever they look like', async () => {
  await boxNamed('web');
  assert.equal(await run('exec', 'web', 'echo', '-n', '--json', '-h', '--'), '--json -h --');
  assert.equal(await run('exec', 'web', '--', 'echo', '--help'), '--help\n');
  assert.equal(await run('exec', '-w', '/tmp', 'web', 'pwd'), '/tmp\n');
  assert.equal(await run('exec', 'web', '--', 'printf', '%s|', '', ' a ', '$HOME', "it's", 'ä€😀'), "| a |$HOME|it's|ä€😀|");
});

leakless(daemon, 'output is passed on byte for byte, also what looks like the end of a stream', async () => {
  await boxNamed('web');
  const odd = 'event: exit\ndata: {"exit_code":3}\n\n';
  assert.equal(await run('exec', 'web', '--', 'printf', '%s', odd), odd);
  const { bytes } = await hutch(daemon, ['exec', 'web', '--', 'sh', '-c', 'head -c 5000000 /dev/urandom | tee /tmp/random']);
  const hash = crypto.createHash('sha256').update(bytes).digest('hex');
  assert.equal((await run('exec', 'web', '--', 'sha256sum', '/tmp/random')).split(' ')[0], hash);
});

leakless(daemon, 'input goes to the command with -i, and only then', async () => {
  await boxNamed('web');
  const input = crypto.randomBytes(3_000_000);
  const hash = crypto.createHash('sha256').update(input).digest('hex');
  assert.match(await output(daemon, ['exec', '-i', 'web', '--', 'sha256sum'], { input }), new RegExp(hash));
  assert.equal(await output(daemon, ['exec', 'web', '--', 'wc', '-c'], { input }), '0\n');
});

leakless(daemon, 'a command that reads no input ends all the same', async () => {
  await boxNamed('web');
  assert.equal(await output(daemon, ['exec', '-i', 'web', '--', 'echo', 'over'], { input: Buffer.alloc(1_000_000) }), 'over\n');
  assert.equal((await start(daemon, ['exec', '-i', 'web', 'true'], { open: true }).ended).code, 0); // nor has it an end
});

leakless(daemon, 'the failures of exec itself are 125, wrong use is 2', async () => {
  await boxNamed('web');
  await complains(daemon, 125, /nobody/, ['exec', 'nobody', '--', 'true']);
  await complains(daemon, 125, /no-such-program/, ['exec', 'web', '--', 'no-such-program']);
  await complains(daemon, 125, /no-such-program/, ['exec', '-i', 'web', '--', 'no-such-program']);
  await complains(daemon, 125, /nobody/, ['exec', '-it', 'nobody', '--', 'true']);
  await complains(daemon, 125, /--workdir.*nowhere/, ['exec', '-w', 'nowhere', 'web', '--', 'true']);
  await complains(daemon, 2, /COMMAND/, ['exec', 'web']);
  await complains(daemon, 2, /COMMAND/, ['exec', 'web', '--']);
  await complains(daemon, 2, /BOX/, ['exec']);
  await complains(daemon, 2, /--frob/, ['exec', '--frob', 'web', 'true']);
});

leakless(daemon, 'a reader that goes away ends the command, quietly', async () => {
  const box = await boxNamed('web');
  for (const options of [[], ['-i']]) {
    const { stdout, stderr } = await start(daemon, ['exec', ...options, 'web', '--', 'yes'],
      { shell: (command) => `${command} | head -n 1; echo \${PIPESTATUS[0]}` }).ended;
    assert.deepEqual([stdout, stderr], ['y\n141\n', '']);
    assert.equal(await box.fails('pidof yes'), 1);
  }
});

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) { // busybox's sh takes no SIGQUIT
  leakless(daemon, `${signal} of exec is its command's`, async () => {
    const box = await boxNamed('web');
    for (const options of [[], ['-i']]) {
      const { child, ended } = start(daemon, ['exec', ...options, 'web', '--', 'sh', '-c', 'echo up; sleep 1000'], { open: true });
      await once(child.stdout, 'data');
      child.kill(signal);
      const { code: told, stderr } = await ended;
      assert.deepEqual([told, stderr], [code, '']);
      assert.equal(await box.fails('pidof sleep'), 1);
    }
  });
}

leakless(daemon, 'a command may do as it likes with the first interruption, and is killed by the second', async () => {
  const box = await boxNamed('web');
  const once_ = start(daemon, ['exec', 'web', '--', 'sh', '-c', 'trap "echo caught; exit 3" INT; echo up; sleep 1000 & wait']);
  await once(once_.child.stdout, 'data');
  once_.child.kill('SIGINT');
  const { code, stdout } = await once_.ended;
  assert.deepEqual([code, stdout], [3, 'up\ncaught\n']);
  await box.fails('killall sleep'); // the shell's own, if it had begun: in the background it takes no interruption
  const twice = start(daemon, ['exec', 'web', '--', 'sh', '-c', 'trap "echo caught" INT; echo up; while :; do sleep 1000 & wait; done']);
  await once(twice.child.stdout, 'data');
  twice.child.kill('SIGINT');
  await once(twice.child.stdout, 'data');
  twice.child.kill('SIGINT');
  assert.equal((await twice.ended).code, 137);
  assert.equal(await box.fails('pidof sleep'), 1);
});

leakless(daemon, 'exec goes on over a killed daemon, and says so', async () => {
  const box = await boxNamed('web');
  await box.sh('mkfifo go');
  const { child, ended } = start(daemon, ['exec', 'web', '--', 'sh', '-c', 'echo one; echo oops >&2; cat go; echo two; exit 5']);
  await Promise.all([once(child.stdout, 'data'), once(child.stderr, 'data')]);
  await daemon.end('SIGKILL');
  await daemon.launch();
  await box.sh('echo between > go');
  const { code, stdout, stderr } = await ended;
  assert.deepEqual([code, stdout], [5, 'one\nbetween\ntwo\n']);
  assert.match(stderr, /^oops\nhutch: the connection to the daemon was lost; run \w+ goes on\n$/);
});

leakless(daemon, 'exec gives up after a minute without a daemon, and tells how to go on', async () => {
  const box = await boxNamed('web');
  await box.sh('mkfifo go');
  const clock = new Clock();
  const { child, ended } = start(daemon, ['exec', 'web', '--', 'sh', '-c', 'echo one; cat go'], { env: clock.env });
  await once(child.stdout, 'data');
  await daemon.end('SIGKILL');
  await clock.pass(61, daemon);
  const { code, stderr } = await ended;
  assert.equal(code, 125);
  const [, id] = /^hutch: the daemon is gone, and the command goes on as run (\w+); see `hutch attach web \1` when it is back\n$/.exec(stderr);
  await daemon.launch();
  const attached = hutch(daemon, ['attach', 'web', id]);
  await box.sh('echo two > go');
  assert.equal((await attached).stdout, 'one\ntwo\n');
});

leakless(daemon, 'a box that is deleted under a command is said', async () => {
  const box = await boxNamed('web');
  const { child, ended } = start(daemon, ['exec', 'web', '--', 'sh', '-c', 'echo up; sleep 1000']);
  await once(child.stdout, 'data');
  await box.remove();
  const { code, stderr } = await ended;
  assert.equal(code, 125);
  assert.match(stderr, /^hutch: .*deleted\n$/);
});

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
  leakless(daemon, `${signal} ends a session with ${code}`, async () => {
    await boxNamed('web');
    const { child, ended } = start(daemon, ['exec', '-i', 'web', '--', 'sh', '-c', 'echo up; cat'], { open: true });
    await once(child.stdout, 'data');
    child.kill(signal);
    assert.equal((await ended).code, code);
  });
}

// --- exec on a terminal ---

leakless(daemon, 'exec -it gives the command a terminal, of this one\'s kind and size', async () => {
  await boxNamed('web');
  const terminal = new Terminal(daemon, ['exec', '-it', 'web', '--', 'sh', '-c', 'tty; stty size; echo $TERM; exit 5'],
    { before: 'stty rows 31 cols 97; ' });
  const { code, output: shown } = await terminal.finish();
  assert.equal(code, 5);
  assert.match(shown, /^\/dev\/pts\/\d+\n31 97\nvt220\n$/);
});

leakless(daemon, 'keys go through: what is typed, an interrupt, an end of input', async () => {
  await boxNamed('web');
  const terminal = new Terminal(daemon, ['exec', '-it', 'web', '--', 'sh']);
  terminal.type('echo $((40 + 2))\n');
  await terminal.until(/\n42\r/);
  terminal.type('echo wait; cat\n');
  await terminal.until(/\nwait\r/);
  terminal.type('again\n');
  await terminal.until(/\nagain\r\nagain\r/); // said by cat, so it is cat that the interrupt reaches
  terminal.type('\u0003');
  await terminal.until(/\^C[^]*\n[^\n]*[$#] /); // what is typed before the shell reads keys again is lost
  terminal.type('echo code $?\n');
  await terminal.until(/\ncode 130\r\n[^\n]*[$#] /);
  terminal.type('\u0004');
  assert.equal((await terminal.finish()).code, 0); // of its last command
});

leakless(daemon, 'the terminal of a session follows the size of ours', async () => {
  await boxNamed('web');
  const terminal = new Terminal(daemon,
    ['exec', '-it', 'web', '--', 'sh', '-c', 'trap "stty size; exit 5" WINCH; echo up; while :; do read x; done'],
    { before: 'tty; ' });
  await terminal.until(/up/);
  const [ours] = /\/dev\/pts\/\d+/.exec(terminal.output);
  execFileSync('stty', ['-F', ours, 'rows', '50', 'cols', '132']);
  const { code, output: shown } = await terminal.finish();
  assert.equal(code, 5);
  assert.match(shown, /50 132/);
});

leakless(daemon, 'the terminal is as before after a session, however it ended', async () => {
  const box = await boxNamed('web');
  const settings = `${process.env.HUTCH} exec -it web -- `;
  const ends = {
    'sh -c "exit 3"': () => {},
    'no-such-program': () => {},
    'sh -c "echo up; cat"': (terminal) => terminal.until(/up/).then(() => box.remove()),
  };
  for (const [command, end] of Object.entries(ends)) {
    const terminal = new Terminal(daemon, ['version'],
      { before: `before=$(stty -g); ${settings}${command}; [ "$before" = "$(stty -g)" ] && echo restored; ` });
    await end(terminal);
    assert.match((await terminal.finish()).output, /^restored$/m, command);
  }
});

leakless(daemon, 'a session whose terminal hangs up ends its command', async () => {
  const box = await boxNamed('web');
  const terminal = new Terminal(daemon, ['exec', '-it', 'web', '--', 'sh', '-c', 'echo up; sleep 1000']);
  await terminal.until(/up/);
  terminal.child.kill('SIGKILL'); // script's end closes the terminal
  await until('the box is idle', async () => await box.status() === 'idle');
});

leakless(daemon, 'exec -it with input from a pipe still gives a terminal', async () => {
  await boxNamed('web');
  assert.match(await output(daemon, ['exec', '-it', 'web', '--', 'sh', '-c', 'tty; read x; echo got $x'], { input: 'word\n' }),
    /\/dev\/pts\/\d+\r\n[^]*got word\r\n/);
});

// --- cp ---

const random = crypto.randomBytes(3_000_000);

leakless(daemon, 'cp brings a file in and out', async () => {
  await boxNamed('web');
  fs.writeFileSync(scratch('random'), random);
  assert.equal(await run('cp', scratch('random'), 'web:copy'), '');
  assert.equal(await run('cp', 'web:copy', scratch('back')), '');
  assert.ok(fs.readFileSync(scratch('back')).equals(random));
  assert.equal(await run('exec', 'web', '--', 'stat', '-c', '%U %s', '/workspace/home/copy'), 'boxuser 3000000\n');
});

leakless(daemon, 'cp copies into what is a directory, or ends in a slash', async () => {
  const box = await boxNamed('web');
  fs.writeFileSync(scratch('note'), 'note');
  await box.sh('mkdir there');
  for (const target of ['web:', 'web:there', 'web:new/', 'web:/tmp/']) await run('cp', scratch('note'), target);
  assert.equal(await box.sh('cat note there/note new/note /tmp/note'), 'notenotenotenote');
  fs.mkdirSync(scratch('here'), { recursive: true });
  await run('cp', 'web:there/note', scratch('here'));
  await run('cp', 'web:there/note', `${scratch('here')}/renamed`);
  assert.deepEqual(fs.readdirSync(scratch('here')).sort(), ['note', 'renamed']);
});

leakless(daemon, 'cp copies a directory with all its files, in and out', async () => {
  const box = await boxNamed('web');
  const files = { 'a': '1', 'sub/b c': '2', 'sub/deep/ä"\'\\': '3', 'sub/empty': '', '-dash': '4', 'line\nbreak': '5' };
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(scratch('tree'), name)), { recursive: true });
    fs.writeFileSync(path.join(scratch('tree'), name), content);
  }
  await run('cp', scratch('tree'), 'web:');
  assert.equal(await box.sh('find tree -type f | wc -l'), '7'); // a name with a line break makes two lines
  await run('cp', 'web:tree', scratch('out'));
  for (const [name, content] of Object.entries(files)) {
    assert.equal(fs.readFileSync(path.join(scratch('out'), name), 'utf8'), content, name);
  }
  await run('cp', 'web:tree', scratch('out')); // it is there now, so into it
  assert.ok(fs.existsSync(path.join(scratch('out'), 'tree/a')));
});

leakless(daemon, 'cp says what of a directory it left out', async () => {
  await boxNamed('web');
  fs.mkdirSync(scratch('mixed'));
  fs.writeFileSync(path.join(scratch('mixed'), 'file'), 'x');
  execFileSync('mkfifo', [path.join(scratch('mixed'), 'pipe')]);
  await complains(daemon, 1, /1 entries are not: "mixed\/pipe" is a device, a FIFO/, ['cp', scratch('mixed'), 'web:']);
  assert.equal(await run('exec', 'web', '--', 'cat', 'mixed/file'), 'x');
});

/// A project as people have them: what a copy must bring along.
function project(root) {
  fs.mkdirSync(path.join(root, 'bin'), { recursive: true });
  fs.mkdirSync(path.join(root, 'empty'), { mode: 0o750 });
  fs.mkdirSync(path.join(root, 'closed'));
  fs.writeFileSync(path.join(root, 'bin/tool'), '#!/bin/sh\necho ran\n', { mode: 0o755 });
  fs.writeFileSync(path.join(root, 'key'), 'secret', { mode: 0o600 });
  fs.linkSync(path.join(root, 'key'), path.join(root, 'same-key'));
  fs.symlinkSync('bin/tool', path.join(root, 'link'));
  fs.symlinkSync('nowhere', path.join(root, 'dangling'));
  fs.symlinkSync('/etc/passwd', path.join(root, 'outside'));
  fs.writeFileSync(path.join(root, 'n'.repeat(200)), 'long');
  fs.writeFileSync(path.join(root, 'sparse'), 'x');
  fs.truncateSync(path.join(root, 'sparse'), 8 << 20);
  fs.writeFileSync(path.join(root, 'closed/file'), 'in it');
  fs.chmodSync(path.join(root, 'closed'), 0o500);
  for (const name of ['key', 'empty', 'sparse']) fs.utimesSync(path.join(root, name), 1e9, 1e9);
}

const kLook = 'cd "$1" && find . | sort | while read -r name; do stat -c "%a %F" "$name"; '
  + 'if [ -L "$name" ]; then readlink "$name"; elif [ -f "$name" ]; then stat -c %h "$name"; md5sum "$name"; else echo "$name"; fi; done; '
  + 'stat -c %Y key empty sparse; [ $(stat -c %b sparse) -lt 1000 ] && echo sparse';

leakless(daemon, 'cp keeps modes, times, links, empty directories and holes, both ways', async () => {
  await boxNamed('web');
  const [from, back] = [scratch('project'), scratch('back-again')];
  project(from);
  const before = execFileSync('/bin/sh', ['-c', kLook, 'sh', from], { encoding: 'utf8' });
  assert.match(before, /sparse$/m);
  await run('cp', from, 'web:copied');
  assert.equal(await run('exec', 'web', '--', 'sh', '-c', kLook, 'sh', 'copied'), before);
  assert.equal(await run('exec', 'web', '--', 'copied/link'), 'ran\n');
  await run('cp', 'web:copied', back);
  assert.equal(execFileSync('/bin/sh', ['-c', kLook, 'sh', back], { encoding: 'utf8' }), before);
});

leakless(daemon, 'cp of one file keeps its mode and time, both ways', async () => {
  await boxNamed('web');
  fs.writeFileSync(scratch('tool'), '#!/bin/sh\necho ran\n', { mode: 0o750 });
  fs.utimesSync(scratch('tool'), 1e9, 1e9);
  await run('cp', scratch('tool'), 'web:~/bin/tool');
  assert.equal(await run('exec', 'web', '--', 'stat', '-c', '%a %Y', '/home/boxuser/bin/tool'), '750 1000000000\n');
  await run('cp', 'web:~/bin/tool', scratch('tool-again'));
  const { mode, mtimeMs } = fs.statSync(scratch('tool-again'));
  assert.deepEqual([mode & 0o777, mtimeMs], [0o750, 1e12]);
});

leakless(daemon, 'cp writes to standard output and reads from standard input', async () => {
  const box = await boxNamed('web');
  await output(daemon, ['cp', '-', 'web:in'], { input: random });
  assert.ok((await hutch(daemon, ['cp', 'web:in', '-'])).bytes.equals(random));
  await output(daemon, ['cp', '-', 'web:empty']);
  assert.equal(await box.sh('stat -c %s empty'), '0');
  await complains(daemon, 2, /name/, ['cp', '-', 'web:']);
  await complains(daemon, 2, /name/, ['cp', '-', 'web:tmp/']);
});

leakless(daemon, 'cp that cannot is said, and leaves nothing half', async () => {
  await boxNamed('web');
  fs.mkdirSync(scratch('target'));
  await complains(daemon, 1, /nowhere/, ['cp', scratch('nowhere'), 'web:']);
  await complains(daemon, 1, /nowhere/, ['cp', 'web:nowhere', scratch('target/x')]);
  await complains(daemon, 1, /nobody/, ['cp', '/etc/passwd', 'nobody:']);
  await complains(daemon, 1, /missing/, ['cp', 'web:/etc/passwd', scratch('missing/x')]);
  await complains(daemon, 1, /passwd/, ['cp', '/etc/hostname', 'web:/etc/passwd/x']);
  await complains(daemon, 2, /BOX:PATH/, ['cp', 'one', 'two']);
  await complains(daemon, 1, /one/, ['cp', 'web:one', 'web:two']);
  await complains(daemon, 2, /path/, ['cp', 'web:', '.']);
  assert.deepEqual(fs.readdirSync(scratch('target')), []);
});

leakless(daemon, 'cp writes into a stream of the caller\'s, not in its place', async () => {
  await boxNamed('web');
  const { stdout } = await start(daemon, ['cp', 'web:/etc/group', '/dev/stdout'], { shell: (command) => `${command} | cat` }).ended;
  assert.match(stdout, /boxuser/);
  assert.ok(fs.lstatSync('/dev/stdout').isSymbolicLink());
});

// --- image, doctor, version ---

leakless(daemon, 'image: import, ls, inspect, build, rm', async () => {
  const archive = scratch('busybox.tar');
  assert.equal(await run('image', 'import', 'tools', archive, '--user', 'root', '--workdir', '/srv', '-e', 'A=b c', '--env', 'D=e'),
    'tools\n');
  assert.deepEqual(JSON.parse(await run('image', 'inspect', 'tools')).env, { A: 'b c', D: 'e' });
  fs.writeFileSync(scratch('recipe.sh'), 'echo progress; echo made > /srv/file\n');
  const { code, stdout, stderr } = await hutch(daemon, ['image', 'build', 'made', '-f', scratch('recipe.sh'), '--from', 'tools']);
  assert.deepEqual([code, stdout, stderr], [0, 'made\n', 'progress\n']);
  const rows = rowsOf(await run('image', 'ls'));
  assert.deepEqual(rows.map((row) => [row.NAME, row.PARENT, row.LAYERS]),
    [['busybox', '', '1'], ['busybox-root', '', '1'], ['made', 'tools', '2'], ['tools', '', '1']]);
  assert.equal(JSON.parse(await run('image', 'inspect', 'made')).workdir, '/srv');
  const shown = (await new Terminal(daemon, ['image', 'inspect', 'made'], { env: { NO_COLOR: '1' } }).finish()).output;
  assert.match(shown, /^Name +made\n[^]*Work directory +\/srv\n/);
  await complains(daemon, 1, /tools.*made/, ['image', 'rm', 'tools']);
  assert.equal(await run('image', 'rm', 'made'), '');
  assert.equal(await run('image', 'rm', 'tools'), '');
});

leakless(daemon, 'image import reads standard input', async () => {
  const input = fs.readFileSync(scratch('busybox.tar'));
  assert.equal(await output(daemon, ['image', 'import', 'piped', '-'], { input }), 'piped\n');
  await run('image', 'rm', 'piped');
});

leakless(daemon, 'image build runs the recipe of that name', async () => {
  assert.equal((await hutch(daemon, ['image', 'build', 'busybox'])).stdout, 'busybox\n'); // the one that comes with it
  const share = scratch('share');
  fs.mkdirSync(path.join(share, 'images'), { recursive: true });
  fs.writeFileSync(path.join(share, 'images/own'), `#!/bin/sh\necho progress >&2; cat ${scratch('busybox.tar')}\n`, { mode: 0o755 });
  fs.writeFileSync(path.join(share, 'images/broken'), '#!/bin/sh\nexit 9\n', { mode: 0o755 });
  fs.writeFileSync(path.join(share, 'images/upon.sh'), '# A test.\n# env: TOOLS=a@1 b\ntouch /upon\n');
  const env = { HUTCH_SHARE: share };
  const { code, stdout, stderr } = await hutch(daemon, ['image', 'build', 'own'], { env });
  assert.deepEqual([code, stdout, stderr], [0, 'own\n', 'progress\n']);
  assert.equal(await output(daemon, ['image', 'build', 'upon'], { env }), 'upon\n');
  assert.deepEqual(JSON.parse(await output(daemon, ['image', 'inspect', 'upon'])).env, { TOOLS: 'a@1 b' });
  await complains(daemon, 1, /broken.*status 9/, ['image', 'build', 'broken'], { env });
  await complains(daemon, 1, /gentoo/, ['image', 'build', 'gentoo'], { env });
  await complains(daemon, 2, /\.\.\/x/, ['image', 'build', '../x'], { env });
  for (const name of ['upon', 'own']) await run('image', 'rm', name);
});

leakless(daemon, 'image build makes what a recipe stands on first, and runs with it what it wants', async () => {
  const share = scratch('share');
  const put = (name, text, mode = 0o644) => fs.writeFileSync(path.join(share, 'images', name), text, { mode });
  fs.mkdirSync(path.join(share, 'images'), { recursive: true });
  put('lowest', `#!/bin/sh\n# env: LOW=1\n# env: SAID=a=b\ncat ${scratch('busybox.tar')}\n`, 0o755);
  put('tool.sh', '# A tool.\n# from: busybox\n# env: TOOL=t\nset -eu\necho "tool $LOW"; here=/tool; touch $here\n');
  put('top.sh', '# A test.\n# from: lowest\n# with: tool\n# env: TOP=x y\nls /tool; echo "top $TOOL $TOP ${here-alone}"\n');
  put('bad.sh', '# A test.\n# from: lowest\n# with: fails\ntouch /done\n');
  put('fails.sh', 'set -e\nfalse\ntrue\n');
  const env = { HUTCH_SHARE: share };
  const { code, stdout, stderr } = await hutch(daemon, ['image', 'build', 'top'], { env });
  assert.deepEqual([code, stdout, stderr], [0, 'top\n', 'hutch: image lowest comes first\ntool 1\n/tool\ntop t x y alone\n']);
  const top = JSON.parse(await run('image', 'inspect', 'top'));
  assert.deepEqual([top.parent, top.env], ['lowest', { LOW: '1', SAID: 'a=b', TOOL: 't', TOP: 'x y' }]);
  assert.match((await hutch(daemon, ['image', 'build', 'bad'], { env })).stderr, /^hutch: [^]*exit status 1; nothing was kept\n$/);
  for (const name of ['top', 'lowest']) await run('image', 'rm', name);
});

leakless(daemon, 'image ls shows what is being made, and where it is', async () => {
  fs.writeFileSync(scratch('recipe.sh'), 'echo half way; mkfifo /go; read x < /go\n');
  const { child, ended } = start(daemon, ['image', 'build', 'slow', '-f', scratch('recipe.sh')]);
  await until('it says so', async () => /^slow +being made +\w+: half way$/m.test(await run('image', 'ls')));
  child.kill();
  await ended;
  await until('it is given up', async () => !(await run('image', 'ls')).includes('slow'));
});

leakless(daemon, 'a recipe whose client is killed ends with it', async () => {
  const share = scratch('share');
  fs.mkdirSync(path.join(share, 'images'), { recursive: true });
  const pidFile = scratch('recipe.pid');
  fs.writeFileSync(path.join(share, 'images/slow'), `#!/bin/bash\ntrap 'kill $!; rm -f ${pidFile}; exit 143' TERM\nsleep 1000 & echo $$ >${pidFile}; wait\n`, { mode: 0o755 });
  const { child } = start(daemon, ['image', 'build', 'slow'], { env: { HUTCH_SHARE: share } });
  await until('the recipe runs', () => fs.existsSync(pidFile) && fs.readFileSync(pidFile, 'utf8').endsWith('\n'));
  child.kill('SIGKILL');
  await until('the recipe has heard of it', () => !fs.existsSync(pidFile));
});

leakless(daemon, 'a recipe may take its time before it writes: the daemon is not kept waiting', async () => {
  const share = scratch('share');
  fs.mkdirSync(path.join(share, 'images'), { recursive: true });
  const [up, go] = [scratch('up'), scratch('go')];
  execFileSync('mkfifo', [go]);
  fs.writeFileSync(path.join(share, 'images/slow'), `#!/bin/sh\ntouch ${up}; read x <${go}; cat ${scratch('busybox.tar')}\n`, { mode: 0o755 });
  const { ended } = start(daemon, ['image', 'build', 'slow'], { env: { HUTCH_SHARE: share } });
  await until('the recipe runs', () => fs.existsSync(up));
  await until('no connection waits for it', () => connections(daemon.socket) === 0);
  fs.writeFileSync(go, 'on\n');
  assert.equal((await ended).code, 0);
  await run('image', 'rm', 'slow');
});

leakless(daemon, 'an image that fails is said, and nothing is kept', async () => {
  fs.writeFileSync(scratch('bad.sh'), 'echo trying; exit 3\n');
  const { code, stdout, stderr } = await hutch(daemon, ['image', 'build', 'bad', '-f', scratch('bad.sh')]);
  assert.deepEqual([code, stdout], [1, '']);
  assert.match(stderr, /^trying\nhutch: .*exit status 3.*\n$/);
  await complains(daemon, 1, /bad/, ['image', 'inspect', 'bad']);
  await complains(daemon, 1, /importing image bad/, ['image', 'import', 'bad', scratch('bad.sh')]);
  await complains(daemon, 1, /nowhere/, ['image', 'import', 'bad', scratch('nowhere')]);
  await complains(daemon, 1, /nowhere/, ['image', 'build', 'bad', '-f', scratch('nowhere')]);
  await complains(daemon, 1, /NAME: /, ['image', 'import', 'a b', scratch('busybox.tar')]);
  await complains(daemon, 2, /command/, ['image']);
});

leakless(daemon, 'doctor tells each finding, and fails only for errors', async () => {
  const { code, stdout } = await hutch(daemon, ['doctor']);
  const lines = stdout.trimEnd().split('\n');
  assert.match(lines[0], /^hutchd \S+ on Linux \S+, \w+ cgroups$/);
  for (const line of lines.slice(1)) assert.match(line, /^(ok     |warning|error  ) {2}\S|^ {9}fix: /);
  assert.equal(code, lines.some((line) => line.startsWith('error')) ? 1 : 0);
});

leakless(daemon, 'version tells both, with and without a daemon', async () => {
  assert.match(await run('version'), /^hutch {2}\d+\.\d+\.\d+\nhutchd \d+\.\d+\.\d+\n$/);
  const env = { HUTCH_HOST: 'unix:///nowhere/hutch.sock' };
  assert.match(await output(daemon, ['version'], { env }), /\nhutchd not known: no hutchd answers at unix:\/\/\/nowhere.*\n$/);
  assert.equal((await json(daemon, ['version'], { env })).daemon, null);
});

leakless(daemon, '--json is JSON everywhere', async () => {
  const id = (await json(daemon, ['create', 'web'])).id;
  assert.deepEqual((await json(daemon, ['ls'])).map((box) => box.id), [id]);
  assert.equal((await json(daemon, ['inspect', 'web'])).id, id);
  assert.ok(Array.isArray((await json(daemon, ['logs', 'web'])).logs));
  assert.equal((await json(daemon, ['image', 'import', 'x', scratch('busybox.tar')])).name, 'x');
  fs.writeFileSync(scratch('true.sh'), 'true\n');
  assert.equal((await json(daemon, ['image', 'build', 'y', '-f', scratch('true.sh')])).name, 'y');
  assert.deepEqual((await json(daemon, ['image', 'ls'])).images.map((image) => image.name), ['busybox', 'busybox-root', 'x', 'y']);
  assert.equal((await json(daemon, ['image', 'inspect', 'x'])).name, 'x');
  assert.ok(Array.isArray(JSON.parse((await hutch(daemon, ['doctor', '--json'])).stdout).findings));
  assert.deepEqual(Object.keys(await json(daemon, ['version'])).sort(), ['client', 'daemon']);
  for (const name of ['y', 'x']) await run('image', 'rm', name);
});

// --- errors ---

leakless(daemon, 'where no daemon answers, every command says so', async () => {
  const env = { HUTCH_HOST: 'unix:///nowhere/hutch.sock' };
  const commands = [['create'], ['ls'], ['ls', '--json'], ['inspect', 'x'], ['rm', 'x'], ['logs', 'x'], ['doctor'],
    ['cp', '/etc/passwd', 'x:'], ['cp', 'x:y', '.'], ['image', 'ls'], ['image', 'rm', 'x'], ['image', 'build', 'busybox'],
    ['image', 'inspect', 'x'], ['image', 'import', 'x', '/etc/passwd']];
  for (const args of commands) await complains(daemon, 1, /no hutchd answers at unix:\/\/\/nowhere.*start/, args, { env });
  for (const option of [[], ['-i'], ['-it']]) {
    await complains(daemon, 125, /no hutchd answers/, ['exec', ...option, 'x', 'true'], { env });
  }
});

leakless(daemon, 'a daemon that is no daemon is said', async () => {
  for (const [host, about] of [['tcp://x', /known kind/], ['https://', /no address/], ['unix://rel', /absolute/], ['http://x:0', /port/]]) {
    await complains(daemon, 2, about, ['--host', host, 'ls']);
  }
});

leakless(daemon, 'wrong use is 2, with where the right one can be read', async () => {
  const wrong = [[['frob'], /"frob".*hutch --help/], [['ls', '--frob'], /--frob.*hutch ls --help/], [['inspect'], /BOX/],
    [['create', 'a', 'b'], /b/], [['create', '--size', 'huge'], /huge/], [['create', '--env', 'X'], /NAME=VALUE/],
    [['create', '--env', '=x'], /NAME=VALUE/], [['logs', 'x', '-n', '0'], /-n/], [['logs', 'x', '-n', 'many'], /many|-n/],
    [['rm'], /BOX/], [['inspect', ''], /BOX/], [['image', 'frob'], /"frob".*hutch image --help/],
    [['completion', 'tcsh'], /tcsh/], [['create', 'bad\xff'.slice(0, 3) + '\u0007', '--size'], /size/]];
  for (const [args, about] of wrong) await complains(daemon, 2, about, args);
});

leakless(daemon, 'what the daemon refuses is 1, in the daemon\'s words', async () => {
  await boxNamed('taken');
  await complains(daemon, 1, /^hutch: NAME: .*taken/, ['create', 'taken']);
  await complains(daemon, 1, /^hutch: --image: .*gentoo/, ['create', '--image', 'gentoo']);
  await complains(daemon, 1, /^hutch: NAME: /, ['create', 'a/b']);
  await complains(daemon, 1, /^hutch: --env: HOME/, ['create', '--env', 'HOME=/']);
  await complains(daemon, 1, /nobody/, ['inspect', 'nobody']);
  await complains(daemon, 1, /nobody/, ['logs', 'nobody', '--json']);
});

leakless(daemon, 'help is for all commands, and tells the exit codes', async () => {
  const help = await run('--help');
  for (const [, command] of help.matchAll(/^  (\w+) {2,}\S/gm)) {
    if (command === 'hutch') continue;
    const text = await run(command, '--help');
    assert.match(text, /Example:\n {2}(hutch|source)/, command);
    assert.ok(text.split('\n').every((line) => line.length <= 100), text);
  }
  assert.match(help, /Exit status/);
  const { code, stderr } = await hutch(daemon, []);
  assert.deepEqual([code, stderr], [2, help]);
});

// --- runs ---

leakless(daemon, 'a detached command is listed, followed to its end with its exit code, and cancelled', async () => {
  const box = await boxNamed('web');
  await box.sh('mkfifo go');
  const id = (await run('exec', '-d', 'web', '--', 'sh', '-c', 'echo out; echo err >&2; cat go; exit 3')).trim();
  const listed = await run('runs', 'web');
  assert.match(listed, new RegExp(`^ID +STATUS +AGE +TOOK +CPU +COMMAND\n${id} +running .* sh -c echo out`));
  const attached = hutch(daemon, ['attach', 'web', id]);
  await box.sh('echo last > go');
  const { code, stdout, stderr } = await attached;
  assert.deepEqual([code, stdout, stderr], [3, 'out\nlast\n', 'err\n'], 'standard error apart');
  assert.equal(JSON.parse(await run('runs', 'web', '--json')).runs.find((one) => one.id === id).status, 'failed');

  const endless = (await run('exec', '--detach', 'web', 'sleep', '1000')).trim();
  await run('cancel', 'web', endless);
  assert.equal((await hutch(daemon, ['attach', 'web', endless])).code, 137);
  await complains(daemon, 1, /has ended \(cancelled\)/, ['cancel', 'web', endless]);
  await complains(daemon, 125, /none/, ['attach', 'web', 'none']);
  assert.equal((await hutch(daemon, ['exec', '--timeout', '1', 'web', '--', 'sleep', '1000'])).code, 137);
});
