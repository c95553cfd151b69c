// Images: from an archive, by a script run in a box, and what every way to fail leaves in the store: nothing.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { Stream } from './lib/box.mjs';
import { open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('gzip', 'xz', 'zstd');
const daemon = suite();

async function imageNames() {
  return (await daemon.json('GET', '/v2/images')).images.map((image) => image.name).sort();
}

/// Those that no other stands on go first.
async function removeImages() {
  for (let names = await imageNames(); names.length > 2; names = await imageNames()) {
    const made = names.filter((name) => !name.startsWith('busybox'));
    const answers = await Promise.all(made.map((name) => daemon.ask('DELETE', `/v2/images/${name}`)));
    assert.ok(answers.some((answer) => answer.status === 200), answers.map((answer) => answer.text).join());
  }
}

/// A leakless test that may make images; they are removed after it.
function imaging(name, run) {
  leakless(daemon, name, async () => {
    try {
      await run();
    } finally {
      await daemon.assertAlive();
      await daemon.removeAll();
      await daemon.settled();
      await removeImages();
    }
  });
}

const archive = () => path.join(daemon.directory, 'busybox.tar');
const scratch = (name) => path.join(daemon.directory, name);

async function build(name, script, from = 'busybox') {
  return new Stream(await open(daemon.socket, 'POST', `/v2/images/${name}/build`, { body: { from, script } }));
}

/// The image that a script which must succeed leaves.
async function built(name, script, from) {
  const { output, event, data } = await (await build(name, script, from)).finish();
  assert.equal(event, 'image', `${output} ${data.error}`);
  return data;
}

/// An archive made of `files`, {name: content}.
function tarOf(name, files, ...options) {
  const root = scratch(`${name}.d`);
  for (const [file, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    fs.writeFileSync(path.join(root, file), content);
  }
  execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '-cf', scratch(name), ...options, '.']);
  return scratch(name);
}

// --- from an archive ---

imaging('an imported image has what it was imported with, and boxes start from it', async () => {
  const image = await daemon.import('tools', archive(), '?user=root&workdir=%2Fsrv%2Fwork');
  const { id, created_at, size_bytes, own_bytes, layers, ...rest } = image;
  assert.deepEqual(rest, {
    name: 'tools', parent: '', env: {}, user: 'root', workdir: '/srv/work', entrypoint: [], cmd: [], labels: {}, ports: [], source: '', digest: '',
  });
  assert.equal(own_bytes, size_bytes);
  assert.deepEqual(layers, [id]);
  assert.ok(size_bytes > 500_000 && Math.abs(created_at - Date.now() / 1000) < 60, `${size_bytes} ${created_at}`);
  assert.deepEqual(await daemon.json('GET', '/v2/images/tools'), image);
  const box = await daemon.box({ runtime: 'tools' });
  assert.equal(await box.sh('id -u; pwd; ls -ld /home/boxuser | cut -c1-10'), '0\n/srv/work\ndrwxr-xr-x');
});

imaging('the list holds every image', async () => {
  await daemon.import('another', archive());
  assert.deepEqual(await imageNames(), ['another', 'busybox', 'busybox-root']);
});

imaging('a compressed archive is taken as it is', async () => {
  for (const program of ['gzip', 'xz', 'zstd']) {
    fs.writeFileSync(scratch(program), execFileSync(program, ['-c', archive()], { maxBuffer: 1 << 26 }));
    await daemon.import(program, scratch(program));
    assert.equal(await (await daemon.box({ runtime: program })).sh('echo fine'), 'fine');
  }
});

imaging('an image that is imported again is the new one; a box of the old one keeps its files', async () => {
  await daemon.import('v', tarOf('v1.tar', { version: '1' }));
  await daemon.import('v', archive());
  const old = await daemon.box({ runtime: 'v' });
  const { id } = await daemon.import('v', tarOf('v2.tar', { version: '2' }));
  assert.equal(await old.sh('ls /version 2>&1 || echo none'), 'ls: /version: No such file or directory\nnone');
  assert.equal((await daemon.json('GET', '/v2/images/v')).id, id);
});

