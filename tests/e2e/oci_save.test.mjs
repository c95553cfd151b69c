// Images and snapshots as OCI images: what goes out is what other programs unpack, file by file.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { complains, hutch, output, Terminal } from './lib/command.mjs';
import { Customer } from './lib/customer.mjs';
import { Docker } from './lib/docker.mjs';
import { open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('python3', 'setcap');
const daemon = suite({ tcp: true });
const there = (program) => process.env.PATH.split(':').some((directory) => fs.existsSync(`${directory}/${program}`));
/// Options of a test that another program judges.
const judgedBy = (...programs) => {
  const missing = programs.filter((program) => !there(program));
  return { skip: missing.length > 0 && `needs ${missing.join(', ')}`, timeout: 240_000 };
};

const scratch = (name) => path.join(daemon.directory, name);
const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] });
const manifestOf = (root, base = 0) => run('python3', path.join(import.meta.dirname, 'lib/tree_manifest.py'), root, String(base)).trimEnd().split('\n').map((line) => JSON.parse(line));

/// What the daemon has open.
const descriptors = () => fs.readdirSync(`/proc/${daemon.process.pid}/fd`).map((fd) => {
  try {
    return fs.readlinkSync(`/proc/${daemon.process.pid}/fd/${fd}`);
  } catch {
    return ''; // closed since
  }
});

/// All that is in a box's own files now, as the box sees it.
async function manifestOfBox(box) {
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  const base = fs.readFileSync(`/proc/${details.init_pid}/uid_map`, 'utf8').trim().split(/\s+/)[1];
  return manifestOf(`/proc/${details.init_pid}/root`, base);
}

/// Unpacks what was saved, and looks at each document of it.
function layoutOf(file) {
  const directory = `${file}.d`;
  fs.mkdirSync(directory);
  run('tar', '-xf', file, '-C', directory);
  const blob = ({ digest, size }) => {
    const bytes = fs.readFileSync(path.join(directory, 'blobs', digest.replace(':', '/')));
    assert.equal(`sha256:${crypto.createHash('sha256').update(bytes).digest('hex')}`, digest);
    assert.equal(bytes.length, size);
    return bytes;
  };
  const json = (name) => JSON.parse(fs.readFileSync(path.join(directory, name)));
  assert.deepEqual(json('oci-layout'), { imageLayoutVersion: '1.0.0' });
  const index = json('index.json');
  assert.equal(index.manifests.length, 1);
  const manifest = JSON.parse(blob(index.manifests[0]));
  const config = JSON.parse(blob(manifest.config));
  const layers = manifest.layers.map(blob);
  assert.equal(config.rootfs.diff_ids.length, layers.length);
  assert.equal(config.history.length, layers.length);
  const [docker] = json('manifest.json');
  assert.deepEqual(docker.Layers, manifest.layers.map(({ digest }) => `blobs/${digest.replace(':', '/')}`));
  assert.equal(docker.Config, `blobs/${manifest.config.digest.replace(':', '/')}`);
  const name = index.manifests[0].annotations['org.opencontainers.image.ref.name'];
  assert.deepEqual(docker.RepoTags, [name]);
  return { directory, manifest, config, layers, name };
}

/// umoci's, from an unpacked layout.
function unpackedByUmoci({ directory, name }) {
  const bundle = `${directory}.umoci`;
  run('umoci', 'unpack', '--image', `${directory}:${name}`, bundle);
  return path.join(bundle, 'rootfs');
}

/// Storage of podman's own for one test.
class Podman {
  constructor(name) {
    this.root = scratch(name);
    this.options = ['--root', `${this.root}/storage`, '--runroot', `${this.root}/run`, '--storage-driver', 'vfs'];
    fs.mkdirSync(this.root);
  }
  run(...args) {
    return run('podman', ...this.options, ...args).trim();
  }
  /// The root directory of an image that it has loaded.
  load(file) {
    const loaded = /Loaded image.*: (\S+)/.exec(this.run('load', '-i', file));
    return { name: loaded[1], root: this.run('image', 'mount', loaded[1]) };
  }
  close() {
    this.run('image', 'unmount', '--all', '--force');
    this.run('rmi', '--all', '--force');
    fs.rmSync(this.root, { recursive: true, force: true });
  }
}

