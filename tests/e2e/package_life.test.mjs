// The life of the Debian packages on a host that has nothing else of Hutch and no compiler, under its systemd.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { debianCache } from './lib/debian.mjs';
import { baseImage } from './lib/image.mjs';
import { OwnHost } from './lib/own_host.mjs';
import { packages } from './lib/package.mjs';
import { needs, skip } from './lib/suite.mjs';

needs('dpkg-deb', 'dpkg-shlibdeps', 'python3', 'apt-get', 'unshare', 'nsenter');
const archive = debianCache(process.env.HUTCH_CACHE ?? '');
if (archive === null) skip('needs the archive of the debian image, which the net tests make');

// Half of the image's files; nothing here depends on them. The last two are for boxes: one forbids to start anything.
const kUnwanted = ['lib/file', 'lib/git-core', 'lib/python3.11', 'share/doc', 'share/i18n', 'share/perl', 'share/terminfo', 'share/vim', 'share/zoneinfo'].map((name) => `./usr/${name}`)
  .concat('./etc/apt/apt.conf.d/90hutch', './usr/sbin/policy-rc.d');
const directory = fs.mkdtempSync('/var/tmp/hutch-package-life-');
const debian = new OwnHost(path.join(directory, 'debian'), process.env.HUTCH_TEST_NAME ?? 'etest');

/// What apt would install beside `wanted`, downloaded to `to`; what it says when it cannot be had.
function download(wanted, to) {
  fs.mkdirSync(path.join(to, 'partial'), { recursive: true });
  const options = [`Dir::State::status=${debian.path('var/lib/dpkg/status')}`, `Dir::Cache::archives=${to}`, 'APT::Sandbox::User=root'].flatMap((option) => ['-o', option]);
  const { status, stderr } = spawnSync('apt-get', ['--download-only', '--yes', '--no-install-recommends', ...options, 'install', ...wanted], { encoding: 'utf8' });
  fs.rmSync(path.join(to, 'partial'), { recursive: true });
  return status === 0 ? null : stderr.trim().split('\n').at(-1);
}

/// The same package, of the next revision.
function next(file) {
  const root = path.join(directory, 'next');
  execFileSync('dpkg-deb', ['-R', file, root]);
  const control = path.join(root, 'DEBIAN/control');
  fs.writeFileSync(control, fs.readFileSync(control, 'utf8').replace(/^Version: (.*)-1$/m, 'Version: $1-2'));
  execFileSync('dpkg-deb', ['-Znone', '--root-owner-group', '-b', root, debian.path('packages/next.deb')], { stdio: 'ignore' });
}

let broken = false;
/// A test that needs those before it.
function step(name, act) {
  test(name, { timeout: 60_000 }, async (context) => {
    if (broken) return context.skip('what comes before it was not done');
    broken = true;
    broken = (await act(context)) === false;
  });
}

before(() => {
  fs.mkdirSync(debian.root);
  execFileSync('tar', ['-C', debian.root, '--numeric-owner', ...kUnwanted.map((name) => `--exclude=${name}`), '-xf', archive]);
}, { timeout: 60_000 });

after(async () => {
  await debian.close();
  fs.rmSync(directory, { recursive: true, force: true });
}, { timeout: 60_000 });

const ours = (file) => `/packages/${path.basename(file)}`;
const must = (...words) => debian.must(...words);
const hutch = (...words) => must('hutch', ...words);
const show = (property, unit) => must('systemctl', 'show', '--value', '-p', property, unit);
const both = async (verb) => (await debian.run('systemctl', verb, 'hutchd.socket', 'hutchd.service')).stdout.trim().split('\n');
/// The processes of boxes, by their own numbers there.
const living = async () => (await debian.run('sh', '-c', 'find /sys/fs/cgroup/hutch -name cgroup.procs -exec cat {} + | sort -n')).stdout.trim();

let client;
let daemon;
let box;
let run;

step('a Debian boots, without a compiler', async (context) => {
  [client, daemon] = packages();
  const others = debian.path('others');
  const missing = download([client, daemon, 'systemd'], others);
  if (missing !== null) {
    context.skip(`no package mirror: ${missing}`);
    return false;
  }
  fs.mkdirSync(debian.path('packages'));
  for (const file of [client, daemon]) fs.copyFileSync(file, debian.path(ours(file)));
  next(daemon);
  fs.renameSync(baseImage(directory), debian.path('busybox.tar'));
  const install = 'mkdir -p "$0/dev" && mount --rbind /dev "$0/dev" && exec chroot "$0" sh -c "dpkg -i /others/*.deb"';
  execFileSync('unshare', ['--mount', 'sh', '-c', install, debian.root], { stdio: 'pipe' });
  await debian.boot();
  for (const program of ['gcc', 'cc', 'c++', 'cmake', 'ninja']) assert.notEqual((await debian.run('which', program)).code, 0, program);
});