imaging('layers that only a deleted box still used go with it', async () => {
  await daemon.import('again', archive());
  const layers = () => fs.readdirSync(path.join(daemon.store, 'layers')).length;
  const before = layers();
  const box = await daemon.box({ runtime: 'again' });
  await daemon.import('again', archive());
  assert.equal(layers(), before + 1);
  await box.remove();
  await daemon.settled();
  assert.equal(layers(), before);
});

imaging('of imports of one name at the same time one stays, and nothing of the others', async () => {
  await Promise.all(Array.from({ length: 5 }, () => daemon.import('race', archive())));
  assert.equal((await imageNames()).length, 3);
});

imaging('imports that stall hold nobody up', async () => {
  const stalled = Array.from({ length: 4 }, (_, i) => halfSent(`stalled-${i}`));
  await until('two are being unpacked', () => unfinished().length === 2); // as many as there are unpackers
  assert.equal(await (await daemon.box()).sh('echo fine'), 'fine');
  await Promise.all(stalled.map((upload) => upload.abandon()));
});

// --- from a script ---

imaging('a script makes an image on top of another: user, work dir and files are kept', async () => {
  const tools = await daemon.import('tools', archive(), '?user=root&workdir=/srv');
  const made = await built('made', 'echo kept > /srv/file; rm /bin/awk', 'tools');
  assert.deepEqual([made.parent, made.user, made.workdir, made.layers.slice(1)], ['tools', 'root', '/srv', tools.layers]);
  const box = await daemon.box({ runtime: 'made' });
  assert.equal(await box.sh('id -u; pwd; cat file; ls /bin/awk 2>/dev/null || echo gone'), '0\n/srv\nkept\ngone');
  assert.equal(await (await daemon.box({ runtime: 'tools' })).sh('ls /bin/awk'), '/bin/awk');
});

imaging('a script runs as root in / with no terminal to answer it, and its output arrives as it comes', async () => {
  const stream = await build('made', 'id -u; pwd; echo $DEBIAN_FRONTEND; read answer || echo empty >&2; mkfifo /go; cat /go');
  await stream.until('0\n/\nnoninteractive\nempty\n');
  stream.abandon();
});

imaging('images stand on images: a box sees the files of all', async () => {
  await built('one', 'echo 1 > /etc/one; echo 1 > /etc/both');
  const two = await built('two', 'echo 2 > /etc/two; echo 2 > /etc/both', 'one');
  assert.equal(two.layers.length, 3);
  assert.equal(await (await daemon.box({ runtime: 'two' })).sh('cat /etc/one /etc/two /etc/both'), '1\n2\n2');
});

imaging('an image can be built again, also on itself, and still be removed', async () => {
  await built('one', 'echo 1 >> /etc/count');
  await built('one', 'echo 2 >> /etc/count', 'one');
  assert.equal(await (await daemon.box({ runtime: 'one' })).sh('cat /etc/count'), '1\n2');
  await daemon.removeAll();
  await daemon.settled();
  await daemon.json('DELETE', '/v2/images/one');
});

imaging('without "from" a script starts from the default image', async () => {
  const response = await open(daemon.socket, 'POST', '/v2/images/made/build', { body: { script: 'true' } });
  assert.equal((await new Stream(response).finish()).data.parent, 'busybox');
});

imaging('a script that fails is said, with its output, and keeps nothing', async () => {
  const { output, event, data } = await (await build('made', 'echo before; exit 7')).finish();
  assert.deepEqual([output.toString(), event], ['before\n', 'error']);
  assert.match(data.error, /made.*exit status 7.*nothing was kept/);
  await daemon.refuses(404, /made/, 'GET', '/v2/images/made');
});

imaging('a script that fails leaves the image of that name as it was', async () => {
  const before = await built('made', 'true');
  assert.equal((await (await build('made', 'false')).finish()).event, 'error');
  assert.deepEqual(await daemon.json('GET', '/v2/images/made'), before);
});