/// What all storages keep: of extended attributes security.capability, and times in whole seconds.
const comparable = (line) => ({ ...line, time: Math.floor(line.time / 1e9), xattrs: line.xattrs['security.capability'] });

/// An image whose archive has what boxes cannot make by a shell.
async function oddImage() {
  const root = scratch('odd');
  fs.mkdirSync(root);
  run('tar', '-xf', scratch('busybox.tar'), '-C', root);
  const at = (name) => path.join(root, name);
  fs.writeFileSync(at('bin/ping-like'), '#!/bin/sh\n', { mode: 0o755 });
  run('setcap', 'cap_net_raw+ep', at('bin/ping-like'));
  fs.writeFileSync(at('noted'), 'x');
  run('python3', '-c', `import os; os.setxattr(${JSON.stringify(at('noted'))}, 'user.note', b'a\\0b\\n')`);
  fs.writeFileSync(Buffer.concat([Buffer.from(at('not-utf8-')), Buffer.from([0xff, 0xfe])]), 'x');
  fs.writeFileSync(at('new\nline'), 'x');
  fs.mkdirSync(at('d/within'), { recursive: true });
  for (const name of ['d/one', 'd/within/two', 'file-to-be-directory', 'kept']) fs.writeFileSync(at(name), name);
  fs.mkdirSync(at('dir-to-be-file/within'), { recursive: true });
  fs.mkdirSync(at('made-anew/old'), { recursive: true });
  fs.writeFileSync(at('made-anew/old/gone'), 'x');
  fs.linkSync(at('kept'), at('kept-too'));
  fs.writeFileSync(at('bin/set-uid'), '#!/bin/sh\n');
  fs.chmodSync(at('bin/set-uid'), 0o6755);
  run('chown', '1000:1000', at('home/boxuser'), at('workspace/home'));
  fs.chmodSync(at('home/boxuser'), 0o750);
  const archive = scratch('odd.tar');
  run('tar', '-C', root, '--numeric-owner', '--xattrs', '--xattrs-include=*', '--format=posix', '-cf', archive, '.');
  fs.rmSync(root, { recursive: true });
  await daemon.import('odd', archive, '?user=root&env=COLOUR%3Dblue');
}

/// What layers have to tell: additions, deletions, and things in place of others.
const kChanges = [
  'rm -r /d; echo x > /new; chmod 4711 /new',
  'rm -r /dir-to-be-file; echo now a file > /dir-to-be-file; rm /file-to-be-directory; mkdir -p /file-to-be-directory/a/b; chown 1000:1000 /file-to-be-directory/a',
  'rm -r /made-anew; mkdir -p /made-anew/old; echo x > /made-anew/new; mv /bin/ping-like /bin/renamed; mv /noted "/no ted"',
  'dd if=/dev/zero of=/hole bs=1 count=1 seek=104857599 2> /dev/null; touch /home/boxuser/mine; chown 1000:1000 /home/boxuser/mine',
  'rm /new /kept; rm -r /file-to-be-directory',
  `n=${'n'.repeat(200)}; mkdir -p /$n/$n; ln -s $n /$n/link; echo x > /$n/$n/a; ln /$n/$n/a /$n/$n/b; mkfifo /$n/fifo; touch "$(printf '/\\377\\n')"`,
];

async function changedBox() {
  const box = await daemon.box({ runtime: 'odd', name: 'changed', env_vars: { SIZE: 'large' } });
  for (const [number, change] of kChanges.entries()) {
    await box.sh(`cd /; ${change}`);
    if (number < kChanges.length - 1) await daemon.json('POST', `${box.path}/snapshots`, { name: `s${number}` }, 201);
  }
  const wanted = await manifestOfBox(box);
  await daemon.json('POST', `${box.path}/snapshots`, { name: 'all' }, 201);
  return { box, wanted };
}

async function cleanUp() {
  await daemon.removeAll();
  await daemon.json('DELETE', '/v2/box/snapshots', {});
  await daemon.ask('DELETE', '/v2/images/odd');
}

function exporting(name, options, work) {
  leakless(daemon, name, options, async () => {
    try {
      await oddImage();
      await work();
    } finally {
      await cleanUp();
    }
  });
}

