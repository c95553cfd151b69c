// The `hutch` command as somebody meets it who knows other such commands: run, shell, lists, deleting many, contexts,
// help, and words that are nearly right.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { complains, hutch, json, output, start, Terminal } from './lib/command.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('script');
const daemon = suite({ tcp: true });
const run = (...args) => output(daemon, args);
const boxes = () => daemon.json('GET', '/v2/box');
const names = async () => (await boxes()).map((box) => box.name).sort();
const plain = { env: { NO_COLOR: '1' } };

// --- run and shell ---

leakless(daemon, 'run makes a box, runs a command in it, and with --rm deletes it', async () => {
  const { code, stdout, stderr } = await hutch(daemon, ['run', '--rm', '--env', 'A=b', '--label', 'x', 'busybox', '--', 'sh', '-c', 'echo $A; exit 7']);
  assert.deepEqual([code, stdout, stderr], [7, 'b\n', '']);
  assert.deepEqual(await boxes(), []);
  assert.equal(await run('run', '--name', 'web', 'busybox', 'echo', '--rm'), '--rm\n');
  assert.deepEqual(await names(), ['web']);
});

leakless(daemon, 'run tells how a box without a name is called, which stays', async () => {
  const { stdout, stderr } = await hutch(daemon, ['run', 'busybox', '--', 'echo', 'on']);
  const [{ id }] = await boxes();
  assert.equal(stdout, 'on\n');
  assert.match(stderr, new RegExp(`^hutch: .*${id}.*hutch rm ${id}`));
});

leakless(daemon, 'run -d tells box and run, as attach wants them', async () => {
  const [box, id] = (await run('run', '-d', '--name', 'web', 'busybox', '--', 'sh', '-c', 'echo said; exit 3')).trim().split(' ');
  assert.equal(box, 'web');
  const { code, stdout } = await hutch(daemon, ['attach', box, id]);
  assert.deepEqual([code, stdout], [3, 'said\n']);
});

for (const [signal, open] of [['SIGINT', false], ['SIGTERM', true], ['SIGKILL', false]]) {
  leakless(daemon, `run --rm deletes its box when it is ended by ${signal}`, async () => {
    const { child, ended } = start(daemon, ['run', '--rm', ...(open ? ['-i'] : []), 'busybox', '--', 'sh', '-c', 'echo up; sleep 1000'], { open });
    await once(child.stdout, 'data');
    assert.equal((await boxes()).length, 1);
    child.kill(signal);
    await ended;
    await until('its box is gone', async () => (await boxes()).length === 0);
  });
}

leakless(daemon, 'run --rm on a terminal deletes its box when it is interrupted', async () => {
  const terminal = new Terminal(daemon, ['run', '--rm', 'busybox', '--', 'sh', '-c', 'echo up; sleep 1000']);
  await terminal.until(/up/);
  terminal.type('\u0003');
  await terminal.finish();
  await until('its box is gone', async () => (await boxes()).length === 0);
});

leakless(daemon, 'run that cannot begin leaves nothing', async () => {
  await complains(daemon, 125, /^hutch: IMAGE: .*gentoo/, ['run', '--rm', 'gentoo', '--', 'true']);
  await complains(daemon, 125, /COMMAND: .*no-such/, ['run', '--rm', 'busybox', '--', 'no-such-program']);
  await complains(daemon, 2, /IMAGE/, ['run']);
  await complains(daemon, 2, /COMMAND.*busybox/, ['run', 'busybox']);
  await complains(daemon, 2, /--rm.*--detach|--detach.*--rm/, ['run', '--rm', '-d', 'busybox', '--', 'true']);
  assert.deepEqual(await boxes(), []);
});

