// Snapshots, forks and rollback: files kept exactly, of boxes that rest and of boxes at work, and what a crash leaves.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { json, output } from './lib/command.mjs';
import { Box } from './lib/box.mjs';
import { open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

const take = (box, name = 'now') => daemon.json('POST', `${box.path}/snapshots`, { name }, 201);
const restore = async (snapshot, body = {}) => new Box(daemon, await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id, ...body }, 201));
const forkOf = async (box, body = {}) => (await daemon.json('POST', `${box.path}/fork`, body, 201)).boxes.map((data) => new Box(daemon, data));
const rollBack = (box, snapshot) => daemon.json('POST', `${box.path}/rollback`, { snapshot_id: snapshot.id });
const dropAll = () => daemon.json('DELETE', '/v2/box/snapshots');
const initOf = async (box) => (await daemon.json('GET', `${box.path}?details=1`)).details.init_pid;
const layers = () => fs.readdirSync(path.join(daemon.store, 'layers')).length;

async function crash() {
  await daemon.end('SIGKILL');
  await daemon.launch();
}

/// What a tree is, as a box sees it: names, types, modes, owners, times, links, contents.
const kManifest = `cd /workspace/home && find . | sort | while read -r f; do
  echo "$(stat -c '%n %F %a %u %g %s %Y' "$f" | sed 's/directory [0-9]*/directory/')" "$(readlink "$f" || true)"
  [ -f "$f" ] && [ ! -L "$f" ] && md5sum < "$f"; done; true`;
const manifest = (box) => box.sh(kManifest);

const kTree = `mkdir -p deep/a/b/c 'odd name' && echo one > deep/a/b/c/file && ln -s ../file link && ln deep/a/b/c/file hard
  dd if=/dev/zero of=sparse bs=1 count=1 seek=50000000 2> /dev/null; chmod 4750 hard; touch -d 2001-02-03 'odd name/x'; mkfifo fifo`;

leakless(daemon, 'a box that rests: its files are in the snapshot, and stay in the box', async () => {
  const box = await daemon.box({ name: 'origin', env_vars: { A: 'b' } });
  await box.sh(kTree);
  const before = await manifest(box);
  const init = await initOf(box);
  const snapshot = await take(box, 'first');
  assert.deepEqual([snapshot.name, snapshot.box_id, snapshot.status], ['first', box.id, 'ready']);
  assert.equal(await manifest(box), before);
  assert.notEqual(await initOf(box), init, 'it has a fresh init on the same files');
  const copy = await restore(snapshot);
  assert.equal(await manifest(copy), before);
  assert.equal(await copy.sh('echo $A'), 'b');
  await copy.sh('rm -r deep; echo changed > new');
  assert.equal(await manifest(box), before, 'boxes do not see each other');
  await dropAll();
});

leakless(daemon, 'a box at work: its processes live on, and its files are in the snapshot', async () => {
  const box = await daemon.box();
  await box.sh(`${kTree}; rm -r /workspace/home/deep; echo in-memory > /dev/shm/kept`);
  const run = await daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', 'echo up; read line < fifo; echo $line'], detach: true }, 202);
  const init = await initOf(box);
  const before = await manifest(box);
  const snapshot = await take(box);
  assert.equal(await initOf(box), init);
  assert.equal(await box.sh('cat /dev/shm/kept'), 'in-memory');
  const copy = await restore(snapshot);
  assert.equal(await manifest(copy), before);
  assert.equal(await copy.fails('test -e /dev/shm/kept'), 1, 'what is in memory is not in a snapshot');
  await box.sh('echo on > fifo');
  const said = await daemon.ask('GET', `${box.path}/runs/${run.run_id}/output?follow=1`);
  assert.equal(said.text, 'up\non\n');
  await dropAll();
});

leakless(daemon, 'what a box wrote to /tmp, /etc/hosts and /etc/resolv.conf is there after a snapshot, and in its copies', async () => {
  const box = await daemon.rootBox();
  await box.sh('echo kept > /tmp/file; echo 10.9.8.7 db.internal >> /etc/hosts; echo options ndots:3 >> /etc/resolv.conf');
  const snapshot = await take(box);
  for (const each of [box, await restore(snapshot)]) {
    assert.equal(await each.sh('cat /tmp/file; grep db.internal /etc/hosts; grep ndots /etc/resolv.conf; grep -c "# this box" /etc/hosts'),
      'kept\n10.9.8.7 db.internal\noptions ndots:3\n1');
  }
  await dropAll();
});