exporting('a snapshot that goes out is what umoci unpacks, file by file', judgedBy('umoci'), async () => {
  const { wanted } = await changedBox();
  const file = scratch('all.tar');
  assert.equal(await output(daemon, ['snapshot', 'export', 'changed', 'all', '-o', file]), '');
  const layout = layoutOf(file);
  assert.equal(layout.name, 'changed:all');
  assert.equal(layout.layers.length, 1 + kChanges.length);
  assert.deepEqual(manifestOf(unpackedByUmoci(layout)), wanted);
  const { User, Env, WorkingDir, Cmd } = layout.config.config;
  assert.deepEqual({ User, Env, WorkingDir, Cmd }, { User: undefined, Env: ['COLOUR=blue', 'SIZE=large'], WorkingDir: '/workspace/home', Cmd: ['/bin/sh'] });
});

exporting('and what podman and skopeo take, by either of its formats', judgedBy('podman', 'skopeo'), async () => {
  const { wanted } = await changedBox();
  const file = scratch('podman.tar');
  await output(daemon, ['snapshot', 'export', 'changed', 'all', '-o', file]);
  for (const transport of ['oci-archive', 'docker-archive']) {
    run('skopeo', 'copy', '--quiet', '--insecure-policy', `${transport}:${file}`, `dir:${scratch(transport)}`);
  }
  const podman = new Podman('podman');
  try {
    const { root } = podman.load(file);
    assert.deepEqual(manifestOf(root).map(comparable), wanted.map(comparable));
  } finally {
    podman.close();
  }
});

exporting('and what Docker loads, and runs as the image says', judgedBy('dockerd'), async () => {
  const { wanted } = await changedBox();
  const file = scratch('docker.tar');
  await output(daemon, ['snapshot', 'export', 'changed', 'all', '-o', file]);
  const docker = new Docker(scratch('docker'));
  try {
    await docker.open();
    assert.match(docker.run('load', '-i', file), /Loaded image: changed:all/);
    assert.deepEqual(manifestOf(docker.rootOf('changed:all')).map(comparable), wanted.map(comparable));
    const said = docker.run('run', '--rm', '--network', 'none', 'changed:all', '/bin/sh', '-c', 'id -u; pwd; echo $COLOUR $SIZE; stat -c %U /home/boxuser/mine; ls /hole');
    assert.equal(said, '0\n/workspace/home\nblue large\nboxuser\n/hole');
    await output(daemon, ['image', 'save', 'busybox', '-o', file]);
    docker.run('load', '-i', file);
    assert.equal(docker.run('run', '--rm', '--network', 'none', 'busybox', '/bin/sh', '-c', 'id -u; id -g'), '1000\n1000');
  } finally {
    await docker.close();
  }
});

leakless(daemon, 'the same layers are the same bytes, and are called the same each time', async () => {
  const files = ['one.tar', 'two.tar'].map(scratch);
  for (const file of files) await output(daemon, ['image', 'save', 'busybox', '-o', file]);
  assert.ok(fs.readFileSync(files[0]).equals(fs.readFileSync(files[1])));
  const { config, name } = layoutOf(files[0]);
  assert.equal(name, 'busybox:latest');
  assert.equal(config.config.User, '1000:1000');
  assert.equal(config.os, 'linux');
});

leakless(daemon, '40 layers, one of them of deletions alone, come to what a box of them has', judgedBy('umoci'), async () => {
  const names = Array.from({ length: 40 }, (_, layer) => `layer${layer}`);
  try {
    for (const [layer, name] of names.entries()) {
      const script = layer === 20 ? 'rm /f1? /bin/yes' : `echo ${layer} > /f${layer}; echo ${layer} > /same; rm -f /f${layer - 5}`;
      const { text } = await daemon.ask('POST', `/v2/images/${name}/build`, { body: { from: layer === 0 ? 'busybox-root' : names[layer - 1], script } });
      assert.match(text, /event: image/);
    }
    const box = await daemon.box({ runtime: 'layer39' });
    const file = scratch('tall.tar');
    await output(daemon, ['image', 'save', 'layer39', '-o', file]);
    const layout = layoutOf(file);
    assert.equal(layout.layers.length, 41);
    // A box's start writes in /etc, and boxuser's skills are linked at its first.
    const still = (lines) => lines.filter((line) => !line.path.startsWith('home/')).map((line) => (line.path === 'etc' || line.path === 'home' ? { ...line, time: 0 } : line));
    assert.deepEqual(still(manifestOf(unpackedByUmoci(layout))), still(await manifestOfBox(box)));
  } finally {
    await daemon.removeAll();
    await daemon.settled();
    for (const name of names.reverse()) await daemon.ask('DELETE', `/v2/images/${name}`);
  }
});