imaging('what a script leaves in the background ends with it', async () => {
  await built('made', 'sleep 1000 & echo kept > /file');
  assert.equal(await (await daemon.box({ runtime: 'made' })).sh('cat /file; pidof sleep || echo none'), 'kept\nnone');
});

imaging('a script whose client goes away is ended, and keeps nothing', async () => {
  const stream = await build('made', 'echo up; sleep 1000');
  await stream.until('up\n');
  stream.abandon();
  await until('the box of the script is gone', () => workshops() === 0);
  await daemon.refuses(404, /made/, 'GET', '/v2/images/made');
});

imaging('the box of a script is nobody\'s to see', async () => {
  const stream = await build('made', 'mkfifo /go; echo up; read x < /go');
  await stream.until('up\n');
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  stream.abandon();
});

// --- removal ---

imaging('a script’s variables are those of its image’s boxes, and of images built on it', async () => {
  const body = { from: 'busybox', script: 'echo "$TOOLS" > /tools', env: { TOOLS: 'a@1 b@2', MORE: 'x' } };
  const made = async (name, what) => {
    const answer = await daemon.ask('POST', `/v2/images/${name}/build`, { body: what });
    assert.match(answer.text, /event: image\n/);
  };
  await made('one', body);
  await made('two', { from: 'one', script: 'true', env: { MORE: 'y' } });
  assert.deepEqual((await daemon.json('GET', '/v2/images/two')).env, { TOOLS: 'a@1 b@2', MORE: 'y' });
  const box = await daemon.box({ runtime: 'two', env_vars: { OWN: 'z' } });
  assert.equal(await box.sh('cat /tools; echo "$TOOLS $MORE $OWN"'), 'a@1 b@2\na@1 b@2 y z');
  await box.remove();
  await daemon.settled();
  await daemon.json('DELETE', '/v2/images/two');
  await daemon.json('DELETE', '/v2/images/one');
  await daemon.refuses(400, /^env: HOME is reserved/, 'POST', '/v2/images/x/build', { body: { ...body, env: { HOME: '/' } } });
});

imaging('variables of an archive’s image reach commands; those for all boxes win, and a box’s own over those', async () => {
  const { env } = await daemon.import('tools', archive(), `?env=${encodeURIComponent('A=1\nB=x=y\nC=\n')}`);
  assert.deepEqual(env, { A: '1', B: 'x=y', C: '' });
  const box = await daemon.box({ runtime: 'tools', env_vars: { C: 'own' } });
  assert.equal(await box.sh('echo "$A $B $C"'), '1 x=y own');
  await daemon.json('PUT', '/v2/box/settings/env', { env_vars: { A: 'all', C: 'all' } });
  assert.equal(await box.sh('echo "$A $B $C"'), 'all x=y own');
  await daemon.json('PUT', '/v2/box/settings/env', { env_vars: {} });
  for (const [bad, about] of [['A', /^env: "A" must be NAME=VALUE/], ['HOME=/', /^env: HOME is reserved/], ['1=', /^env: "1"/]]) {
    await daemon.refuses(400, about, 'PUT', `/v2/images/x?env=${encodeURIComponent(bad)}`, { stream: fs.createReadStream(archive()) });
  }
});

// --- those that a create asks for and that are not there ---

imaging('a runtime’s alpine is the image itself, where there is none of that very name', async () => {
  assert.equal((await daemon.box({ runtime: 'busybox-alpine' })).data.runtime, 'busybox');
  await daemon.import('busybox-alpine', archive());
  assert.equal((await daemon.box({ runtime: 'busybox-alpine' })).data.runtime, 'busybox-alpine');
  await daemon.removeAll();
  await daemon.settled();
  await daemon.json('DELETE', '/v2/images/busybox-alpine');
});