leakless(daemon, 'files in memory keep a box from being restarted for a snapshot', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > /dev/shm/file');
  await take(box);
  assert.equal(await box.sh('cat /dev/shm/file'), 'kept');
  await dropAll();
});

leakless(daemon, 'a paused box stays paused, and one without an init too', async () => {
  const box = await daemon.box();
  await box.sh('echo 1 > file');
  await daemon.json('POST', `${box.path}/pause`);
  const snapshots = [await take(box)];
  assert.equal(await box.status(), 'paused');
  snapshots.push(await take(box));
  assert.equal(await box.status(), 'paused');
  for (const snapshot of snapshots) assert.equal(await (await restore(snapshot)).sh('cat file'), '1');
  assert.equal(await box.sh('cat file'), '1');
  await dropAll();
});

leakless(daemon, 'snapshots are listed, outlive their box and a daemon, and go with all that only they needed', async () => {
  const begun = layers();
  const box = await daemon.box({ name: 'short' });
  await box.sh('echo 1 > file');
  const first = await take(box, 'one');
  await box.sh('dd if=/dev/zero of=big bs=1M count=4 2> /dev/null');
  const second = await take(box, 'two');
  const list = async () => (await daemon.json('GET', `/v2/box/${box.id}/snapshots`)).snapshots;
  assert.deepEqual((await list()).map(({ name }) => name), ['one', 'two']);
  await until('the size is known', async () => (await list())[1].size_bytes >= 4 << 20);
  await box.remove();
  await crash();
  assert.deepEqual((await list()).map(({ id }) => id), [first.id, second.id]);
  const copy = await restore(second, { name: 'again' });
  assert.equal(await copy.sh('cat file; stat -c %s big'), `1\n${4 << 20}`);
  assert.deepEqual(await daemon.json('DELETE', '/v2/box/snapshots', { ids: [second.id, first.id] }), { deleted: 2 });
  assert.equal(await copy.sh('cat file'), '1', 'its layers stay as long as it needs them');
  assert.equal(layers(), begun + 2);
  await copy.remove();
  await until('nobody needs them any more', () => layers() === begun);
  await daemon.refuses(404, /no snapshot/, 'POST', '/v2/box/from-snapshot', { body: { snapshot_id: first.id } });
});

leakless(daemon, 'forks: many boxes from one in a call, each its own', async () => {
  const box = await daemon.box();
  await box.sh('echo origin > file');
  const forks = await forkOf(box, { count: 12, name: 'worker', labels: ['fan'] });
  assert.deepEqual(forks.map(({ data }) => data.name), Array.from({ length: 12 }, (_, i) => `worker-${i + 1}`));
  await Promise.all(forks.map((fork, i) => fork.sh(`test "$(cat file)" = origin && echo ${i} > file`)));
  assert.deepEqual(await Promise.all(forks.map((fork) => fork.sh('cat file'))), forks.map((_, i) => String(i)));
  assert.equal(await box.sh('cat file'), 'origin');
  assert.deepEqual((await daemon.json('GET', `${box.path}/snapshots`)).snapshots, [], 'a fork is no snapshot');
});

leakless(daemon, 'a fork without a count is answered as a box, which the oldest clients read, with or without a body', async () => {
  const box = await daemon.box({ labels: ['a'] });
  for (const options of [{}, { body: {} }, { headers: { 'content-type': 'application/json' } }]) {
    const { status, json: answer } = await daemon.ask('POST', `${box.path}/fork`, options);
    const { boxes, ...alone } = answer;
    assert.deepEqual([status, boxes], [201, [alone]]);
    assert.deepEqual([alone.status, (await daemon.json('GET', `/v2/box/${alone.id}`)).id], ['idle', alone.id]);
  }
  assert.deepEqual(Object.keys(await daemon.json('POST', `${box.path}/fork`, { count: 1 }, 201)), ['boxes']);
});

