// Images by a Containerfile: stages, steps that are kept, what COPY lays down and whose it is (beside buildah's, where
// that is installed), secrets that stay out, and files that are written to do harm.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { hutch, output, start } from './lib/command.mjs';
import { Customer } from './lib/customer.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('tar', 'gzip');
const daemon = suite({ tcp: true });

let count = 0;

/// A context of `files`, {name: content}; a function makes what is no plain file.
function context(files) {
  const root = path.join(daemon.directory, `context-${++count}`);
  fs.mkdirSync(root);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    if (typeof content === 'function') content(file);
    else fs.writeFileSync(file, content);
  }
  return root;
}

const build = (root, ...args) => hutch(daemon, ['image', 'build', '-t', 'made', ...args, root]);

/// What it tells of its steps, when it must succeed.
async function built(root, ...args) {
  const { code, stdout, stderr } = await build(root, ...args);
  assert.deepEqual([code, stdout], [0, 'made\n'], stderr);
  return stderr;
}

/// It must end with one sentence about that, and leave no image.
async function broken(root, about, ...args) {
  const { code, stdout, stderr } = await build(root, ...args);
  assert.notEqual(code, 0, stderr);
  assert.equal(stdout, '');
  assert.match(stderr.trimEnd().split('\n').at(-1), about);
}

/// In a box of the image, as root.
async function inside(script, image = 'made') {
  return (await output(daemon, ['run', '--rm', '-u', 'root', image, '--', 'sh', '-c', script])).trimEnd();
}

const image = (name = 'made') => daemon.json('GET', `/v2/images/${name}`);
const snapshots = async () => (await daemon.json('GET', '/v2/box/snapshots')).snapshots;

async function clear() {
  await daemon.removeAll();
  await hutch(daemon, ['image', 'prune']);
  for (let left = 1; left > 0; ) {
    const names = (await daemon.json('GET', '/v2/images')).images.map((one) => one.name);
    const made = names.filter((name) => !name.startsWith('busybox'));
    for (const name of made) await daemon.ask('DELETE', `/v2/images/${name}`);
    left = made.length;
  }
  await daemon.settled();
}

function building(name, ...rest) {
  const [run, options] = rest.reverse();
  leakless(daemon, name, options, async (test) => {
    try {
      await run(test);
    } finally {
      await clear();
    }
  });
}

// --- what an image comes to ---