leakless(daemon, 'what a box has changed, put on its image, is the box: parents are whose they were', judgedBy('umoci'), async () => {
  const box = await daemon.box({ name: 'parents' });
  await box.sh('mkdir -p project/src; echo x > project/src/a; echo x > ~/b');
  const { bytes } = await hutch(daemon, ['diff', 'parents', '--tar']);
  const root = scratch('parents');
  fs.mkdirSync(root);
  execFileSync('tar', ['-xpf', '-', '-C', root, '--numeric-owner', '--same-owner'], { input: bytes });
  const owners = Object.fromEntries(manifestOf(root).map((line) => [line.path, line.owner[0]]));
  assert.deepEqual(owners, {
    home: 0, 'home/boxuser': 1000, 'home/boxuser/b': 1000, workspace: 0, 'workspace/home': 1000, 'workspace/home/project': 1000,
    'workspace/home/project/src': 1000, 'workspace/home/project/src/a': 1000,
  });
});

leakless(daemon, 'a terminal is spared, a file is whole or not there, and what is not there is named', async () => {
  const shown = await new Terminal(daemon, ['image', 'save', 'busybox']).finish();
  assert.equal(shown.code, 2);
  assert.match(shown.output, /^hutch: [^\n]*-o[^\n]*\n$/);
  await complains(daemon, 1, /no image is called "none"/, ['image', 'save', 'none', '-o', scratch('none.tar')]);
  await complains(daemon, 1, /none/, ['snapshot', 'export', 'none', 'none']);
  assert.ok(!fs.existsSync(scratch('none.tar')));
  const box = await daemon.rootBox({ name: 'refused' });
  try {
    await box.sh('echo x > /.wh.name');
    await daemon.json('POST', `${box.path}/snapshots`, { name: 'bad' }, 201);
    await complains(daemon, 1, /broke off .*log/, ['snapshot', 'export', 'refused', 'bad', '-o', scratch('bad.tar')]);
    await until('the log says why', () => daemon.log.some((line) => line.includes('/.wh.name')));
    assert.ok(!fs.existsSync(scratch('bad.tar')));
    assert.deepEqual(fs.readdirSync(daemon.directory).filter((name) => name.startsWith('.hutch-')), []);
    const { stdout } = await hutch(daemon, ['image', 'save', 'busybox'], { shell: (command) => `${command} | tar -tf - oci-layout` });
    assert.equal(stdout, 'oci-layout\n');
  } finally {
    await cleanUp();
  }
});

leakless(daemon, 'a client that leaves ends the writing, and its turn is another\'s', async () => {
  const box = await daemon.rootBox();
  try {
    await box.sh('head -c 200000000 /dev/urandom > /large');
    const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'large' }, 201);
    const target = `${box.path}/snapshots/${id}/oci`;
    const writing = () => descriptors().some((name) => name.startsWith(path.join(daemon.state, 'store/tmp/')));
    for (let times = 0; times < 5; ++times) { // more than may be at a time
      const request = http.request({ socketPath: daemon.socket, path: target, agent: false }).on('error', () => {}).end();
      await until('it writes', writing);
      request.destroy();
      await until('it writes no more', () => !writing());
    }
    const response = await open(daemon.socket, 'GET', target);
    assert.equal(response.statusCode, 200);
    response.destroy();
  } finally {
    await cleanUp();
  }
});

leakless(daemon, 'another customer\'s snapshot is not there', async () => {
  const customer = await Customer.make(daemon, 'other');
  const box = await daemon.box();
  try {
    const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'mine' }, 201);
    assert.equal((await customer.ask('GET', `${box.path}/snapshots/${id}/oci`)).status, 404);
    const own = await customer.box();
    assert.equal((await customer.ask('GET', `/v2/box/${own.id}/snapshots/${id}/oci`)).status, 404);
  } finally {
    await customer.remove();
    await cleanUp();
  }
});