leakless(daemon, 'a fork of a box at work does not disturb it, and leaves no layer behind', async () => {
  const begun = layers();
  const box = await daemon.box();
  await box.sh('echo origin > file; sleep 1000 > /dev/null 2>&1 &');
  const [fork] = await forkOf(box);
  assert.equal(await fork.sh('cat file'), 'origin');
  assert.equal(await fork.fails('pidof sleep'), 1);
  await box.sh('pidof sleep');
  await fork.remove();
  await until('its layer is gone', () => layers() === begun);
});

leakless(daemon, 'all forks or none', async () => {
  const box = await daemon.box();
  await daemon.box({ name: 'w-3' });
  await daemon.refuses(409, /w-3/, 'POST', `${box.path}/fork`, { body: { count: 4, name: 'w' } });
  await until('the others are gone', async () => (await daemon.json('GET', '/v2/box')).length === 2);
});

leakless(daemon, 'rollback: the files of then, the same box', async () => {
  const box = await daemon.box({ name: 'back' });
  await box.sh('mkdir d; echo 1 > d/file');
  const before = await manifest(box);
  const snapshot = await take(box);
  await box.sh('rm -r d; echo 2 > other');
  const run = await daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
  await rollBack(box, snapshot);
  assert.equal(await manifest(box), before);
  assert.equal((await daemon.json('GET', `${box.path}/runs/${run.run_id}`)).status, 'failed', 'what ran has ended');
  await box.sh('echo 3 > d/file');
  await rollBack(box, snapshot);
  assert.equal(await manifest(box), before, 'as often as one likes');
  const other = await daemon.box();
  await daemon.refuses(400, /^snapshot_id: .*not of this box/, 'POST', `${other.path}/rollback`, { body: { snapshot_id: snapshot.id } });
  await dropAll();
  assert.equal(await manifest(box), before);
});

leakless(daemon, 'an acknowledged snapshot outlives a daemon killed at any moment; its box loses nothing', async () => {
  const box = await daemon.box();
  const acknowledged = [];
  let written = 0;
  for (let round = 0; round < 30; ++round) {
    await box.sh(`echo ${++written} > file`);
    const asked = daemon.ask('POST', `${box.path}/snapshots`, { body: { name: String(written) } }).then(
      (answer) => answer.status === 201 && acknowledged.push([answer.json, written]), () => {});
    await daemon.ask('GET', '/v2/host').catch(() => {}); // a round trip later it is under way, or done
    for (let i = 0; i < round; ++i) await daemon.ask('GET', `${box.path}/status`).catch(() => {});
    await crash();
    await asked;
    assert.equal(await box.sh('cat file'), String(written));
  }
  const list = (await daemon.json('GET', `${box.path}/snapshots`)).snapshots;
  for (const [snapshot, what] of acknowledged) {
    assert.ok(list.some(({ id }) => id === snapshot.id), `snapshot ${what} was acknowledged, and is gone`);
    const copy = await restore(snapshot);
    assert.equal(await copy.sh('cat file'), String(what));
    await copy.remove();
  }
  await dropAll();
});

leakless(daemon, 'snapshots without end: high stacks of layers are made low behind, and nobody sees it', async () => {
  const begun = layers();
  const box = await daemon.box();
  await box.sh('mkdir deleted; touch deleted/file; echo first > changed');
  const manifests = new Map();
  const snapshots = [];
  for (let i = 0; i < 80; ++i) {
    await box.sh(`rm -rf deleted; mkdir d${i}; echo ${i} > d${i}/file; echo ${i} > changed; rm -rf d${i - 2}`);
    snapshots.push(await take(box, String(i)));
    manifests.set(snapshots.at(-1).id, await manifest(box));
  }
  await until('a stack was made low', () => daemon.log.some((line) => /layers below box \S+ made one/.test(line)));
  const now = await manifest(box);
  const run = await daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', 'sleep 1000'], detach: true }, 202);
  for (const snapshot of [snapshots[0], snapshots[40], snapshots[79]]) {
    const copy = await restore(snapshot);
    assert.equal(await manifest(copy), manifests.get(snapshot.id));
    await copy.remove();
  }
  const { changes } = await daemon.json('GET', `${box.path}/diff?against=${snapshots[5].id}`);
  assert.deepEqual(changes.map(({ path: at, change }) => `${change} ${at.slice('/workspace/home/'.length)}`), ['modified changed',
    'deleted d4', 'deleted d5', 'added d78', 'added d78/file', 'added d79', 'added d79/file']);
  await dropAll();
  assert.equal(await manifest(box), now);
  await crash();
  assert.equal(await manifest(box), now);
  await daemon.json('POST', `${box.path}/runs/${run.run_id}/cancel`);
  const last = await take(box);
  await rollBack(box, last);
  assert.equal(await manifest(box), now);
  await box.remove();
  await dropAll();
  await until('nobody needs the layers', () => layers() === begun);
});

