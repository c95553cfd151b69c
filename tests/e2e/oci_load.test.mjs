// Images as others make them, from archives: their layers are shared, their configuration holds in boxes, and of hostile
// ones there is a sentence and nothing else.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { output } from './lib/command.mjs';
import { Blobs, digestOf, dockerArchive, imageConfig, kTypes, layoutOf, named } from './lib/oci.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { directory, entry, file, hardLink, link, pax, tar } from './lib/tar.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();
const canary = path.join(daemon.directory, 'canary');

const load = (archive, query = '') => daemon.ask('POST', `/v2/images/load${query}`, { body: archive });
const target = (name) => `/v2/images/${name.split('/').map(encodeURIComponent).join('/')}`;

async function loaded(archive, query) {
  const answer = await load(archive, query);
  assert.equal(answer.status, 201, answer.text);
  return answer.json.images;
}

async function imageNames() {
  return (await daemon.json('GET', '/v2/images')).images.map((image) => image.name).sort();
}

const layerCount = () => fs.readdirSync(path.join(daemon.store, 'layers')).length;

function loading(name, ...rest) {
  const [run, options] = rest.reverse();
  leakless(daemon, name, options, async (test) => {
    const before = await imageNames();
    try {
      await run(test);
    } finally {
      await daemon.assertAlive();
      await daemon.removeAll();
      await daemon.settled();
      for (const image of await imageNames()) {
        if (!before.includes(image)) await daemon.json('DELETE', target(image));
      }
    }
  });
}

const busybox = fs.readFileSync('/bin/busybox');
const programs = ['sh', 'cat', 'id', 'ls', 'pwd', 'env', 'stat', 'echo', 'sleep', 'tar', 'find', 'wc', 'head'];
/// A root like Alpine's.
const small = tar(directory('bin/'), file('bin/busybox', busybox, { mode: 0o755 }), ...programs.map((name) => link(`bin/${name}`, 'busybox')),
  directory('etc/'), file('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnode:x:1001:1002::/home/node:/bin/sh\n'), file('etc/group', 'root:x:0:\nweb:x:33:\n'),
  directory('home/'), directory('home/node/', { uid: 1001, gid: 1002, mode: 0o750 }), directory('root/', { mode: 0o700 }), directory('tmp/', { mode: 0o1777 }));

// --- what comes in ---

loading('an image of an OCI layout is there by its name, and boxes of it are as it says', async () => {
  const config = {
    User: 'node', Env: ['PATH=/bin', 'GREETING=hello = you'], WorkingDir: '/srv/app', Entrypoint: ['/bin/sh', '-c'], Cmd: ["echo it's"],
    ExposedPorts: { '8080/tcp': {} }, Labels: { maker: 'a test' },
  };
  const [image] = await loaded(layoutOf([small, tar(file('srv/made', '1'))], config, { name: 'library/tiny:1.2' }));
  const { id, layers, size_bytes, own_bytes, created_at, digest, ...rest } = image;
  assert.deepEqual(rest, {
    name: 'library/tiny:1.2', parent: '', env: { PATH: '/bin', GREETING: 'hello = you' }, user: 'node', workdir: '/srv/app', entrypoint: ['/bin/sh', '-c'],
    cmd: ["echo it's"], labels: { maker: 'a test' }, ports: ['8080/tcp'], source: '',
  });
  assert.match(digest, /^sha256:[0-9a-f]{64}$/);
  assert.ok(size_bytes >= busybox.length && own_bytes === size_bytes, `${size_bytes} ${own_bytes}`);
  assert.equal(layers[0], id);
  assert.deepEqual(await daemon.json('GET', '/v2/images/library/tiny:1.2'), image, 'with slashes as they are');
  assert.deepEqual(await daemon.json('GET', target('library/tiny:1.2')), image);

  const box = await daemon.box({ runtime: 'library/tiny:1.2' });
  assert.equal(await box.sh('id -u; id -g; pwd; echo $GREETING; echo $HOME; stat -c %u:%a /srv/app /home/node'), '1001\n1002\n/srv/app\nhello = you\n/home/node\n1001:755\n1001:750');
  assert.equal(await box.sh('cat /srv/made'), '1');
});