imaging('a runtime that is not there is refused with how to make it', async () => {
  for (const runtime of ['node', 'node-alpine']) {
    await daemon.refuses(400, /^runtime: no image is called "node"; make it with: hutch image build node; there are: busybox/, 'POST', '/v2/box', { body: { runtime } });
  }
  await daemon.refuses(400, /^runtime: no image is called "gentoo"; there are: busybox/, 'POST', '/v2/box', { body: { runtime: 'gentoo' } });
});

imaging('whoever asks for an image that is being made is told so, and how far it is', async () => {
  const stream = await build('made', 'echo begun; printf "half"; mkfifo /go; echo; read x < /go');
  await stream.until('half\n');
  const { images, making } = await daemon.json('GET', '/v2/images');
  assert.deepEqual([images.length, making.map(({ name, said }) => [name, said])], [2, [['made', 'half']]]);
  const told = /image "made" is being made, since \d+ s, at: half; try again when it is there .*or name another: busybox/;
  await daemon.refuses(409, told, 'POST', '/v2/box', { body: { runtime: 'made' } });
  await daemon.refuses(409, told, 'GET', '/v2/images/made');
  await daemon.refuses(400, /"node".*; being made now: made, since \d+ s, at: half$/, 'POST', '/v2/box', { body: { runtime: 'node' } });
  stream.abandon();
  await until('it is given up', async () => (await daemon.json('GET', '/v2/images')).making.length === 0);
});

imaging('whoever asks for an image whose parent is being made for it is told so', async () => {
  const body = { from: 'busybox', script: 'echo up; mkfifo /go; read x < /go', wanted_by: 'top' };
  const stream = new Stream(await open(daemon.socket, 'POST', '/v2/images/lower/build', { body }));
  await stream.until('up\n');
  await daemon.refuses(409, /image "top" is being made: "lower" first, since \d+ s, at: up; try again/, 'POST', '/v2/box', { body: { runtime: 'top' } });
  stream.abandon();
  await until('it is given up', async () => (await daemon.json('GET', '/v2/images')).making.length === 0);
});

imaging('while an image is made anew, boxes start from the old one; an upload is being made too', async () => {
  await daemon.import('tools', archive());
  const [again, fresh] = [halfSent('tools'), halfSent('fresh')];
  await until('both are being unpacked', () => unfinished().length === 2);
  assert.equal(await (await daemon.box({ runtime: 'tools' })).sh('echo fine'), 'fine');
  await daemon.refuses(409, /"fresh" is being made, since \d+ s; try/, 'POST', '/v2/box', { body: { runtime: 'fresh' } });
  await Promise.all([again.abandon(), fresh.abandon()]);
});

imaging('without the default image a create that names none says what is missing', async () => {
  await daemon.json('DELETE', '/v2/images/busybox');
  try {
    const about = /^runtime: none is named, and the default is not there: no image is called "busybox"; make it with: hutch image build busybox/;
    await daemon.refuses(400, about, 'POST', '/v2/box', { body: {} });
  } finally {
    await daemon.import('busybox', archive());
  }
});

imaging('each recipe that comes with Hutch is known to who asks for its image', async () => {
  const recipes = fs.readdirSync(new URL('../../scripts/images', import.meta.url)).map((file) => file.replace(/\.sh$/, ''));
  for (const name of recipes.filter((recipe) => recipe !== 'busybox')) {
    await daemon.refuses(404, new RegExp(`hutch image build ${name};`), 'GET', `/v2/images/${name}`);
  }
});

imaging('a removed image is unknown, and its layer gone', async () => {
  await daemon.import('tools', archive());
  assert.deepEqual(await daemon.json('DELETE', '/v2/images/tools'), {});
  await daemon.refuses(404, /tools/, 'GET', '/v2/images/tools');
  await daemon.refuses(400, /^runtime: .*tools/, 'POST', '/v2/box', { body: { runtime: 'tools' } });
});

imaging('an image in use by a box is not removed', async () => {
  await daemon.import('tools', archive());
  const box = await daemon.box({ runtime: 'tools' });
  await daemon.refuses(409, /tools.*in use/, 'DELETE', '/v2/images/tools');
  assert.equal(await box.sh('echo fine'), 'fine');
  await box.remove();
  await daemon.settled();
  await daemon.json('DELETE', '/v2/images/tools');
});