leakless(daemon, 'a shell opens in a box, by its name and by exec -it', async () => {
  await daemon.box({ name: 'web' });
  for (const args of [['shell', 'web'], ['exec', '-it', 'web']]) {
    const terminal = new Terminal(daemon, args);
    terminal.type('echo $((40 + 2))\n');
    await terminal.until(/\n42\r/);
    terminal.type('exit 4\n');
    assert.equal((await terminal.finish()).code, 4, args.join(' '));
  }
  assert.equal(await output(daemon, ['shell', 'web', '-e', 'A=b', '-w', '/tmp'], { input: 'echo $A; pwd\n' }), 'b\n/tmp\n');
});

leakless(daemon, 'exec takes variables, a user and a directory', async () => {
  await daemon.box({ name: 'web', env_vars: { A: 'box', B: 'box' } });
  const say = ['web', '--', 'sh', '-c', 'echo "$A $B $C $(id -un) $PWD"'];
  assert.equal(await output(daemon, ['exec', '-e', 'A=own', '--env', 'C', '-u', 'root', '-w', '/tmp', ...say], { env: { C: 'ours' } }), 'own box ours root /tmp\n');
  assert.match(await run('exec', ...say), /^box box {2}boxuser /);
  await complains(daemon, 2, /--env: "X"/, ['exec', '-e', 'X', 'web', 'true']);
  await complains(daemon, 125, /^hutch: --env: HOME/, ['exec', '-e', 'HOME=/', 'web', 'true']);
  await complains(daemon, 125, /--user: the image's \/etc\/passwd does not know "nobody"/, ['exec', '-u', 'nobody', 'web', 'true']);
  const { exit_code: code, output: said } = await daemon.json('POST', '/v2/box/web/exec', { command: ['id', '-u'], user: 'root' });
  assert.deepEqual([code, said], [0, '0\n']);
  await daemon.refuses(400, /^user: /, 'POST', '/v2/box/web/exec', { body: { command: ['true'], user: 'nobody' } });
  await daemon.refuses(400, /^env: /, 'POST', '/v2/box/web/exec', { body: { command: ['true'], env: { 'a b': 'x' } } });
});

// --- lists ---

leakless(daemon, 'ls shows ids alone, columns, JSON, and what a filter or labels pick', async () => {
  const one = await daemon.box({ name: 'one', labels: ['team=a', 'ci'] });
  await daemon.box({ name: 'two', labels: ['team=a'] });
  await run('pause', 'two');
  assert.equal(await run('ls', '-q', '--filter', 'name=one'), `${one.id}\n`);
  assert.equal(await run('ls', '--label', 'team=a', '--label', 'ci', '--format', 'name,status'), 'one\tidle\n');
  assert.equal(await run('ps', '--filter', 'status=paused', '--format', 'name'), 'two\n');
  assert.equal(await run('list', '--filter', 'name=t*', '--filter', 'label=team=*', '--format', 'name'), 'two\n');
  assert.equal(JSON.parse(await run('ls', '--format', 'json')).length, 2);
  assert.equal(await run('ls', '--format', 'table'), await run('ls'));
  await complains(daemon, 2, /--filter: "x".*name, id/, ['ls', '--filter', 'x']);
  await complains(daemon, 2, /--format: "x".*status/, ['ls', '--format', 'x']);
});

leakless(daemon, 'ls --watch shows what happens, as it happens', async () => {
  await daemon.box({ name: 'one' });
  const { child, ended } = start(daemon, ['ls', '--watch', '--format', 'name,status']);
  let seen = '';
  child.stdout.on('data', (text) => { seen += text; });
  await until('it is shown', () => seen.includes('one\tidle\n'));
  await run('pause', 'one');
  await until('its pause is shown', () => seen.includes('one\tpaused\n'));
  child.kill();
  await ended;
});

// --- deleting many ---

leakless(daemon, 'rm by label and prune ask on a terminal, and delete nothing without a yes', async () => {
  for (const name of ['a', 'b']) await daemon.box({ name, labels: ['old'] });
  await daemon.box({ name: 'kept' });
  for (const [answer, left] of [['n\n', ['a', 'b', 'kept']], ['\n', ['a', 'b', 'kept']], ['y\n', ['kept']]]) {
    const terminal = new Terminal(daemon, ['rm', '--label', 'old'], plain);
    await terminal.until(/^(?=[^]* {2}a {2}idle {2}busybox)(?=[^]* {2}b {2}idle)[^]*Delete these 2 boxes/);
    terminal.type(answer);
    assert.equal((await terminal.finish()).code, answer === 'y\n' ? 0 : 1);
    assert.deepEqual(await names(), left);
  }
});

leakless(daemon, 'rm by label and prune without a terminal want --force, and name what is gone', async () => {
  for (const name of ['a', 'b', 'c']) await daemon.box({ name, labels: ['old'] });
  await complains(daemon, 2, /--force.*3 boxes/, ['rm', '--label', 'old']);
  await complains(daemon, 2, /--label/, ['rm']);
  await complains(daemon, 2, /one of the two/, ['rm', 'a', '--label', 'old']);
  assert.equal(await run('prune', '--force'), '', 'none is unused');
  await run('stop', 'a', 'b');
  await complains(daemon, 2, /--force.*2 boxes/, ['prune']);
  assert.equal(await run('prune', '--yes', '--filter', 'name=a'), 'a\n');
  assert.deepEqual((await run('rm', '--label', 'old', '--force')).trim().split('\n').sort(), ['b', 'c']);
  assert.equal(await run('rm', '--label', 'none', '--force'), '');
  assert.deepEqual(await names(), []);
});

// --- copies ---

leakless(daemon, 'cp takes many into a directory, and goes from box to box', async () => {
  const [one, two] = [await daemon.box({ name: 'one' }), await daemon.box({ name: 'two' })];
  const here = fs.mkdtempSync(path.join(daemon.directory, 'cp-'));
  for (const name of ['a', 'b']) fs.writeFileSync(path.join(here, name), name);
  await one.sh('mkdir d');
  await run('cp', path.join(here, 'a'), path.join(here, 'b'), 'one:d');
  assert.equal(await one.sh('cat d/a d/b'), 'ab');
  await complains(daemon, 2, /nowhere is no directory/, ['cp', path.join(here, 'a'), path.join(here, 'b'), 'one:nowhere']);
  await complains(daemon, 2, /no directory/, ['cp', 'one:d/a', 'one:d/b', path.join(here, 'a')]);
  await run('cp', 'one:d/a', 'two:c');
  await run('cp', 'one:d', 'two:');
  assert.equal(await two.sh('cat c d/a d/b'), 'aab');
  await run('cp', 'one:d/a', 'two:c', `${here}/`);
  assert.equal(fs.readFileSync(path.join(here, 'c'), 'utf8'), 'a');
  await complains(daemon, 2, /BOX:PATH/, ['cp', 'a', 'one:b', 'c']);
});

// --- top ---

leakless(daemon, 'top shows what boxes use now, the busiest first', async () => {
  await daemon.box({ name: 'idle' });
  const busy = await daemon.box({ name: 'busy' });
  await run('exec', '-d', 'busy', '--', 'sh', '-c', 'while :; do :; done');
  const [head, first, second] = (await run('top')).split('\n').map((line) => line.trim().split(/ {2,}/));
  assert.deepEqual(head, ['NAME', 'ID', 'STATUS', 'CPU', 'MEMORY', 'LIMIT', 'DISK']);
  assert.deepEqual([first[0], first[1], first[2]], ['busy', busy.id, 'running']);
  assert.match(first[3], /^[1-9]\d*%$/);
  assert.match(first[4], /B$/);
  assert.equal(second[0], 'idle');
  const [{ stats }] = await daemon.json('GET', '/v2/box?stats=1');
  assert.ok(stats.memory_bytes > 0 && stats.memory_bytes < stats.memory_limit_bytes);
});

// --- snapshots ---

leakless(daemon, 'a snapshot is named wherever its id is taken', async () => {
  const [one, two] = [await daemon.box({ name: 'one' }), await daemon.box({ name: 'two' })];
  await one.sh('echo first > f');
  const id = (await run('snapshot', 'create', 'one', 'clean')).trim();
  await complains(daemon, 1, /^hutch: NAME: .*"clean" already/, ['snapshot', 'create', 'one', 'clean']);
  await one.sh('echo second > f');
  assert.match(await run('diff', 'one', '--against', 'clean'), /modified +\/workspace\/home\/f\n/);
  assert.equal(await run('create', 'three', '--snapshot', 'clean'), 'three\n');
  await run('rollback', 'one', 'clean');
  assert.equal(await one.sh('cat f'), 'first');
  const other = (await run('snapshot', 'create', 'two', 'clean')).trim();
  await complains(daemon, 1, new RegExp(`--snapshot: 2 snapshots.*(${id}|${other})`), ['create', '--snapshot', 'clean']);
  await run('rollback', 'one', 'clean'); // of this box there is one
  await complains(daemon, 1, /2 snapshots/, ['snapshot', 'rm', 'clean']);
  await run('snapshot', 'rm', other);
  await run('snapshot', 'rm', 'clean');
  await complains(daemon, 1, /id or name "clean"/, ['snapshot', 'rm', 'clean']);
  // The contract lets a box have several of one name.
  await daemon.json('POST', `${two.path}/snapshots`, { name: 'x' }, 201);
  await daemon.json('POST', `${two.path}/snapshots`, { name: 'x' }, 201);
  await daemon.refuses(409, /^name: /, 'POST', `${two.path}/snapshots`, { body: { name: 'x', unique: true } });
  await daemon.json('DELETE', '/v2/box/snapshots', {});
});

// --- logs ---

leakless(daemon, 'logs -f goes on with what happens, until the box is deleted', async () => {
  const box = await daemon.box({ name: 'web' });
  const { child, ended } = start(daemon, ['logs', 'web', '-f']);
  let seen = '';
  child.stdout.on('data', (text) => { seen += text; });
  await until('what was', () => /created from image busybox\n/.test(seen));
  await run('snapshot', 'create', 'web', 'now');
  await until('what comes', () => /snapshot \w+ taken\n/.test(seen));
  await daemon.json('DELETE', '/v2/box/snapshots', {});
  await box.remove();
  assert.equal((await ended).code, 0);
});

// --- all or nothing ---

leakless(daemon, 'several things that are asked for at once hold all or none', async () => {
  const box = await daemon.box({ name: 'web', labels: ['a'] });
  await complains(daemon, 1, /^hutch: LABEL: "b c"/, ['label', 'add', 'web', 'b', 'b c']);
  await complains(daemon, 1, /"none"/, ['label', 'rm', 'web', 'a', 'none']);
  assert.deepEqual((await daemon.json('GET', box.path)).labels, ['a']);
  await run('label', 'add', 'web', 'b', 'team=x');
  await run('label', 'rm', 'web', 'a', 'b');
  assert.deepEqual((await daemon.json('GET', box.path)).labels, ['team=x']);
  for (const command of ['pause', 'stop', 'resume', 'rm']) {
    await complains(daemon, 1, /"gone", nor "lost"$/m, [command, 'gone', 'web', 'lost']);
    assert.equal((await daemon.json('GET', box.path)).status, 'idle', command);
  }
  try {
    await complains(daemon, 1, /^hutch: VARIABLE: HOME/, ['env', 'set', 'A=1', 'HOME=/']);
    await run('env', 'set', 'A=1', 'B=2');
    await complains(daemon, 1, /"C"/, ['env', 'unset', 'A', 'C']);
    assert.equal(await run('env', 'ls'), 'A=********\nB=********\n');
    await run('env', 'unset', 'A', 'B');
    assert.equal(await run('env', 'ls'), '');
  } finally {
    await daemon.json('PUT', '/v2/box/settings/env', { env_vars: {} });
  }
});

leakless(daemon, 'of several boxes that are there, each that refuses is named, and the others do as they are told', async () => {
  for (const [name, body] of [['one', {}], ['kept', { keep_alive: true }], ['two', {}]]) await daemon.box({ name, ...body });
  const statuses = async () => (await boxes()).map(({ name, status }) => `${name} ${status}`).sort();
  await complains(daemon, 1, /^hutch: kept: .*keep_alive/, ['pause', 'one', 'kept', 'two']);
  assert.deepEqual(await statuses(), ['kept idle', 'one paused', 'two paused']);
  assert.equal(await run('rm', 'one', 'two', 'one'), '');
  assert.deepEqual(await names(), ['kept']);
  assert.equal(await run('rm', '--force', 'gone', 'kept'), '');
  assert.deepEqual(await names(), []);
});

// --- what is nearly right ---

leakless(daemon, 'what is missing or wrong is told in words of the command line', async () => {
  await daemon.box({ name: 'web' });
  const said = [
    [2, /^hutch: after `hutch image` a command is missing: ls, inspect, rm, pull, push, load, save, import, build, prune \(see/, ['image']],
    [2, /^hutch: a COMMAND is missing/, ['--host', 'unix:///nowhere']],
    [2, /no option -image; did you mean --image\?/, ['create', 'x', '-image', 'busybox']],
    [2, /no option -x \(/, ['ls', '-x']],
    [2, /where to copy web:notes is missing/, ['cp', 'web:notes']],
    [1, /^hutch: SRC: in web, "\/etc\/nothere": No such file/, ['cp', 'web:/etc/nothere', '.']],
    [1, /^hutch: MODE: custom needs networks in --allow or --deny/, ['network', 'web', 'custom']],
    [1, /^hutch: NAME: no recipe is called "gentoo"; there are agents, busybox, debian,/, ['image', 'build', 'gentoo']],
    [2, /did you mean `hutch image pull`\?/, ['pull', 'ubuntu']],
    [2, /did you mean `hutch env unset`\?/, ['env', 'rm', 'A']],
    [1, /^hutch: VARIABLE: PATH must have directories/, ['env', 'set', 'PATH=x']],
    [1, /^hutch: box web has no agent/, ['agent', 'run', 'web', 'hello']],
  ];
  for (const [code, about, args] of said) await complains(daemon, code, about, args);
  const at = (url, key) => ({ env: { HUTCH_HOST: url, HUTCH_API_KEY: key } });
  await complains(daemon, 1, /wants an API key: set HUTCH_API_KEY/, ['ls'], at(daemon.url, ''));
  await complains(daemon, 1, /^hutch: the API key, HUTCH_API_KEY .*not known/, ['ls'], at(daemon.url, 'wrong'));
  await complains(daemon, 1, /does it run there, and with `listen` set\?/, ['ls'], at('http://127.0.0.1:1', ''));
});

leakless(daemon, 'help lists commands by what they are for, each once', async () => {
  const help = await run('--help');
  const groups = [...help.matchAll(/^([A-Z][a-z ]+):\n((?: {2}.*\n)+)/gm)].map(([, group, lines]) => [group, [...lines.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name)]);
  const [, ...ofCommands] = groups.filter(([group]) => group !== 'Examples');
  assert.deepEqual(ofCommands.map(([group]) => group), ['Boxes', 'Work in boxes', 'Snapshots', 'Settings', 'What happens', 'Hosts and keys']);
  const all = ofCommands.flatMap(([, commands]) => commands);
  assert.deepEqual([new Set(all).size, all.length > 30, all.includes('exec')], [all.length, true, true]);
});

leakless(daemon, 'snapshots are listed with the names of their boxes, and an init command needs nothing else', async () => {
  await run('create', 'web', '--init-command', 'true');
  await run('create', 'gone');
  for (const box of ['web', 'gone']) await run('snapshot', 'create', box, 'clean');
  const { id } = await daemon.json('GET', '/v2/box/gone');
  await run('rm', 'gone');
  const listed = await run('snapshot', 'ls');
  assert.deepEqual(listed.trimEnd().split('\n').slice(1).map((line) => line.split(/ +/)[2]).sort(), [id, 'web'].sort());
  await daemon.json('DELETE', '/v2/box/snapshots', {});
});

leakless(daemon, 'bench: what boxes take to their first command, and none is left', async () => {
  const lines = (await run('bench', '-n', '3', '--only', 'sequential', '--only', 'burst')).trimEnd().split('\n');
  assert.match(lines[0], /^BOXES +COUNT +FAILED +MIN +MEDIAN +P95 +P99 +MAX +SCORE$/);
  assert.deepEqual(lines.slice(1).map((line) => line.split(/ +/).slice(0, 3)), [['sequential', '3', '0'], ['burst', '3', '0']]);
  const { results: [burst, ...others] } = await json(daemon, ['bench', '-n', '2', '--only', 'burst', '--json']);
  assert.deepEqual([burst.mode, burst.successRate, burst.concurrency, burst.iterations.length, others], ['burst', 1, 2, 2, []]);
  assert.ok(burst.iterations.every(({ ttiMs }) => ttiMs > 0 && ttiMs <= burst.wallClockMs));
  await complains(daemon, 1, /sequential: --command: "echo no >&2; exit 4" ended with 4: no/, ['bench', '-n', '1', '--command', 'echo no >&2; exit 4']);
  await complains(daemon, 1, /no image is called "none"/, ['bench', '-n', '1', '--image', 'none']);
  await complains(daemon, 2, /--count/, ['bench', '-n', '0']);
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
});

leakless(daemon, 'df of a box tells what it has written, and of how much', async () => {
  const box = await daemon.box({ name: 'web' });
  assert.match(await run('df', 'web'), /^BOX +SIZE +USED +AVAILABLE +USE%\nweb +(not limited|\d\S* .iB) /);
  assert.deepEqual(await json(daemon, ['df', 'web']), (await daemon.json('GET', `${box.path}?details=1`)).details.disk);
  await complains(daemon, 1, /"gone"/, ['df', 'gone']);
});

// --- contexts ---

leakless(daemon, 'a context is a daemon with its key, in a file that only its owner reads', async () => {
  const { key } = await daemon.json('POST', '/v2/keys', { name: 'alice' }, 201);
  const home = fs.mkdtempSync(path.join(daemon.directory, 'home-'));
  const env = { XDG_CONFIG_HOME: home, HUTCH_HOST: '' };
  const file = path.join(home, 'hutch/config');
  const as = (args, more = {}) => output(daemon, args, { ...more, env: { ...env, ...more.env } });
  try {
    await as(['context', 'add', 'far', daemon.url], { input: `${key}\n` });
    await as(['context', 'add', 'near', `unix://${daemon.socket}`]);
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const listed = await as(['context', 'ls']);
    assert.ok(!listed.includes(key));
    assert.match(listed, /^CURRENT +NAME +HOST +KEY\n\* +default +unix:[^]*\n +far +http:\S+ +yes\n +near +unix:\S+\n$/);
    await as(['context', 'use', 'far']);
    assert.equal(await as(['create', 'hers']), 'hers\n');
    assert.deepEqual((await daemon.json('GET', '/v2/box?all=1')).map((box) => box.customer_id), ['alice']);
    assert.equal(await as(['--context', 'near', 'ls', '-q']), '', 'what is said wins over the one in use');
    assert.equal(await as(['ls', '-q'], { env: { HUTCH_HOST: `unix://${daemon.socket}` } }), '');
    await complains(daemon, 1, /wants an API key/, ['ls'], { env: { ...env, HUTCH_HOST: daemon.url } }); // it is another host's
    await complains(daemon, 1, /key is not known/, ['ls'], { env: { ...env, HUTCH_API_KEY: 'x'.repeat(20) } });
    assert.match(await as(['version']), /\nhutchd \d+\.\d+\.\d+\n$/, 'a customer may know it');
    await as(['rm', 'hers']);

    await complains(daemon, 2, /"none".*default, far, near/, ['context', 'use', 'none'], { env });
    await complains(daemon, 2, /NAME: .*far/, ['context', 'add', 'far', daemon.url], { env });
    await complains(daemon, 2, /known kind/, ['context', 'add', 'new', 'ftp://x'], { env });
    await complains(daemon, 2, /key/, ['context', 'add', 'new', daemon.url], { env });
    await as(['context', 'rm', 'far']);
    assert.ok(!fs.readFileSync(file, 'utf8').includes(key));
    assert.match(await as(['context', 'ls']), /\* +default/);
    fs.chmodSync(file, 0o644);
    await complains(daemon, 1, /others may read it.*chmod 600/, ['ls'], { env });
  } finally {
    await daemon.ask('DELETE', '/v2/keys/alice');
  }
});

leakless(daemon, 'a key is not echoed when it is asked for', async () => {
  const home = fs.mkdtempSync(path.join(daemon.directory, 'home-'));
  const terminal = new Terminal(daemon, ['context', 'add', 'far', 'http://127.0.0.1:1'], { env: { XDG_CONFIG_HOME: home } });
  await terminal.until(/key for/);
  terminal.type('secret-secret-secret\n');
  const { code, output: shown } = await terminal.finish();
  assert.equal(code, 0);
  assert.ok(!shown.includes('secret'), shown);
  assert.ok(fs.readFileSync(path.join(home, 'hutch/config'), 'utf8').includes('secret-secret-secret'));
});

// --- words ---

leakless(daemon, 'help is there for whoever asks, and a slip is seen', async () => {
  assert.equal(await run('help'), await run('--help'));
  assert.equal(await run('help', 'image', 'build'), await run('image', 'build', '--help'));
  assert.match(await run('--version'), /^hutch \d+\.\d+\.\d+\n$/);
  await complains(daemon, 2, /"sl"; did you mean `hutch ls`\?/, ['sl']);
  await complains(daemon, 2, /"delete"; did you mean `hutch rm`\?/, ['delete', 'web']);
  await complains(daemon, 2, /"ad"; did you mean `hutch label add`\?/, ['label', 'ad']);
  await complains(daemon, 2, /"sanpshot"; did you mean `hutch snapshot`\?/, ['help', 'sanpshot']);
  await complains(daemon, 2, /no option --lable; did you mean --label\?/, ['ls', '--lable', 'x']);
});

leakless(daemon, 'errors name what was typed', async () => {
  await daemon.box({ name: 'web' });
  await complains(daemon, 1, /^hutch: --image: .*gentoo/, ['create', '--image', 'gentoo']);
  await complains(daemon, 1, /^hutch: --snapshot: /, ['create', '--snapshot', 'none']);
  await complains(daemon, 1, /^hutch: --label: "a b"/, ['create', '--label', 'a b']);
  await complains(daemon, 125, /^hutch: --workdir: .*nowhere/, ['exec', '-w', 'nowhere', 'web', 'true']);
  await complains(daemon, 1, /^hutch: --network: --allow: /, ['create', '--network', 'custom', '--allow', '300.0.0.0/8']);
});

leakless(daemon, 'a standard stream that is closed is not taken for another file', async () => {
  await daemon.box({ name: 'web' });
  const closed = (redirect, args) => start(daemon, args, { shell: (command) => `${command} ${redirect}` }).ended;
  const { code, stderr } = await closed('>&-', ['exec', 'web', '--', 'echo', 'hello']);
  assert.equal(code, 125);
  assert.match(stderr, /^hutch: .*output.*Bad file descriptor\n$/);
  const listed = await closed('>&-', ['ls']);
  assert.equal(listed.code, 1);
  assert.match(listed.stderr, /^hutch: standard output: .*Bad file descriptor\n$/);
  assert.equal((await closed('>&-', ['pause', 'web'])).code, 0);
  assert.deepEqual(await closed('<&-', ['exec', '-i', 'web', '--', 'wc', '-c']).then(({ stdout }) => stdout), '0\n');
  assert.equal((await closed('2>&-', ['exec', 'web', '--', 'echo', 'hello'])).stdout, 'hello\n');
});