loading('gzip, zstd and plain layers, and an archive that is packed itself', async () => {
  for (const [pack, type] of [[(bytes) => zlib.gzipSync(bytes), kTypes.gzip], [(bytes) => bytes, kTypes.plain]]) {
    await loaded(layoutOf([small], {}, { name: 'a/b:c', pack, type }));
    await loaded(zlib.gzipSync(layoutOf([small], {}, { name: 'a/b:c', pack, type }), { level: 1 }));
  }
  assert.equal(await (await daemon.box({ runtime: 'a/b:c' })).sh('id -u; pwd'), '0\n/');
});

loading('an archive of docker, with several images of shared layers', async () => {
  const before = layerCount();
  const images = await loaded(dockerArchive(
    { tags: ['one:latest', 'docker.io/library/first:1'], layers: [small, tar(file('which', 'one'))], config: {} },
    { tags: ['registry.example:5000/team/two:2'], layers: [small, tar(file('which', 'two'))], config: {} },
  ));
  assert.deepEqual(images.map((image) => image.name), ['one:latest', 'first:1', 'registry.example:5000/team/two:2']);
  const tops = new Set(images.flatMap((image) => image.layers));
  assert.equal(layerCount() - before, tops.size);
  assert.equal(images[0].layers.at(-1), images[2].layers.at(-1), 'the lowest is one');
  assert.ok(images[2].own_bytes < images[2].size_bytes);
  assert.equal(await (await daemon.box({ runtime: 'one' })).sh('cat /which'), 'one', 'a name without a tag is the latest');
  assert.equal(await (await daemon.box({ runtime: 'registry.example:5000/team/two:2' })).sh('cat /which'), 'two');
  await daemon.removeAll();
  await daemon.json('DELETE', target('registry.example:5000/team/two:2'));
  assert.equal(await (await daemon.box({ runtime: 'first:1' })).sh('cat /which'), 'one', 'what is shared stays');
});

loading('a second load of the same layers unpacks nothing', async () => {
  const archive = layoutOf([small, tar(file('x', '1'))], {}, { name: 'twice/it:1' });
  const [first] = await loaded(archive);
  const [second] = await loaded(archive);
  assert.deepEqual(second.layers, first.layers);
  const [other] = await loaded(archive, '?name=another');
  assert.equal(other.name, 'another');
  assert.deepEqual(other.layers, first.layers);
  assert.equal(other.own_bytes, 0);
});

loading('several loads of one layer at a time share it or do not mind', async () => {
  const images = (await Promise.all(Array.from({ length: 6 }, (_, i) => loaded(layoutOf([small, tar(file('which', String(i % 2)))], {}, { name: `at/once:${i}` }))))).flat();
  assert.equal(new Set(images.map((image) => image.layers.at(-1))).size, 1);
  for (const image of images) assert.equal(await (await daemon.box({ runtime: image.name })).sh('cat /which'), String(Number(image.name.split(':')[1]) % 2));
});

loading('the one for this machine is chosen of an index', async () => {
  const blobs = new Blobs();
  const ours = blobs.image([small], { Env: ['WHICH=ours'] });
  const theirs = blobs.image([small], { Env: ['WHICH=theirs'] }, { more: { architecture: 's390x' } });
  const architecture = imageConfig([]).architecture;
  const index = blobs.add({ schemaVersion: 2, mediaType: kTypes.index, manifests: [{ ...theirs, platform: { os: 'linux', architecture: 's390x' } }, { ...ours, platform: { os: 'linux', architecture } }] }, kTypes.index);
  const [image] = await loaded(blobs.layout(named(index, 'multi/arch:1')));
  assert.equal(image.env.WHICH, 'ours');
  const alone = await load(blobs.layout(named({ ...theirs, platform: { os: 'linux', architecture: 's390x' } }, 'other/arch:1')));
  assert.equal(alone.status, 404, alone.text);
  assert.match(alone.json.error, /s390x/);
  const silent = await load(blobs.layout(named(theirs, 'other/arch:1')));
  assert.equal(silent.status, 400);
  assert.match(silent.json.error, /s390x; boxes here are linux/);
});