imaging('an image that a running script starts from is not removed', async () => {
  await daemon.import('tools', archive());
  const stream = await build('made', 'mkfifo /go; echo up; read x < /go', 'tools');
  await stream.until('up\n');
  await daemon.refuses(409, /tools.*in use/, 'DELETE', '/v2/images/tools');
  stream.abandon();
});

imaging('an image that another stands on is not removed before it', async () => {
  await built('one', 'true');
  await built('two', 'true', 'one');
  await daemon.refuses(409, /one.*two/, 'DELETE', '/v2/images/one');
  await daemon.json('DELETE', '/v2/images/two');
  await daemon.json('DELETE', '/v2/images/one');
});

imaging('an unknown image is 404 to look at, to remove and to build from', async () => {
  await daemon.refuses(404, /nobody.*busybox/, 'GET', '/v2/images/nobody');
  await daemon.refuses(404, /nobody/, 'DELETE', '/v2/images/nobody');
  await daemon.refuses(404, /nobody/, 'POST', '/v2/images/made/build', { body: { from: 'nobody', script: 'true' } });
});

// --- bad input ---

const kBadNames = ['..', '.hidden', '-x', 'a%20b', 'n'.repeat(256), '%01', 'ä'];
for (const name of kBadNames) {
  imaging(`${decodeURIComponent(name).slice(0, 8)} is no name for an image`, async () => {
    const target = `/v2/images/${encodeURI(decodeURIComponent(name))}`;
    for (const [method, path, options] of [['PUT', target, { stream: fs.createReadStream(archive()) }],
      ['POST', `${target}/build`, { body: { from: 'busybox', script: 'true' } }]]) {
      const answer = await daemon.ask(method, path, options);
      assert.equal(answer.status, 400, answer.text);
      assert.match(answer.json.error, /^name: |escape/);
    }
  });
}

imaging('an import with a bad user or work dir is refused by field', async () => {
  await daemon.refuses(400, /^user: .*nobody/, 'PUT', '/v2/images/x?user=nobody', { stream: fs.createReadStream(archive()) });
  for (const bad of ['srv', '', '/']) {
    await daemon.refuses(400, /^workdir: /, 'PUT', `/v2/images/x?workdir=${bad}`, { stream: fs.createReadStream(archive()) });
  }
});

imaging('a build without a script, or with what is none, is refused', async () => {
  await daemon.refuses(400, /^script: /, 'POST', '/v2/images/x/build', { body: { from: 'busybox' } });
  await daemon.refuses(400, /^script: must be a string/, 'POST', '/v2/images/x/build', { body: { script: 1 } });
  await daemon.refuses(400, /^from: must be a string/, 'POST', '/v2/images/x/build', { body: { script: '', from: 1 } });
  await daemon.refuses(400, /^body: /, 'POST', '/v2/images/x/build', { body: '{' });
});

function member(name, header) {
  const root = scratch('member.d');
  fs.mkdirSync(root, { recursive: true });
  fs.writeFileSync(path.join(root, 'f'), 'x');
  execFileSync('tar', ['-C', root, '-P', '--transform', header, '-cf', scratch(name), 'f']);
  return fs.readFileSync(scratch(name));
}

const kBadArchives = {
  'no archive': () => 'this is no archive\n'.repeat(1000),
  'nothing': () => '',
  'an archive cut off in the middle of a file': () => fs.readFileSync(archive()).subarray(0, 700_000),
  'a compressed archive cut off': () => execFileSync('gzip', ['-c', archive()]).subarray(0, 300_000),
  'a compressed archive with a wrong byte': () => {
    const bytes = execFileSync('gzip', ['-c', archive()]);
    bytes.fill(0xff, 200_000, 200_100);
    return bytes;
  },
  'an archive that leaves its root': () => member('dots.tar', 's,^f,../../outside,'),
};
for (const [what, bytes] of Object.entries(kBadArchives)) {
  imaging(`${what} is refused with 400`, async () => {
    await daemon.refuses(400, /importing image bad: /, 'PUT', '/v2/images/bad', { body: bytes() });
    assert.deepEqual(unfinished(), []);
    assert.equal((await imageNames()).length, 2);
  });
}