building('an image is made of its steps, and says what they said', async () => {
  const root = context({
    Containerfile: [
      'FROM busybox', 'ARG WHO=world', 'ENV GREETING="hello $WHO" PATH=/opt/bin:$PATH', 'WORKDIR /srv/app', 'COPY app .',
      'RUN echo "$GREETING from $(pwd) as $(id -u)" > said', 'LABEL org.example=yes', 'EXPOSE 8080', 'USER boxuser',
      'ENTRYPOINT ["/srv/app/run"]', 'CMD ["--now"]', ''].join('\n'),
    'app/run': '#!/bin/sh\n',
  });
  const told = await built(root, '--build-arg', 'WHO=you');
  assert.match(told, /^\[1\/4\] FROM busybox\n\[2\/4\] WORKDIR \/srv\/app\n\[3\/4\] COPY app \.\n\[4\/4\] RUN echo/);
  const { env, user, workdir, entrypoint, cmd, labels, ports, parent } = await image();
  assert.deepEqual({ env, user, workdir, entrypoint, cmd, labels, ports, parent }, {
    env: { GREETING: 'hello you', PATH: '/opt/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
    user: 'boxuser', workdir: '/srv/app', entrypoint: ['/srv/app/run'], cmd: ['--now'], labels: { 'org.example': 'yes' },
    ports: ['8080/tcp'], parent: 'busybox',
  });
  const box = await daemon.box({ runtime: 'made' });
  assert.equal(await box.sh('cat said; id -u; pwd; echo $GREETING; echo $PATH | cut -c1-8; stat -c %u:%g run .'),
    'hello you from /srv/app as 0\n1000\n/srv/app\nhello you\n/opt/bin\n0:0\n0:0');
});

building('stages take from each other, and those that nobody needs are not made', async () => {
  const root = context({
    Dockerfile: `
      ARG BASE=busybox
      FROM $BASE AS compile
      RUN mkdir -p /out/deep && echo program > /out/program && chmod 755 /out/program && echo x > /out/deep/x \\
       && chown 7:8 /out/deep/x && ln -s program /out/link
      FROM busybox AS unused
      RUN exit 7
      FROM scratch
      COPY --from=compile /out/program /bin/
      COPY --from=0 /out /all
      COPY --from=busybox /bin/busybox /bin/busybox
      COPY --from=busybox /bin/sh /bin/sh
    `,
  });
  const told = await built(root);
  assert.doesNotMatch(told, /unused/);
  assert.equal(await inside('for f in /bin/program /all/program /all/deep/x; do /bin/busybox stat -c "%n %a %u:%g" $f; done; /bin/busybox readlink /all/link'),
    '/bin/program 755 0:0\n/all/program 755 0:0\n/all/deep/x 644 7:8\nprogram');
  assert.match((await build(root, '--target', 'unused')).stderr, /:\d+: RUN exit 7: ended with exit status 7$/m);
});

building('users are those that the image has by then, and the variables of a base go on', async () => {
  const root = context({
    Containerfile: `FROM busybox AS base
ENV A=1
RUN echo web:x:4321:4321::/home/web:/bin/sh >> /etc/passwd; echo web:x:4321: >> /etc/group; mkdir -p /home/web/d && chown -R web:web /home/web
USER web
WORKDIR /home/web/d
RUN id -un > who; echo $HOME >> who
FROM base
RUN echo $A $(id -u) $(pwd) > again
COPY --chown=web:web file copied
`,
    file: 'file\n',
  });
  await built(root);
  assert.equal(await inside('cat who again; stat -c %u:%g copied who'), 'web\n/home/web\n1 4321 /home/web/d\n4321:4321\n4321:4321');
  const { user, workdir } = await image();
  assert.deepEqual([user, workdir], ['web', '/home/web/d']);
  assert.equal((await output(daemon, ['run', '--rm', 'made', '--', 'sh', '-c', 'id -un; pwd'])), 'web\n/home/web/d\n');
});

building('a customer builds by its key, for itself', async () => {
  const customer = await Customer.make(daemon, 'builder');
  try {
    const root = context({ Containerfile: 'FROM busybox\nRUN echo mine > /mine\n' });
    await built(root);
    const [step] = await snapshots();
    await output(daemon, ['image', 'prune']);
    // A step of the operator's by its name, with other files.
    const box = await customer.box({ runtime: 'busybox' });
    await customer.json('POST', `/v2/box/${box.id}/files/write`, { path: '/mine', content: 'evil' });
    await customer.json('POST', `/v2/box/${box.id}/snapshots`, { name: step.name }, 201);
    assert.doesNotMatch(await built(root), /CACHED/);
    const env = { HUTCH_HOST: daemon.url, HUTCH_API_KEY: customer.key };
    const theirs = await hutch(daemon, ['image', 'build', '-t', 'theirs', '--no-cache', root], { env });
    assert.deepEqual([theirs.code, theirs.stdout], [0, 'theirs\n'], theirs.stderr);
    assert.equal((await daemon.ask('GET', '/v2/images/theirs')).status, 404, 'it is its own');
    assert.equal(await output(daemon, ['run', '--rm', 'theirs', '--', 'cat', '/mine'], { env }), 'mine\n');
    await customer.limit({ snapshots: 1 });
    await output(daemon, ['image', 'prune'], { env });
    const again = await hutch(daemon, ['image', 'build', '-t', 'theirs', context({ Containerfile: 'FROM busybox\nRUN true\nRUN true\n' })], { env });
    assert.notEqual(again.code, 0);
    assert.match(again.stderr, /:3: RUN true: .*snapshots/);
    await output(daemon, ['image', 'prune'], { env });
    await output(daemon, ['image', 'rm', 'theirs'], { env });
  } finally {
    await customer.remove();
  }
});

building('what a step left running is not there in the next, and its files are', async () => {
  await built(context({ Containerfile: 'FROM busybox\nRUN sleep 1000 & echo $! > /pid\nRUN test ! -e /proc/$(cat /pid) && ps > /ps\n' }));
  assert.doesNotMatch(await inside('cat /ps'), /sleep/);
});

building('texts in the file itself', async () => {
  await built(context({
    Containerfile: [
      'FROM busybox', 'ARG X=expanded', 'COPY <<one <<\'two\' /dir/', '$X', 'one', '$X', 'two', 'RUN <<END', 'cat > /both <<IN',
      'a', 'IN', 'cat /dir/one /dir/two >> /both', 'END', 'SHELL ["/bin/sh", "-ec"]', 'RUN cat >> /both <<LAST && echo z >> /both',
      'y', 'LAST', 'RUN ["sh", "-c", "echo json >> /both"]', ''].join('\n'),
  }));
  assert.equal(await inside('cat /both'), 'a\nexpanded\n$X\ny\nz\njson');
});

// --- steps that are kept ---

building('a step that would come to the same is not made again', async () => {
  const files = { Containerfile: 'FROM busybox\nCOPY one /one\nRUN date +%N > /when\nCOPY two /two\nRUN date +%N > /last\n', one: '1', two: '2' };
  const root = context(files);
  const kept = (told) => told.split('\n').map((line) => line.includes('CACHED')).slice(1, 5);
  assert.deepEqual(kept(await built(root)), [false, false, false, false]);
  const when = await inside('cat /when');
  fs.utimesSync(path.join(root, 'one'), 1, 1);
  assert.deepEqual(kept(await built(root)), [true, true, true, true]);
  assert.equal(await inside('cat /when'), when);
  fs.writeFileSync(path.join(root, 'two'), 'other');
  assert.deepEqual(kept(await built(root)), [true, true, false, false]);
  assert.equal(await inside('cat /when /two'), `${when}\nother`);
  fs.chmodSync(path.join(root, 'one'), 0o700);
  assert.deepEqual(kept(await built(root)), [false, false, false, false]);
  assert.deepEqual(kept(await built(root, '--no-cache')), [false, false, false, false]);
  assert.equal(new Set((await snapshots()).map((one) => one.name)).size, (await snapshots()).length, 'one of each');
  assert.deepEqual(kept(await built(root)), [true, true, true, true]);
  assert.match(await output(daemon, ['image', 'prune']), /^\d+ kept steps? deleted\n$/);
  assert.deepEqual(await snapshots(), []);
  assert.equal((await inside('cat /two')), 'other', 'the image has its layers still');
  assert.deepEqual(kept(await built(root)), [false, false, false, false]);
});

building('what a RUN sees is what its step goes by', async () => {
  const root = context({ Containerfile: 'FROM busybox\nARG A=1\nARG UNUSED\nUSER root\nRUN echo $A > /a\n' });
  await built(root);
  assert.match(await built(root), /CACHED RUN/);
  assert.doesNotMatch(await built(root, '--build-arg', 'A=2'), /CACHED/);
  assert.equal(await inside('cat /a'), '2');
  await broken(root, /--build-arg: .* has no ARG B/, '--build-arg', 'B=1');
});

// --- COPY ---

/// The tree that COPY is tried on: kinds, modes, links, hidden names, directories within directories.
const kTree = {
  'a.txt': 'a', 'b.txt': 'b', 'c.log': 'c', 'skip.md': 's', 'keep.md': 'k', '.hidden': 'h', 'dir/x': 'x', 'dir/sub/y': 'y', 'dir/sub/z.log': 'z',
  'run.sh': (file) => { fs.writeFileSync(file, '#!/bin/sh\n'); fs.chmodSync(file, 0o750); },
  'dir/link': (file) => fs.symlinkSync('x', file),
  link: (file) => fs.symlinkSync('a.txt', file),
  dirlink: (file) => fs.symlinkSync('dir', file),
  'empty/.keep': (file) => fs.rmSync(file, { force: true }),
  'set-uid': (file) => { fs.writeFileSync(file, 's'); fs.chmodSync(file, 0o4755); },
  '.dockerignore': '*.md\n!keep.md\n**/*.log\n',
};
const kCopies = [
  'COPY a.txt /one', 'COPY a.txt /into/', 'COPY a.txt b.txt /many/', 'COPY *.txt /stars/', 'COPY dir /dir', 'COPY dir/ /dir2/',
  'COPY dir /dir3/deep/er', 'COPY . /all', 'COPY link /link-file', 'COPY dirlink /dirlink', 'COPY ["a.txt", "/with blank"]',
  'COPY --chmod=600 a.txt /chmod', 'COPY --chown=5:6 dir /chown', 'COPY --chown=boxuser a.txt /named', 'WORKDIR /work', 'COPY a.txt rel',
  'COPY dir rel-dir/', 'COPY run.sh ./', 'COPY d*r/su? /globbed', 'COPY [ab].txt /class/', 'COPY set-uid /set-uid', 'COPY ./dir/../a.txt /dotted',
  'COPY empty /empty', 'ADD archive.tar.gz /added', 'ADD a.txt /added.txt', 'COPY dir /all',
];

function copyContext() {
  const root = context({ ...kTree, Containerfile: ['FROM busybox', ...kCopies, ''].join('\n') });
  execFileSync('tar', ['-C', root, '--owner=3', '--group=4', '-czf', path.join(root, 'archive.tar.gz'), 'dir', 'a.txt']);
  return root;
}

const kList = `cd / && for f in $(find one into many stars dir dir2 dir3 all link-file dirlink "with blank" chmod chown named work globbed class set-uid dotted empty added added.txt | sed 's/ /?/g' | sort); do
  case "$f" in */Containerfile|*/other|*/archive.tar.gz) continue;; esac
  stat -c '%n %F %a %u:%g' "$f"; if [ -L "$f" ]; then readlink "$f"; elif [ -f "$f" ]; then cat "$f"; echo; fi; done`;

building('COPY and ADD lay down what they should', async () => {
  await built(copyContext());
  const lines = (await inside(kList)).split('\n');
  for (const wanted of [
    'one regular file 644 0:0', 'into/a.txt regular file 644 0:0', 'stars/b.txt regular file 644 0:0', 'dir/sub/y regular file 644 0:0',
    'dir2/link symbolic link 777 0:0', 'all/keep.md regular file 644 0:0', 'link-file regular file 644 0:0', 'dirlink directory 755 0:0', 'dirlink/x regular file 644 0:0',
    'chmod regular file 600 0:0', 'chown/sub directory 755 5:6', 'named regular file 644 1000:1000', 'work/run.sh regular file 750 0:0', 'work/rel-dir/x regular file 644 0:0',
    'globbed/y regular file 644 0:0', 'set-uid regular file 4755 0:0', 'dotted regular file 644 0:0', 'added/dir/x regular file 644 3:4', 'added.txt regular file 644 0:0', 'all/link symbolic link 777 0:0',
  ]) assert.ok(lines.includes(wanted), `${wanted} is not in:\n${lines.join('\n')}`);
  for (const not of ['all/skip.md', 'all/c.log', 'dir/sub/z.log']) assert.ok(!lines.some((line) => line.startsWith(`${not} `)), not);
});

const kBuildah = spawnSync('buildah', ['--version']).status === 0;

building('COPY lays down what buildah does', { skip: kBuildah ? false : 'needs buildah', timeout: 240_000 }, async () => {
  const root = copyContext();
  const store = path.join(daemon.directory, 'buildah');
  const buildah = (...args) => execFileSync('buildah', ['--root', store, '--runroot', `${store}.run`, '--storage-driver', 'vfs', ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const base = buildah('from', 'scratch').trim();
    buildah('add', base, path.join(daemon.directory, 'busybox.tar'), '/');
    buildah('commit', '--format', 'docker', base, 'localhost/busybox');
    fs.writeFileSync(path.join(root, 'other'), fs.readFileSync(path.join(root, 'Containerfile'), 'utf8').replace('FROM busybox', 'FROM localhost/busybox'));
    buildah('build', '--isolation', 'chroot', '--format', 'docker', '-t', 'theirs', '-f', path.join(root, 'other'), root);
    fs.rmSync(path.join(root, 'other'));
    const container = buildah('from', 'theirs').trim();
    const mounted = buildah('mount', container).trim();
    const theirs = execFileSync('/usr/sbin/chroot', [mounted, '/bin/sh', '-c', kList], { encoding: 'utf8', env: { PATH: '/bin' } }).trimEnd();
    await built(root);
    const ours = (await inside(kList)).replaceAll(' 4755 ', ' 755 '); // which it takes away, as Docker does not
    assert.deepEqual(ours.split('\n'), theirs.split('\n').filter((line) => !/\/other /.test(line)));
  } finally {
    spawnSync('buildah', ['--root', store, '--runroot', `${store}.run`, '--storage-driver', 'vfs', 'rm', '--all'], { stdio: 'ignore' });
  }
});

building('a directory is not laid over a link', async () => {
  const root = context({ Containerfile: 'FROM busybox\nRUN mkdir /real && ln -s real /lib\nCOPY tree /\n', 'tree/lib/x': '1' });
  await broken(root, /Containerfile:3: .*take the place of a link/);
});

// --- secrets ---

building('a secret is there for one RUN alone, and in no layer', async () => {
  const root = context({
    Containerfile: 'FROM busybox\nRUN --mount=type=secret,id=token --mount=type=secret,id=token,target=/etc/mine,mode=0440,gid=1000 '
      + '--mount=type=secret,id=token,env=TOKEN cat /run/secrets/token | wc -c > /length; stat -c "%a %u:%g" /etc/mine /run/secrets/token > /modes; echo ${#TOKEN} >> /length\n'
      + 'RUN test ! -e /run/secrets && test ! -e /etc/mine && test -z "$TOKEN"\n',
    secret: 'swordfish-e4f1',
  });
  const secret = path.join(root, 'secret');
  await built(root, '--secret', `id=token,src=${secret}`);
  assert.equal(await inside('cat /length /modes'), '14\n14\n440 0:1000\n400 0:0');
  const found = spawnSync('grep', ['-rlF', 'swordfish-e4f1', daemon.store]);
  assert.equal(found.stdout.toString(), '');
  assert.match(await built(root, '--secret', `id=token,src=${secret}`), /CACHED RUN/);
  const { code, stderr } = await hutch(daemon, ['image', 'build', '-t', 'made', root, '--no-cache', '--secret', 'id=token,env=NOT_THERE']);
  assert.equal(code, 2);
  assert.match(stderr, /NOT_THERE is not set/);
});

building('what is mounted for one RUN is not in what it leaves', async () => {
  await built(context({
    Containerfile: `FROM busybox AS other
RUN mkdir /from && echo other > /from/file
FROM busybox
WORKDIR /src
RUN --mount=type=bind,target=. --mount=type=cache,target=/root/.cache/x --mount=type=bind,from=other,source=/from,target=/from \
    cat main.c /from/file > /seen && echo kept > /root/.cache/x/y
RUN ls -A /src /root > /left; test ! -e /from
`, 'main.c': 'main\n' }));
  assert.equal(await inside('cat /seen'), 'main\nother');
  assert.equal(await inside('cat /left'), '/root:\n\n/src:');
});

// --- what goes wrong ---

building('what cannot be built is said with its line', async () => {
  for (const [text, about] of [
    ['FROM busybox\nRUNN x', /Containerfile:2: "RUNN" is no instruction/], ['FROM none', /Containerfile:1: no image is called "none"/],
    ['FROM busybox\nCOPY nothing /', /Containerfile:2: "nothing" is not in/], ['FROM busybox\nCOPY a /b', /is not in/],
    ['FROM busybox\nADD https://example.com/x /x', /Containerfile:2: ADD of .* RUN/], ['FROM busybox\nCOPY ../up /', /Containerfile:2: .*leads out/],
    ['FROM busybox AS first\nCOPY --from=late /x /\nFROM busybox AS late\nCOPY --from=first /x /', /Containerfile:2: --from=late is not a stage before/],
    ['FROM busybox\nRUN --mount=type=ssh x', /Containerfile:2: .*type=ssh is not known/],
    ['FROM busybox\nRUN --mount=type=secret,id=x,required=true true', /Containerfile:2: .*secret "x" is required/],
    ['FROM busybox\nCOPY --chown=nobody-here Containerfile /x', /Containerfile:2: .*"nobody-here" is not in the image's \/etc\/passwd/],
    ['FROM busybox\nRUN exit 3', /Containerfile:2: RUN exit 3: ended with exit status 3/], ['FROM busybox\nCOPY --from=none /x /', /Containerfile:2: --from=none: no image/],
  ]) await broken(context({ Containerfile: text }), about);
  await broken(context({}), /no Containerfile and no Dockerfile/);
  const told = await hutch(daemon, ['image', 'build', context({ Containerfile: 'FROM busybox' })]);
  assert.deepEqual([told.code, told.stdout], [2, '']);
  assert.match(told.stderr, /hutch image build -t NAME/);
});

building('what has no effect is told with its line, and the rest is made', async () => {
  const told = await built(context({ Containerfile: 'FROM busybox\nMAINTAINER me\nVOLUME /data\nHEALTHCHECK --interval=5s CMD true\nSTOPSIGNAL SIGINT\nONBUILD RUN x\n' }));
  for (const line of [2, 3, 4, 5, 6]) assert.match(told, new RegExp(`Containerfile:${line}: [A-Z]+ has no effect`));
});

building('files that are written to do harm are refused, and soon', async () => {
  const doubling = ['FROM busybox', 'ENV A=aaaaaaaaaaaaaaaa', ...Array.from({ length: 40 }, () => 'ENV A=$A$A$A$A'), ''].join('\n');
  await broken(context({ Containerfile: doubling }), /Containerfile:\d+: ENV .*more than 128 KiB/);
  await broken(context({ Containerfile: `FROM busybox\n#${'x'.repeat(3 << 20)}\n` }), /larger than|more than|EFBIG|too large/i);
  await broken(context({ Containerfile: `FROM busybox\n${'ARG A\n'.repeat(10_001)}` }), /at most 10,000 instructions/);
  await broken(context({ Containerfile: `FROM busybox\nENV A=${'${B:-'.repeat(5000)}${'}'.repeat(5000)}\n` }), /too deep/);
  await broken(context({ Containerfile: Array.from({ length: 1001 }, (_, i) => `FROM busybox AS s${i}\n`).join('') }), /at most 1,000 stages/);
  await broken(context({ Containerfile: `FROM busybox\nCOPY ["a", ${'['.repeat(20000)}] /\n` }), /Containerfile:2: /);
  const ten = `FROM busybox\n${Array.from({ length: 9_990 }, (_, i) => `ARG A${i}=x\n`).join('')}RUN echo $A9989 > /x\n`;
  const many = await build(context({ Containerfile: ten }));
  assert.ok(many.code === 0 || /Containerfile:9992: /.test(many.stderr), many.stderr);
});

building('links of the context lead no further than itself', async () => {
  const root = context({ Containerfile: 'FROM busybox\nCOPY up /x\n', up: (file) => fs.symlinkSync('/etc/shadow', file) });
  await broken(root, /Containerfile:2: .*"up" is not in/);
  fs.rmSync(path.join(root, 'up'));
  fs.mkdirSync(path.join(root, 'up'));
  fs.symlinkSync('/etc', path.join(root, 'up/etc'));
  await built(root);
  assert.equal(await inside('readlink /x/etc'), '/etc');
});

// --- ends before its time ---

building('interrupted or killed, it leaves no box', async () => {
  const root = context({ Containerfile: 'FROM busybox\nRUN echo begun; sleep 1000\n' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
    const { child, ended } = start(daemon, ['image', 'build', '-t', 'made', root]);
    let said = '';
    child.stderr.on('data', (piece) => { said += piece; });
    await until('the step runs', () => /^begun$/m.test(said)); // not only its line, which comes before its box
    child.kill(signal);
    const { code } = await ended;
    assert.notEqual(code, 0);
    await until(`its boxes are gone after ${signal}`, async () => (await daemon.json('GET', '/v2/box')).length === 0);
  }
  await daemon.refuses(404, /no image/, 'GET', '/v2/images/made');
});