loading('an image that does not tell its name has to be given one', async () => {
  const archive = layoutOf([small], {}, { name: 'latest' });
  const refused = await load(archive);
  assert.equal(refused.status, 400);
  assert.match(refused.json.error, /^name: is required/);
  assert.equal((await loaded(archive, '?name=called'))[0].name, 'called');
  const several = dockerArchive({ tags: ['a:1'], layers: [small], config: {} }, { tags: ['b:1'], layers: [small], config: {} });
  assert.match((await load(several, '?name=x')).json.error, /several images.*a:1, b:1/);
});

loading('whiteouts, opaque directories, links below and what was a file', async () => {
  const layers = [
    small,
    tar(directory('d/'), file('d/gone', '1'), file('d/kept', '2'), directory('o/', { uid: 5, mode: 0o711 }), file('o/old', '3'), file('f', '4'), file('tool', 'program', { mode: 0o4755 })),
    tar(file('o/new', '5'), file('d/.wh.gone'), file('f/x', '6'), hardLink('again', 'tool'), file('o/.wh..wh..opq')),
    tar(file('.wh.again'), file('bin/.wh.head')),
  ];
  await loaded(layoutOf(layers, {}, { name: 'marks/all:1' }));
  const box = await daemon.box({ runtime: 'marks/all:1' });
  assert.equal(await box.sh('ls /d /o /f; ls /again /bin/head 2>&1 | wc -l; stat -c %u:%a /o /tool'), '/d:\nkept\n\n/f:\nx\n\n/o:\nnew\n2\n5:711\n0:4755');
});

// --- images without what Debian has ---

loading('an image of a single program: created, run, files', async () => {
  const [image] = await loaded(layoutOf([tar(file('busybox', busybox, { mode: 0o755 }))], { Entrypoint: ['/busybox'] }, { name: 'scratch/one:1' }));
  assert.equal(image.user, 'root');
  const box = await daemon.box({ runtime: 'scratch/one:1' });
  const run = await box.exec(['/busybox', 'echo', 'fine']);
  assert.deepEqual([run.exit_code, run.output.trim()], [0, 'fine']);
  await box.write('/notes/a', 'written');
  assert.equal(await box.read('/notes/a'), 'written');
  const git = await daemon.ask('POST', `${box.path}/git/exec`, { body: { args: ['status'] } });
  assert.ok(git.status >= 400 && git.status < 500, git.text);
  assert.match(git.json.error, /git|sh/);
  const missing = await daemon.ask('POST', `${box.path}/exec`, { body: { command: ['bash', '-c', 'true'] } });
  assert.equal(missing.status, 400);
  assert.match(missing.json.error, /"bash"/);
});

loading('users by name, by id and by group; those that are nobody are refused', async () => {
  for (const [user, who] of [['node', '1001:1002'], ['node:web', '1001:33'], ['1234', '1234:0'], ['1234:33', '1234:33'], ['0', '0:0'], ['1001', '1001:1002']]) {
    await loaded(layoutOf([small], { User: user }, { name: 'who/is:it' }));
    const box = await daemon.box({ runtime: 'who/is:it' });
    assert.equal(await box.sh('echo $(id -u):$(id -g)'), who, user);
    await box.write('/tmp/of', '');
    assert.equal(await box.sh('stat -c %u:%g /tmp/of'), who, user);
    await box.remove();
  }
  for (const [user, about] of [['nobody', /does not know "nobody"/], ['70000', /65,536/], ['node:none', /etc\/group/]]) {
    const answer = await load(layoutOf([small], { User: user }, { name: 'who/is:it' }));
    assert.equal(answer.status, 400, user);
    assert.match(answer.json.error, about);
  }
});