leakless(daemon, 'diff lists exactly what a box has changed, of its image or of a snapshot', async () => {
  const box = await daemon.rootBox({ name: 'changed' });
  const diff = async (query = '') => (await daemon.json('GET', `${box.path}/diff${query}`)).changes.map(({ path, change }) => `${change} ${path}`);
  assert.deepEqual(await diff(), []);
  await box.sh('cd /workspace/home; mkdir d; echo 1 > d/one; echo 2 > two; rm /etc/shadow; echo x >> /etc/group; chmod 600 /etc/passwd');
  const first = ['modified /etc/group', 'metadata /etc/passwd', 'deleted /etc/shadow', 'added /workspace/home/d',
    'added /workspace/home/d/one', 'added /workspace/home/two'];
  assert.deepEqual(await diff(), first);
  const snapshot = await take(box);
  assert.deepEqual(await diff(`?against=${snapshot.id}`), []);
  await box.sh('cd /workspace/home; echo 3 > d/one; rm two');
  assert.deepEqual(await diff(`?against=${snapshot.id}`), ['modified /workspace/home/d/one', 'deleted /workspace/home/two']);
  assert.deepEqual(await diff(), first.slice(0, -1), 'what came and went is no change');
  assert.equal(await output(daemon, ['diff', 'changed', '--against', snapshot.id]),
    'modified  /workspace/home/d/one\ndeleted   /workspace/home/two\n');
  const other = await daemon.rootBox();
  await other.sh('cd /workspace/home; mkdir d; echo 3 > d/one; echo other > theirs; rm /etc/group');
  const foreign = await take(other);
  assert.deepEqual(await diff(`?against=${foreign.id}`), ['added /etc/group', 'metadata /etc/passwd', 'deleted /etc/shadow',
    'deleted /workspace/home/theirs'], 'of a box that shares nothing but the image');
  await daemon.refuses(404, /no snapshot/, 'GET', `${box.path}/diff?against=none`);
  await dropAll();
});

leakless(daemon, 'diff as an archive holds exactly what has changed, and what was deleted as a layer says it', async () => {
  const box = await daemon.rootBox({ name: 'archived' });
  await box.sh(`cd /workspace/home; mkdir d; echo 1 > d/one; ln d/one hard; ln -s d/one link; chmod 4711 d/one; touch -d '2001-02-03 00:00:00' d/one
    rm /etc/shadow; chmod 600 /etc/passwd; mkfifo fifo; chown 1000:1000 hard; touch "$(printf '\\377')"`);
  const unpacked = path.join(daemon.directory, 'unpacked');
  fs.mkdirSync(unpacked);
  const shell = (line) => spawnSync('sh', ['-c', line], { cwd: unpacked, encoding: 'latin1', env: { ...process.env, HUTCH: process.env.HUTCH, HUTCH_HOST: `unix://${daemon.socket}` } });
  const { stderr } = shell('"$HUTCH" diff archived --tar | tar -xp --same-owner');
  assert.deepEqual(stderr.split('\n').filter((line) => !/hdrcharset|^$/.test(line)), []); // of the name that is no text
  const list = shell('find . -mindepth 1 | LC_ALL=C sort').stdout.trimEnd().split('\n');
  assert.deepEqual(list, ['./etc', './etc/.wh.shadow', './etc/passwd', './workspace', './workspace/home', './workspace/home/d',
    './workspace/home/d/one', './workspace/home/fifo', './workspace/home/hard', './workspace/home/link', './workspace/home/\xff']);
  const seen = shell('cd workspace/home && stat -c "%a %u %g %h %Y" d/one && cat hard && readlink link && stat -c %F fifo && stat -c %a ../../etc/passwd').stdout;
  assert.equal(seen, '711 1000 1000 2 981158400\n1\nd/one\nfifo\n600\n');
  await daemon.refuses(400, /^format: /, 'GET', `${box.path}/diff?format=zip`);
  fs.rmSync(unpacked, { recursive: true });
});