step('installed, the daemon serves on the socket of its unit', async () => {
  await must('dpkg', '-i', ours(client), ours(daemon));
  assert.deepEqual([await both('is-enabled'), await both('is-active')], [['enabled', 'enabled'], ['active', 'active']]);
  assert.match(await hutch('version'), /^hutchd \d/m);
  assert.match(await must('hutchd', 'check-config'), /^state_dir = "\/var\/lib\/hutch" +# default$/m);
  const { stderr } = await debian.run('hutch', 'image', 'build', 'nothing');
  assert.match(stderr, /there are agents, busybox, debian, /, 'the recipes of the package are found');
});

step('upgraded while it works: the socket is never gone; a box, its command and the configuration stay', async () => {
  await hutch('image', 'import', 'busybox', '/busybox.tar');
  await hutch('create', 'web', '--image', 'busybox');
  await hutch('exec', 'web', '--', 'mkfifo', '/tmp/go');
  run = await hutch('exec', '-d', 'web', '--', 'sh', '-c', 'echo begun; while read -r line; do echo "$line"; [ "$line" != over ] || exit 7; done <> /tmp/go');
  box = await living();
  fs.appendFileSync(debian.path('etc/hutch/hutchd.toml'), 'default_image = "busybox"\n');
  const [old, socket] = [await show('MainPID', 'hutchd.service'), await show('InactiveExitTimestampMonotonic', 'hutchd.socket')];

  let upgraded = false;
  const upgrade = must('dpkg', '-i', '/packages/next.deb').finally(() => {
    upgraded = true;
  });
  do {
    const { stderr } = await debian.run('hutch', 'label', 'ls', 'web');
    assert.match(stderr, /^$|broke the connection off/); // that of the old daemon, in its last moment
  } while (!upgraded);
  await upgrade;
  assert.match(await must('dpkg-query', '-W', '-f', '${db:Status-Abbrev}${Version}', 'hutch-daemon'), /^ii .*-2$/);
  assert.notEqual(await show('MainPID', 'hutchd.service'), old);
  assert.equal(await must('readlink', `/proc/${await show('MainPID', 'hutchd.service')}/exe`), '/usr/bin/hutchd');
  assert.equal(await show('InactiveExitTimestampMonotonic', 'hutchd.socket'), socket);
  assert.match(await must('hutchd', 'check-config'), /^default_image = "busybox" +# \/etc/m);
  await hutch('exec', 'web', '--', 'sh', '-c', 'echo on > /tmp/go');
  assert.equal(await living(), box);
});

step('removed: boxes live on, and that is said; installed again, it has them', async () => {
  const { code, stderr } = await debian.run('dpkg', '-r', 'hutch-daemon');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^hutch-daemon: boxes that live on without a daemon: 1\./m);
  assert.deepEqual(await both('is-active'), ['inactive', 'inactive']);
  assert.equal(await living(), box);
  assert.match(await must('nft', 'list', 'tables'), /^table inet hutch$/m);

  await must('dpkg', '-i', '/packages/next.deb');
  await hutch('exec', 'web', '--', 'sh', '-c', 'echo over > /tmp/go');
  const attached = await debian.run('hutch', 'attach', 'web', run);
  assert.deepEqual([attached.code, attached.stdout], [7, 'begun\non\nover\n'], attached.stderr);
});

step('what the operator has disabled stays so', async () => {
  await must('systemctl', 'disable', '--now', 'hutchd.socket', 'hutchd.service');
  await must('dpkg', '-i', '/packages/next.deb');
  assert.deepEqual([await both('is-enabled'), await both('is-active')], [['disabled', 'disabled'], ['inactive', 'inactive']]);
});

step('where a hutchd runs that systemd has not started, a purge deletes nothing', async () => {
  await must('systemd-run', '--unit=by-hand', '--service-type=notify', '-p', 'KillMode=process', '/usr/bin/hutchd');
  const pid = await show('MainPID', 'by-hand.service');
  const { code, stderr } = await debian.run('dpkg', '--purge', 'hutch-daemon');
  assert.notEqual(code, 0);
  assert.match(stderr, new RegExp(`^hutch-daemon: hutchd still runs as process ${pid}, so nothing was deleted: end it`, 'm'));
  assert.match(await hutch('inspect', 'web'), /"name": *"web"/);
  await must('systemctl', 'stop', 'by-hand.service');
});

step('purged: boxes are ended first, and nothing is left of Hutch', async () => {
  assert.notEqual(await living(), '');
  const { code, stderr } = await debian.run('dpkg', '--purge', 'hutch-daemon');
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^hutch-daemon: ending boxes that live on: 1\nhutch-daemon: deleting \/var\/lib\/hutch: /m);
  await must('dpkg', '--purge', 'hutch-client');
  assert.equal(await must('nft', 'list', 'tables'), '');
  const left = await must('find', '/etc', '/run', '/usr', '/var', '/v1', '/sys/fs/cgroup', '-name', '*hutch*');
  assert.equal(left, '/run/hutch-uids', 'of all daemons of the host');
  assert.equal(await must('ls', '-A', '/run/hutch-uids'), '');
});

step('where no systemd runs, it is said what is to be done by hand', async () => {
  await must('mv', '/run/systemd/system', '/run/systemd/hidden');
  const { code, stderr } = await debian.run('dpkg', '-i', ours(daemon));
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^hutch-daemon: no systemd runs here: start hutchd by/m);
  await must('dpkg', '--purge', 'hutch-daemon');
  await must('mv', '/run/systemd/hidden', '/run/systemd/system');
});
