// What the official npm client sends and reads, against a hutchd on TCP: files.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import { calls, refuses, sdk } from './client.mjs';

const { Box } = sdk;
const kAllBytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));

// The client downloads into the directory it runs in.
const home = process.cwd();
let work;
before(() => {
  work = fs.mkdtempSync('/var/tmp/hutch-sdk-');
  process.chdir(work);
});
after(() => {
  process.chdir(home);
  fs.rmSync(work, { recursive: true });
});

calls('text is read as it was written', async () => {
  const box = await Box.create();
  const content = 'ä€😀 "quoted" \\ \n\ttab\r\n';
  await box.files.write({ path: 'notes/today.txt', content });
  assert.equal(await box.files.read('notes/today.txt'), content);
  assert.equal((await box.exec.command('cat notes/today.txt')).stdout, content);
  await box.files.write({ path: 'notes/today.txt', content: '' });
  assert.equal(await box.files.read('notes/today.txt'), '');
});

calls('bytes go both ways as base64', async () => {
  const box = await Box.create();
  const content = kAllBytes.toString('base64');
  await box.files.write({ path: 'bytes', content, encoding: 'base64' });
  assert.equal(await box.files.read('bytes', { encoding: 'base64' }), content);
  assert.equal((await box.exec.command('wc -c < bytes')).stdout.trim(), '1024');
});

calls('paths follow cd', async () => {
  const box = await Box.create();
  await box.exec.command('mkdir src');
  await box.cd('src');
  await box.files.write({ path: 'main.c', content: 'int main;' });
  assert.equal((await box.exec.command('cat /workspace/home/src/main.c')).stdout, 'int main;');
  assert.deepEqual((await box.files.list()).map((file) => file.name), ['main.c']);
  await box.cd('/tmp');
  await box.files.write({ path: 'here', content: 'x' });
  assert.deepEqual((await box.files.list()).map((file) => file.path), ['/tmp/here']);
});

calls('a list tells names, paths, sizes, kinds and times', async () => {
  const box = await Box.create();
  assert.deepEqual(await box.files.list(), []);
  await box.exec.command('mkdir -p d/sub; printf 12345 > d/file; touch -d "2001-02-03 04:05:06" d/file');
  const [file, sub] = await box.files.list('d');
  assert.deepEqual(file, { name: 'file', path: '/workspace/home/d/file', size: 5, is_dir: false, mod_time: '2001-02-03T04:05:06Z', type: 'file', target: null });
  assert.deepEqual([sub.name, sub.path, sub.is_dir], ['sub', '/workspace/home/d/sub', true]);
});

calls('uploads arrive byte for byte, each at its own place', async () => {
  const box = await Box.create();
  const large = crypto.randomBytes(5 * 1024 * 1024);
  const contents = { 'all bytes.bin': kAllBytes, empty: Buffer.alloc(0), 'deep/ünïcode "x".bin': large };
  const files = Object.entries(contents).map(([destination, content], i) => {
    fs.writeFileSync(`local-${i}`, content);
    return { path: `local-${i}`, destination };
  });
  await box.files.upload(files);
  for (const [name, content] of Object.entries(contents)) {
    const sum = crypto.createHash('sha256').update(content).digest('hex');
    const { stdout } = await box.exec.command(`sha256sum < '${name}'; stat -c %U '${name}'`);
    assert.equal(stdout, `${sum}  -\nboxuser\n`, name);
  }
});

calls('a directory\'s files are downloaded byte for byte', async () => {
  const box = await Box.create();
  const large = crypto.randomBytes(5 * 1024 * 1024);
  fs.writeFileSync('large', large);
  await box.files.upload([{ path: 'large', destination: 'out/large' }]);
  await box.files.write({ path: 'out/all bytes', content: kAllBytes.toString('base64'), encoding: 'base64' });
  await box.exec.command('touch out/empty; mkdir out/left-out');
  await box.files.download({ folder: 'out' });
  assert.deepEqual(fs.readdirSync('out').sort(), ['all bytes', 'empty', 'large']);
  assert.ok(fs.readFileSync('out/large').equals(large));
  assert.ok(fs.readFileSync('out/all bytes').equals(kAllBytes));
  assert.equal(fs.statSync('out/empty').size, 0);
});

calls('the work directory is downloaded when no folder is named', async () => {
  const box = await Box.create();
  await box.files.write({ path: 'top', content: 'top' });
  await box.files.download();
  assert.equal(fs.readFileSync(path.join('workspace', 'top'), 'utf8'), 'top');
});

calls('what cannot be read or written is an error that names it', async () => {
  const box = await Box.create();
  await refuses(404, /^path: "/, () => box.files.read('missing'));
  await refuses(404, /^folder: "/, () => box.files.list('missing'));
  await refuses(404, /^folder: "/, () => box.files.download({ folder: 'missing' }));
  await refuses(400, /^path: "/, () => box.files.read('/etc'));
  await refuses(400, /^folder: "/, () => box.files.list('/etc/passwd'));
  await refuses(400, /^path: "/, () => box.files.write({ path: '/etc', content: 'x' }));
  await refuses(400, /^path: "/, () => box.files.write({ path: '/proc/sys/kernel/hostname', content: 'x' }));
  await refuses(400, /^content: /, () => box.files.write({ path: 'x', content: 'not base64!', encoding: 'base64' }));
});