leakless(daemon, 'an archive that is being read stays whole while its box is sealed, and is cut when its files go', async () => {
  const box = await daemon.box();
  const sum = await box.sh('dd if=/dev/urandom of=big bs=1M count=64 2> /dev/null; md5sum < big');
  const first = await take(box);
  await box.sh('dd if=/dev/urandom of=more bs=1M count=64 2> /dev/null');
  const begin = async () => {
    const archive = await open(daemon.socket, 'GET', `${box.path}/diff?format=tar`);
    assert.equal(archive.statusCode, 200);
    return archive; // and nobody reads on: it is far larger than what is on its way
  };
  const archive = await begin();
  await take(box);
  const tar = spawn('sh', ['-c', 'tar -xO workspace/home/big | md5sum'], { stdio: ['pipe', 'pipe', 'inherit'] });
  archive.pipe(tar.stdin);
  assert.equal(String((await once(tar.stdout, 'data'))[0]).trim(), sum.trim());
  for (const lose of [() => rollBack(box, first), () => box.remove()]) {
    await box.sh('dd if=/dev/urandom of=yet bs=1M count=64 2> /dev/null');
    const cut = await begin();
    await lose();
    await assert.rejects(async () => {
      for await (const piece of cut) assert.ok(piece.length > 0);
    }, /aborted|ECONNRESET/);
  }
  await dropAll();
});

leakless(daemon, 'bad requests are named', async () => {
  const box = await daemon.box();
  const snapshot = await take(box);
  const bad = (about, call, body) => daemon.refuses(400, about, 'POST', call, { body });
  await bad(/^name: /, `${box.path}/snapshots`, {});
  await bad(/^name: /, `${box.path}/snapshots`, { name: '' });
  await bad(/^name: /, `${box.path}/snapshots`, { name: 3 });
  await bad(/^snapshot_id: /, '/v2/box/from-snapshot', {});
  await bad(/^runtime: /, '/v2/box/from-snapshot', { snapshot_id: snapshot.id, runtime: 'other' });
  await bad(/^size: /, '/v2/box/from-snapshot', { snapshot_id: snapshot.id, size: 'huge' });
  for (const count of [0, -1, 1001]) await bad(/^count: /, `${box.path}/fork`, { count });
  await bad(/^count: /, `${box.path}/fork`, { count: 'x' });
  await daemon.refuses(404, /no snapshot/, 'DELETE', `${box.path}/snapshots/none`);
  const other = await daemon.box();
  await daemon.refuses(404, /of another box/, 'DELETE', `${other.path}/snapshots/${snapshot.id}`);
  await daemon.refuses(404, /no snapshot/, 'DELETE', '/v2/box/snapshots', { body: { ids: [snapshot.id, 'none'] } });
  assert.deepEqual(await daemon.json('DELETE', `${box.path}/snapshots/${snapshot.id}`), {});
  await daemon.refuses(404, /nobody/, 'POST', '/v2/box/nobody/snapshots', { body: { name: 'x' } });
});

leakless(daemon, 'hutch snapshot, fork and rollback', async () => {
  await daemon.box({ name: 'cli' });
  await output(daemon, ['exec', 'cli', '--', 'sh', '-c', 'echo 1 > file']);
  const id = (await output(daemon, ['snapshot', 'create', 'cli', 'first'])).trim();
  assert.match(await output(daemon, ['snapshot', 'ls', 'cli']), new RegExp(`^ID +NAME +BOX +AGE +SIZE\n${id} +first `));
  assert.equal((await json(daemon, ['snapshot', 'ls'])).snapshots.length, 1);
  await output(daemon, ['exec', 'cli', '--', 'rm', 'file']);
  await output(daemon, ['rollback', 'cli', id]);
  assert.equal(await output(daemon, ['exec', 'cli', '--', 'cat', 'file']), '1\n');
  assert.equal(await output(daemon, ['fork', 'cli', '--count', '2', '--name', 'f']), 'f-1\nf-2\n');
  assert.equal(await output(daemon, ['create', 'again', '--snapshot', id]), 'again\n');
  assert.equal(await output(daemon, ['exec', 'again', '--', 'cat', 'file']), '1\n');
  assert.equal(await output(daemon, ['snapshot', 'rm', id]), '');
});