loading('a working directory is made where it is missing, through the image\'s own links', async () => {
  const layer = tar(directory('var/'), link('var/run', '/run'), directory('run/', { mode: 0o751 }));
  await loaded(layoutOf([small, layer], { User: '1001', WorkingDir: '/var/run/app/./data' }, { name: 'work/dir:1' }));
  const box = await daemon.box({ runtime: 'work/dir:1' });
  assert.equal(await box.sh('pwd; stat -c %u:%a /run/app/data /run'), '/run/app/data\n1001:755\n0:751');
});

// --- by those who make them ---

/// A program of two layers' making: what is replaced, hidden, linked and made anew.
const kBuildahScript = `set -e
b="buildah --root $PWD/storage --runroot $PWD/run"
c=$($b from scratch); $b add -q $c root / >/dev/null
$b config --env PATH=/bin --user app --workingdir /srv/work --cmd '["sh", "-c", "echo hi"]' $c
$b commit -q $c base:1; d=$($b from localhost/base:1); m=$($b mount $d)
rm -r $m/old; mkdir $m/old; echo 2 > $m/old/b; rm $m/bin/head; ln $m/tool $m/tool2; echo new > $m/home/app/f; chown 1500 $m/home/app $m/home/app/f
$b umount $d >/dev/null; $b commit -q $d team/app:2
$b push -q localhost/team/app:2 oci-archive:oci.tar:team/app:2; $b push -q localhost/team/app:2 docker-archive:docker.tar:registry.example/app:3`;

const hasBuildah = process.env.PATH.split(':').some((at) => fs.existsSync(`${at}/buildah`));