imaging('an archive whose links lead out of it changes nothing outside', async () => {
  const root = scratch('links.d');
  fs.mkdirSync(path.join(root, 'home'), { recursive: true });
  const outside = scratch('outside');
  fs.mkdirSync(outside);
  fs.symlinkSync(outside, path.join(root, 'home/boxuser'));
  fs.symlinkSync(outside, path.join(root, 'workspace'));
  execFileSync('tar', ['-C', root, '-cf', scratch('links.tar'), '.']);
  const owner = fs.statSync(outside).uid;
  await daemon.ask('PUT', '/v2/images/bad', { stream: fs.createReadStream(scratch('links.tar')) });
  assert.deepEqual([fs.readdirSync(outside), fs.statSync(outside).uid], [[], owner]);
});

// --- ends in the middle ---

const unfinished = () => fs.readdirSync(path.join(daemon.store, 'tmp'));
const workshops = () => fs.readdirSync(path.join(daemon.store, 'uppers')).length;

/// An upload that stays half done until it is abandoned or its daemon ends.
function halfSent(name) {
  const half = new PassThrough();
  const answered = daemon.ask('PUT', `/v2/images/${name}`, { stream: half }).then(() => false, () => true);
  half.write(fs.readFileSync(archive()).subarray(0, 900_000));
  return {
    cutOff: answered,
    abandon() {
      half.destroy(new Error('gone'));
      return answered;
    },
  };
}

imaging('an upload whose client goes away leaves nothing', async () => {
  const upload = halfSent('half');
  await until('it is being unpacked', () => unfinished().length === 1);
  await upload.abandon();
  await until('it is given up', () => unfinished().length === 0);
  await daemon.refuses(404, /half/, 'GET', '/v2/images/half');
});

for (const signal of ['SIGKILL', 'SIGTERM']) {
  imaging(`a daemon ended by ${signal} in the middle of imports and builds leaves nothing to the next`, async () => {
    const upload = halfSent('half');
    const stream = await build('half', 'echo up; echo half > /file; sleep 1000');
    await stream.until('up\n');
    await until('the import is being unpacked', () => unfinished().length === 1);
    const ended = stream.until('never').catch(() => {});
    await daemon.end(signal);
    assert.ok(await upload.cutOff);
    await ended;
    await daemon.launch();
    await daemon.settled();
    assert.deepEqual([unfinished(), workshops(), await daemon.json('GET', '/v2/box')], [[], 0, []]);
    await daemon.refuses(404, /half/, 'GET', '/v2/images/half');
  });
}

imaging('a daemon killed while it keeps images: those acknowledged are whole, the rest leaves no trace', async () => {
  const kept = [];
  const builds = Array.from({ length: 6 }, async (_, i) => {
    try {
      const { event } = await (await build(`burst-${i}`, `echo ${i} > /number`)).finish();
      if (event === 'image') kept.push(i);
    } catch {
      return; // cut off
    }
    if (kept.length === 2) daemon.process.kill('SIGKILL');
  });
  await Promise.all(builds);
  await daemon.exited;
  await daemon.launch();
  const names = await imageNames();
  for (const i of kept) {
    assert.ok(names.includes(`burst-${i}`), `${i} is missing`);
    assert.equal(await (await daemon.box({ runtime: `burst-${i}` })).sh('cat /number'), String(i));
  }
});

imaging('images outlive their daemon', async () => {
  const made = await built('made', 'echo kept > /file');
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.deepEqual(await daemon.json('GET', '/v2/images/made'), made);
  assert.equal(await (await daemon.box({ runtime: 'made' })).sh('cat /file'), 'kept');
});
