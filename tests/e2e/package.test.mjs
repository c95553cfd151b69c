// The Debian packages: what they hold.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { packages } from './lib/package.mjs';
import { needs } from './lib/suite.mjs';

needs('dpkg-deb', 'dpkg-shlibdeps', 'python3');

const kRoot = new URL('../../', import.meta.url);
const directory = fs.mkdtempSync('/var/tmp/hutch-package-');
const fileIn = (name) => fs.readFileSync(new URL(name, kRoot), 'utf8');
const run = (program, ...args) => execFileSync(program, args, { encoding: 'utf8', maxBuffer: 64 << 20, env: { ...process.env, LC_ALL: 'C.UTF-8' } });
let client;
let daemon;
let ssh;

/// A package, unpacked: its files, and its control files in DEBIAN.
function unpacked(file) {
  const root = path.join(directory, path.basename(file, '.deb'));
  run('dpkg-deb', '-R', file, root);
  const fields = Object.fromEntries(run('dpkg-deb', '-f', file).split(/\n(?! )/).map((line) => line.split(/: (.*)/s)));
  const files = run('find', root, '-type', 'f', '-printf', '/%P\n').trim().split('\n').filter((name) => !name.startsWith('/DEBIAN/')).sort();
  return { file, root, fields, files, text: (name) => fs.readFileSync(path.join(root, name), 'utf8') };
}

before(() => {
  const made = packages();
  assert.deepEqual(made.map((file) => path.basename(file).split('_')[0]), ['hutch-client', 'hutch-daemon', 'hutch-ssh']);
  [client, daemon, ssh] = made.map(unpacked);
}, { timeout: 60_000 });

after(() => fs.rmSync(directory, { recursive: true, force: true }));

const docs = (name) => ['changelog.Debian.gz', 'changelog.gz', 'copyright'].map((file) => `/usr/share/doc/${name}/${file}`);

test('the client: the command, its completion, the recipes, its manual', () => {
  const recipes = fs.readdirSync(new URL('scripts/images', kRoot)).map((name) => `/usr/share/hutch/images/${name}`);
  assert.deepEqual(client.files, ['/usr/bin/hutch', '/usr/share/bash-completion/completions/hutch', ...docs('hutch-client'), '/usr/share/fish/vendor_completions.d/hutch.fish',
    ...recipes, '/usr/share/man/man1/hutch.1.gz', '/usr/share/zsh/vendor-completions/_hutch'].sort());
  for (const recipe of recipes) assert.equal(client.text(recipe), fileIn(`scripts/images/${path.basename(recipe)}`));
  for (const [file, shell] of [['bash-completion/completions/hutch', 'bash'], ['zsh/vendor-completions/_hutch', 'zsh'], ['fish/vendor_completions.d/hutch.fish', 'fish']]) {
    assert.equal(client.text(`usr/share/${file}`), run(process.env.HUTCH, 'completion', shell));
  }
  assert.match(client.fields.Depends, /\blibssl3\b/);
  assert.match(client.fields.Recommends, /\bmmdebstrap\b/);
});

test('the daemon: its program, its units, its configuration, its manual', () => {
  assert.deepEqual(daemon.files, ['/etc/hutch/hutchd.toml', '/usr/bin/hutchd', '/usr/lib/systemd/system/hutchd.service', '/usr/lib/systemd/system/hutchd.socket',
    ...docs('hutch-daemon'), '/usr/share/man/man5/hutchd.toml.5.gz', '/usr/share/man/man8/hutchd.8.gz'].sort());
  assert.equal(daemon.text('usr/lib/systemd/system/hutchd.service'), fileIn('systemd/hutchd.service.in').replace('@CMAKE_INSTALL_FULL_BINDIR@', '/usr/bin'));
  assert.equal(daemon.text('usr/lib/systemd/system/hutchd.socket'), fileIn('systemd/hutchd.socket'));
  assert.equal(daemon.text('etc/hutch/hutchd.toml'), fileIn('systemd/hutchd.toml.example'));
  assert.equal(daemon.text('DEBIAN/conffiles'), '/etc/hutch/hutchd.toml\n');
  for (const library of ['libarchive13', 'libcurl4', 'libnl-3-200', 'libsqlite3-0', 'nftables']) assert.match(daemon.fields.Depends, new RegExp(`\\b${library}\\b`));
  assert.match(daemon.fields.Recommends, /\bbtrfs-progs\b/);
});

