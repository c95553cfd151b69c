// The configuration of hutchd: what is refused and how that is said. No daemon is started by it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { after, test } from 'node:test';
import { Certificate } from './lib/certificate.mjs';
import { needs } from './lib/suite.mjs';

needs('openssl');
const directory = fs.mkdtempSync('/var/tmp/hutch-config-');
after(() => fs.rmSync(directory, { recursive: true }));
const file = `${directory}/hutchd.toml`;

/// With a configuration of this text: exit status, what it prints, and what it complains of.
function hutchd(text, ...args) {
  fs.writeFileSync(file, text, { mode: 0o600 });
  const { status, stdout, stderr } = spawnSync(process.env.HUTCHD, [...args, '--config', file], { encoding: 'utf8', timeout: 20_000 });
  return { status, stdout, stderr };
}

test('a start, doctor and check-config refuse a file with a mistake, by its line', () => {
  for (const args of [[], ['doctor'], ['check-config']]) {
    const { status, stderr } = hutchd('# mine\n\nlisen = "x"\n', ...args);
    assert.equal(status, 1);
    assert.equal(stderr, `hutchd: ${file}:3: unknown option 'lisen'; did you mean 'listen'?\n`);
  }
});

test('every mistake is told at once', () => {
  const { status, stderr } = hutchd('pool = 300\nlisten = ""\n[tls]\n', 'check-config', '--workers=0');
  assert.equal(status, 1);
  assert.deepEqual(stderr.trim().split('\n').map((line) => line.replace(/^hutchd: (\S+\.toml:)?/, '').split(' must')[0]),
    ['--workers:', '3: there are no tables here; every line is OPTION = VALUE', '1: pool', '2: listen']);
});

test('a wrong value on the command line is told with its option', () => {
  const { status, stderr } = hutchd('', '--pool', 'many');
  assert.deepEqual([status, stderr], [1, "hutchd: --pool: must be a whole number from 0 to 256, not 'many'\n"]);
});

test('check-config prints what is in force and where it comes from, and what it prints may be used', () => {
  const { status, stdout, stderr } = hutchd('pool = 3\n', 'check-config', '--workers', '5');
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(stdout, /^workers = 5 {2}# command line$/m);
  assert.match(stdout, new RegExp(`^pool = 3 {2}# ${file}:1$`, 'm'));
  assert.match(stdout, /^max_boxes = \d+ {2}# default$/m);
  const again = hutchd(stdout, 'check-config');
  assert.deepEqual([again.status, again.stderr], [0, '']);
  const values = (text) => text.replaceAll(/ {2}# .*/g, '');
  assert.equal(values(again.stdout), values(stdout));
});

test('check-config reads the files that the configuration names, and prints none', () => {
  const secret = 'a-key-of-more-than-16-characters';
  const keys = `${directory}/keys`;
  const complaint = (text) => hutchd(text, 'check-config').stderr;
  for (const option of ['api_key_file', 'anthropic_key_file']) {
    fs.writeFileSync(keys, `${secret}\n`, { mode: 0o600 });
    const fine = hutchd(`${option} = "${keys}"`, 'check-config');
    assert.deepEqual([fine.status, fine.stderr], [0, '']);
    assert.ok(fine.stdout.includes(`${option} = "${keys}"`));
    assert.ok(!fine.stdout.includes(secret));
    fs.chmodSync(keys, 0o640);
    assert.equal(complaint(`${option} = "${keys}"`), `hutchd: ${option}: ${keys} is open to others; chmod 600 it\n`);
    fs.rmSync(keys);
    assert.match(complaint(`${option} = "${keys}"`), new RegExp(`^hutchd: ${option}: opening ${keys}: No such file`));
  }
  const { certificate, key } = new Certificate(directory);
  const tls = `tls_certificate = "${certificate}"\ntls_key = "${key}"\n`;
  assert.match(complaint(tls), /listen: is required beside tls_certificate/);
  assert.equal(complaint(`${tls}listen = "127.0.0.1:8443"`), '');
  fs.writeFileSync(key, 'no key');
  assert.match(complaint(`${tls}listen = "127.0.0.1:8443"`), /tls_key: .* holds no key/);
  assert.match(complaint('socket_group = "no-such-group"'), /socket_group: there is no group 'no-such-group'/);
});

test('a configuration that others may write is refused', () => {
  fs.writeFileSync(file, '', { mode: 0o600 });
  fs.chmodSync(file, 0o666);
  const { status, stderr } = spawnSync(process.env.HUTCHD, ['check-config', '--config', file], { encoding: 'utf8' });
  assert.deepEqual([status, stderr], [1, `hutchd: the configuration: ${file} may be written by others; chmod go-w it\n`]);
  fs.chmodSync(file, 0o600);
});

test('the example file is what example-config prints', () => {
  const { stdout } = spawnSync(process.env.HUTCHD, ['example-config'], { encoding: 'utf8' });
  assert.equal(stdout, fs.readFileSync(new URL('../../systemd/hutchd.toml.example', import.meta.url), 'utf8'));
  assert.equal(hutchd(stdout, 'check-config').status, 0);
});