loading('what buildah has made, as OCI layout and as docker archive', { skip: hasBuildah ? false : 'needs buildah' }, async () => {
  const work = path.join(daemon.directory, 'buildah');
  const root = path.join(work, 'root');
  for (const at of ['bin', 'etc', 'home/app', 'old']) fs.mkdirSync(path.join(root, at), { recursive: true });
  fs.copyFileSync('/bin/busybox', path.join(root, 'bin/busybox'));
  for (const program of programs) fs.symlinkSync('busybox', path.join(root, 'bin', program));
  fs.writeFileSync(path.join(root, 'etc/passwd'), 'root:x:0:0::/root:/bin/sh\napp:x:1500:1500::/home/app:/bin/sh\n');
  fs.chmodSync(path.join(root, 'home/app'), 0o750);
  fs.writeFileSync(path.join(root, 'old/a'), '1');
  fs.writeFileSync(path.join(root, 'tool'), 'tool');
  fs.chmodSync(path.join(root, 'tool'), 0o4755);
  try {
    execFileSync('unshare', ['-m', 'bash', '-c', kBuildahScript], { cwd: work, env: { ...process.env, BUILDAH_ISOLATION: 'chroot' }, stdio: ['ignore', 'pipe', 'pipe'] });
    const images = [...(await loaded(fs.readFileSync(path.join(work, 'oci.tar')))), ...(await loaded(fs.readFileSync(path.join(work, 'docker.tar'))))];
    assert.deepEqual(images.map((image) => image.name).sort(), ['localhost/team/app:2', 'registry.example/app:3', 'team/app:2']);
    for (const image of images) {
      assert.deepEqual([image.user, image.workdir, image.cmd], ['app', '/srv/work', ['sh', '-c', 'echo hi']], image.name);
      const box = await daemon.box({ runtime: image.name });
      assert.equal(await box.sh('id -u; pwd; ls /old; stat -c %a:%h /tool /tool2; stat -c %a /home/app; cat /home/app/f; ls /bin/head 2>&1 | wc -l'), '1500\n/srv/work\nb\n4755:2\n4755:2\n750\nnew\n1', image.name);
      await box.remove();
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
});

loading('as many layers as there may be', async () => {
  const layers = [small, ...Array.from({ length: 126 }, (_, i) => tar(file(`n${i}`, String(i)), file('last', String(i))))];
  const [image] = await loaded(layoutOf(layers, {}, { name: 'many/layers:1' }));
  assert.ok(image.layers.length >= 127);
  assert.equal(await (await daemon.box({ runtime: 'many/layers:1' })).sh('cat /n0 /n125 /last'), '0125125');
});

// --- hostile ones ---

const kBad = 400;
const kTooLarge = 413;
const up = '../'.repeat(40);
const of = (...layers) => layoutOf([small, ...layers]);
const whole = new Blobs();
const wholeManifest = whole.image([small], {});

/// A layout whose documents say what `change` makes of them.
function changed(change) {
  const blobs = new Blobs();
  const layer = blobs.add(zlib.gzipSync(small, { level: 1 }), kTypes.gzip);
  const it = { config: imageConfig([small]), layers: [layer], blobs };
  change(it);
  const config = it.configDescriptor ?? blobs.add(it.config, kTypes.config);
  const manifest = blobs.add(it.manifest ?? { schemaVersion: 2, mediaType: kTypes.manifest, config, layers: it.layers }, kTypes.manifest);
  return blobs.layout(named(it.entry ?? manifest, 'test/image:1'));
}

const hostile = {
  'a name that goes up': [kBad, /goes up/, of(tar(file(`${up}${canary}`, 'owned')))],
  'a whiteout that goes up': [kBad, /goes up/, of(tar(file(`${up}.wh.canary`)))],
  'a whiteout of the parent': [kBad, /whiteout of nothing/, of(tar(file('d/.wh...')))],
  'a whiteout of itself': [kBad, /whiteout of nothing/, of(tar(file('d/.wh..')))],
  'a whiteout of no name': [kBad, /whiteout of nothing/, of(tar(file('.wh.')))],
  'an entry in a whiteout': [kBad, /lies in a whiteout/, of(tar(file('.wh.d/x')))],
  'a hard link out': [kBad, /goes up/, of(tar(hardLink('x', `${up}${canary}`)))],
  'a hard link through a link': [kBad, /no file of its layer/, of(tar(link('out', daemon.directory), hardLink('x', 'out/canary')))],
  'a hard link through a link of a lower layer': [kBad, /neither its layer/, of(tar(link('out', daemon.directory)), tar(hardLink('x', 'out/canary')))],
  'a hard link to a whiteout': [kBad, /whiteout is no file/, of(tar(file('.wh.bin'), hardLink('x', '.wh.bin')))],
  'a hard link to itself': [kBad, /itself/, of(tar(file('x', '1'), hardLink('x', 'x')))],
  'a hard link to a directory of a lower layer': [kBad, /as a file/, of(tar(hardLink('x', 'bin')))],
  'a hard link to what the layer hides': [kBad, /neither its layer/, of(tar(hardLink('x', 'bin/busybox'), file('.wh.bin')))],
  'overlay\'s attributes': [kBad, /overlay/, of(tar(pax({ 'SCHILY.xattr.trusted.overlay.redirect': '/etc' }), directory('d/')))],
  'an owner beyond a box\'s ids': [kBad, /65,536/, of(tar(pax({ uid: '65536' }), file('x', '1')))],
  '/proc as a link': [kBad, /the directory \/proc/, of(tar(link('proc', daemon.directory)))],
  '/etc as a file': [kBad, /the directory \/etc/, of(tar(file('.wh.etc'), file('etc', 'x')))],
  '/etc/hosts as a directory': [kBad, /the file \/etc\/hosts/, of(tar(directory('etc/hosts/')))],
  'a work directory that is a file': [kBad, /no directory/, layoutOf([small], { WorkingDir: '/etc/passwd' })],
  'a work directory that goes up': [kBad, /up/, layoutOf([small], { WorkingDir: '/none/../../x' })],
  'a layer cut short': [kBad, /./, layoutOf([small], {}, { pack: (bytes) => zlib.gzipSync(bytes).subarray(0, 1000) })],
  'a layer that is text': [kBad, /./, layoutOf([Buffer.from('this is no archive\n'.repeat(500))])],
  'a layer with another content than told': [kBad, /digest of its content/, changed((it) => { it.config.rootfs.diff_ids = [digestOf(Buffer.from('x'))]; })],
  'a blob with another content than told': [kBad, /digest/, changed((it) => { it.blobs.all.set(it.layers[0].digest, zlib.gzipSync(tar(file('x', '1'.repeat(99))))); it.layers[0].size = it.blobs.all.get(it.layers[0].digest).length; })],
  'a blob of another size': [kBad, /bytes/, changed((it) => { it.layers[0] = { ...it.layers[0], size: 5 }; })],
  'a config of another digest': [kBad, /digest/, changed((it) => { it.configDescriptor = it.blobs.add(it.config, kTypes.config); it.blobs.all.set(it.configDescriptor.digest, Buffer.from('{}')); })],
  'a blob that is not there': [kBad, /lacks/, changed((it) => { it.blobs.all.delete(it.layers[0].digest); })],
  'a digest with a path': [kBad, /digest/, changed((it) => { it.layers[0] = { ...it.layers[0], digest: `sha256:${up}etc/passwd` }; })],
  'more layers than the config tells': [kBad, /layers/, changed((it) => { it.layers.push(it.layers[0]); })],
  'more layers than a box can stand on': [kBad, /127|layers/, changed((it) => { it.layers = Array(200).fill(it.layers[0]); it.config.rootfs.diff_ids = Array(200).fill(digestOf(small)); })],
  'no layers': [kBad, /layers/, changed((it) => { it.layers = []; it.config.rootfs.diff_ids = []; })],
  'a foreign layer': [kBad, /foreign|elsewhere|media type/, changed((it) => { it.layers[0] = { ...it.layers[0], mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' }; })],
  'a user of 100,000 characters': [kBad, /^importing|^User/, layoutOf([small], { User: 'u'.repeat(100_000) })],
  'a work directory of 100,000 parts': [kBad, /WorkingDir/, layoutOf([small], { WorkingDir: '/a'.repeat(100_000) })],
  'a work directory of links in a circle': [kBad, /working directory|link/, layoutOf([small, tar(link('l', 'l'))], { WorkingDir: '/l/x' })],
  'variables of 1 MiB': [kBad, /Env/, layoutOf([small], { Env: [`A=${'x'.repeat(1 << 20)}`] })],
  'a variable with a NUL': [kBad, /NUL/, layoutOf([small], { Env: ['A=x\0y'] })],
  'a word with a NUL': [kBad, /NUL/, layoutOf([small], { Cmd: ['x\0y'] })],
  'a port of two lines': [kBad, /line feed/, layoutOf([small], { ExposedPorts: { '80\n81': {} } })],
  'labels of 2 MiB': [kBad, /Labels/, layoutOf([small], { Labels: { a: 'x'.repeat(2 << 20) } })],
  'a manifest that is a list': [kBad, /./, changed((it) => { it.manifest = []; })],
  'a manifest of nested JSON': [kBad, /./, changed((it) => { it.manifest = Buffer.from('['.repeat(100_000)); })],
  'a config of 5 MiB': [kBad, /4 MiB/, changed((it) => { it.config.history = 'x'.repeat(5 << 20); })],
  'an index within itself': [kBad, /./, changed((it) => { it.entry = it.blobs.add({ schemaVersion: 2, manifests: [it.blobs.add({ schemaVersion: 2, manifests: [] }, kTypes.index)] }, kTypes.index); })],
  'an empty index': [kBad, /no image/, new Blobs().layout()],
  'a name that is none': [kBad, /name:/, layoutOf([small], {}, { name: '../../etc:1' })],
  'no documents': [kBad, /neither an index\.json/, tar(file('x', '1'))],
  'a root filesystem': [kBad, /hutch image import/, small],
  'nothing': [kBad, /./, Buffer.alloc(0)],
  'text': [kBad, /./, Buffer.from('this is no archive\n'.repeat(500))],
  'an archive whose names go up': [kBad, /goes up/, tar(file(`${up}index.json`, '{}'))],
  'a document that is a link out': [kBad, /neither an index\.json/, tar(link('index.json', `${up}etc/passwd`))],
  'links in a circle': [kBad, /neither an index\.json/, tar(link('index.json', 'a'), link('a', 'index.json'))],
  'a docker archive whose layer is a link out': [kBad, /lacks/, tar(link('layer.tar', '/etc/passwd'), file('c.json', JSON.stringify(imageConfig([small]))), file('manifest.json', JSON.stringify([{ Config: 'c.json', RepoTags: ['x:1'], Layers: ['layer.tar'] }])))],
  'files that are 64 GiB together': [kTooLarge, /bytes|image may be/, of(...Array.from({ length: 2 }, () => tar(pax({ 'GNU.sparse.major': '0', 'GNU.sparse.minor': '1', 'GNU.sparse.size': String(40n << 30n), 'GNU.sparse.map': '0,0' }), file('hole', ''))))],
  'a layout cut in a blob': [kBad, /./, whole.layout(named(wholeManifest, 'a/b:1')).subarray(0, 9000)],
};

loading('every hostile archive has its answer', async (test) => {
  fs.writeFileSync(canary, 'the host\'s');
  const beside = fs.readdirSync(daemon.directory).sort();
  const layers = layerCount();
  const names = await imageNames();
  for (const [name, [status, about, archive]] of Object.entries(hostile)) {
    await test.test(name, async () => {
      const answer = await load(archive);
      assert.equal(answer.status, status, answer.text);
      assert.match(answer.json.error, about);
      assert.doesNotMatch(answer.json.error, /\n/);
      assert.equal(fs.readFileSync(canary, 'utf8'), 'the host\'s');
      assert.deepEqual(fs.readdirSync(daemon.directory).sort(), beside);
      assert.deepEqual(fs.readdirSync(path.join(daemon.store, 'tmp')), []);
      assert.deepEqual(await imageNames(), names);
      assert.equal(layerCount(), layers);
    });
  }
});

loading('devices are left out, and a device 0/0 is no whiteout', async () => {
  await loaded(of(tar(directory('bin/'), entry('bin/id', { type: '3' }), entry('null', { type: '3' }))));
  assert.equal(await (await daemon.box({ runtime: 'test/image:1' })).sh('id -u; ls /null 2>&1 | wc -l'), '0\n1');
});

loading('a daemon that is killed while it loads leaves nothing', async () => {
  const layers = layerCount();
  const large = tar(...Array.from({ length: 2000 }, (_, i) => file(`f${i}`, 'x'.repeat(5000))));
  const going = load(of(large)).catch(() => null);
  await until('a layer is on its way', () => fs.readdirSync(path.join(daemon.store, 'tmp')).length > 0);
  await daemon.end('SIGKILL');
  await going;
  await daemon.launch();
  assert.deepEqual(fs.readdirSync(path.join(daemon.store, 'tmp')), []);
  assert.equal(layerCount(), layers);
});

// --- the command ---

loading('hutch image load says what there is', async () => {
  const archive = path.join(daemon.directory, 'app.tar');
  fs.writeFileSync(archive, layoutOf([small], { Entrypoint: ['/bin/sh', '-c'], Cmd: ["echo it's"] }, { name: 'team/app:1' }));
  assert.equal(await output(daemon, ['image', 'load', archive]), 'team/app:1\n');
  assert.equal(await output(daemon, ['image', 'load', archive, '--name', 'mine']), 'mine\n');
  const shown = JSON.parse(await output(daemon, ['image', 'inspect', 'team/app:1']));
  assert.deepEqual(shown.cmd, ["echo it's"]);
  await output(daemon, ['image', 'rm', 'mine']);
  fs.rmSync(archive);
});