test('SSH: its program, its unit, its manual', () => {
  assert.deepEqual(ssh.files, ['/usr/bin/hutch-ssh', '/usr/lib/systemd/system/hutch-ssh.service', ...docs('hutch-ssh'), '/usr/share/man/man8/hutch-ssh.8.gz'].sort());
  assert.equal(ssh.text('usr/lib/systemd/system/hutch-ssh.service'), fileIn('systemd/hutch-ssh.service.in').replace('@CMAKE_INSTALL_FULL_BINDIR@', '/usr/bin'));
  assert.match(ssh.fields.Depends, /\blibssh-4\b/);
  const page = manual(ssh, 8, 'hutch-ssh');
  const help = run(process.env.HUTCH_SSH, '--help');
  const options = help.match(/^  --.*\n(?:   .*\n)*/gm).map((option) => words(option).trim());
  assert.ok(options.length >= 5);
  for (const option of options) assert.ok(page.includes(option), option);
});

test('all is of root, and nothing may be written by others', () => {
  for (const { file } of [client, daemon, ssh]) {
    for (const line of run('dpkg-deb', '-c', file).trim().split('\n')) assert.match(line, /^[-d]r[w-][x-]r-[x-]r-[x-] root\/root /);
  }
});

/// Its words, without what troff and the columns of help add.
const words = (text) => text.replaceAll(/\\f[BR]/g, '').replaceAll(/\\\((aq|ga|dq|ti|ha)/g, (_, name) => ({ aq: "'", ga: '`', dq: '"', ti: '~', ha: '^' })[name])
  .replaceAll('\\-', '-').replaceAll(/^\\&/gm, '').replaceAll('\\e', '\\').replaceAll(/\s+/g, ' ');
const manual = (its, section, name) => words(run('zcat', path.join(its.root, `usr/share/man/man${section}/${name}.${section}.gz`)).replaceAll(/^\.(TP|PP|EX|EE)\n/gm, ''));

/// Commands that are listed together.
const kCommands = /^(?!Options|Arguments|Example)[A-Z][a-z ]+:\n(?:  .*\n)+/gm;

/// The help of a command and of those below it, each as its own words.
function* helps(command) {
  const text = run(process.env.HUTCH, 'help', ...command);
  yield [command, text];
  for (const [list] of text.matchAll(kCommands)) {
    for (const [, name] of list.matchAll(/^  (\S+)/gm)) yield* helps([...command, name]);
  }
}

test('the manual of hutch says all that its help says', () => {
  const page = manual(client, 1, 'hutch');
  let said = 0;
  for (const [command, text] of helps([])) {
    const lines = text.replace(kCommands, '').replace(/^(Options|Arguments|Examples?):\n/gm, '').replace(/^  -h,--help .*\n/m, '').replace('Usage: ', '');
    for (const block of lines.split(/\n(?=  \S)|\n\n/).map((each) => words(each).trim()).filter(Boolean)) {
      assert.ok(page.includes(block), `hutch help ${command.join(' ')}: not in the manual: ${block}`);
      ++said;
    }
  }
  assert.ok(said > 300, `${said} pieces`);
});

test('the manuals of hutchd say all that its help and its example say', () => {
  const page = manual(daemon, 8, 'hutchd');
  const help = run(process.env.HUTCHD, '--help');
  const options = [...help.matchAll(/^  (--.*\n(?:      .*\n)+)/gm)].map(([, option]) => words(option).trim());
  assert.ok(options.length > 30);
  for (const piece of [...options, ...help.match(/ hutchd .*/g).map((line) => words(line).trim())]) assert.ok(page.includes(piece), piece);
  const config = manual(daemon, 5, 'hutchd.toml');
  for (const block of run(process.env.HUTCHD, 'example-config').trim().split('\n\n')) {
    for (const piece of block.split('\n').map((line) => words(line.replace(/^# ?/, '')).trim())) assert.ok(config.includes(piece), piece);
  }
});

test('the manuals are pages that man lays out without a complaint', { skip: spawnSync('man', ['--version']).status === 0 ? false : 'needs man' }, () => {
  for (const [its, page] of [[client, 'man1/hutch.1'], [daemon, 'man8/hutchd.8'], [daemon, 'man5/hutchd.toml.5'], [ssh, 'man8/hutch-ssh.8']]) {
    const { status, stdout, stderr } = spawnSync('man', ['--warnings=w', '-l', path.join(its.root, `usr/share/man/${page}.gz`)], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '100' } });
    assert.deepEqual([status, stderr], [0, ''], page);
    assert.match(stdout, /^NAME$/m);
  }
});

test('lintian finds no error', { skip: spawnSync('lintian', ['--version']).status === 0 ? false : 'needs lintian' }, () => {
  // Who packs it says by DEBEMAIL who that is.
  const { stdout } = spawnSync('lintian', ['--suppress-tags', 'bogus-mail-host,bogus-mail-host-in-debian-changelog,root-in-contact', client.file, daemon.file, ssh.file], { encoding: 'utf8' });
  assert.doesNotMatch(stdout, /^E:/m);
});
