// `hutch cp` out of a box that is an enemy: what it brings is the box's word, its tar too, and who copies is root.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { complains, hutch, output } from './lib/command.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { directory, entry, file, hardLink, link, pax, tar } from './lib/tar.mjs';

needs();
const daemon = suite();
const run = (...args) => output(daemon, args);

/// Every file below `root`: its kind, mode and content.
function manifest(root) {
  const found = {};
  for (const name of fs.readdirSync(root, { recursive: true }).sort()) {
    const at = path.join(root, name);
    const { mode, size } = fs.lstatSync(at);
    const content = fs.lstatSync(at).isFile() ? crypto.createHash('sha256').update(fs.readFileSync(at)).digest('hex') : '';
    found[name] = [mode, size, content];
  }
  return found;
}

/// A directory to copy into, beside files of the host that must stay as they are.
function place() {
  const root = fs.mkdtempSync(path.join(daemon.directory, 'place-'));
  const [here, host] = [path.join(root, 'here'), path.join(root, 'host')];
  fs.mkdirSync(here);
  fs.mkdirSync(path.join(host, 'directory'), { recursive: true });
  fs.writeFileSync(path.join(host, 'canary'), `the host's ${crypto.randomUUID()}`, { mode: 0o666 });
  const before = manifest(host);
  return { here, host, canary: path.join(host, 'canary'), intact: (what) => assert.deepEqual(manifest(host), before, what) };
}

/// From now on each download of a directory is this archive.
async function sends(box, archive) {
  const encoding = 'base64';
  await daemon.json('POST', `${box.path}/files/write`, { path: '/tmp/archive', content: archive.toString(encoding), encoding });
  await box.sh('rm -f /bin/tar; printf "#!/bin/sh\\ncat /tmp/archive\\n" > /bin/tar; chmod 755 /bin/tar');
}

leakless(daemon, 'a link that one copy brought is not what the next one writes through', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here, host, canary, intact } = place();
  await box.sh(`mkdir d; ln -s ${host} d/out; ln -s ${canary} d/file`);
  await run('cp', 'web:d', here);
  assert.equal(fs.readlinkSync(`${here}/d/out`), host);
  await sends(box, tar(file('./out/planted', 'owned'), file('./out/canary', 'owned')));
  await complains(daemon, 1, /out\/planted/, ['cp', 'web:d', here]);
  intact('through the link of a directory');
  await sends(box, tar(directory('./'), directory('./out'), file('./out/planted', 'owned'), file('./file', 'owned')));
  await run('cp', 'web:d', here);
  intact('in its place');
  assert.equal(fs.readFileSync(`${here}/d/out/planted`, 'utf8'), 'owned');
  assert.equal(fs.readFileSync(`${here}/d/file`, 'utf8'), 'owned');
  assert.ok(fs.lstatSync(`${here}/d/file`).isFile());
});

leakless(daemon, 'a link in the place of what is copied is replaced', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here, host, canary, intact } = place();
  await box.sh('mkdir d; echo box > d/new; echo box > canary');
  fs.symlinkSync(host, `${here}/d`);
  fs.symlinkSync(canary, `${here}/canary`);
  fs.symlinkSync(canary, `${here}/alias`);
  fs.symlinkSync(`${host}/nowhere`, `${here}/dangling`);
  await run('cp', 'web:d', here);
  await run('cp', 'web:canary', here);
  await run('cp', 'web:canary', `${here}/alias`);
  await run('cp', 'web:canary', `${here}/dangling`);
  intact();
  for (const name of ['d/new', 'canary', 'alias', 'dangling']) assert.equal(fs.readFileSync(`${here}/${name}`, 'utf8'), 'box\n', name);
});

leakless(daemon, 'no archive reaches what is beside the directory', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  await box.sh('mkdir d');
  const up = '../'.repeat(40);
  const hostile = ({ host, canary }) => ({
    'an absolute name': tar(file(canary, 'owned')),
    'a name that goes up': tar(file('../../host/canary', 'owned')),
    'a name that goes far up': tar(file(`${up}${canary}`, 'owned')),
    'a name that goes down and up': tar(directory('./a'), file('./a/../../../host/canary', 'owned')),
    'a file through a link': tar(link('./out', host), file('./out/canary', 'owned')),
    'a file through a relative link': tar(link('./out', '../../host'), file('./out/canary', 'owned')),
    'a directory through a link': tar(link('./out', host), directory('./out/planted')),
    'a link through a link': tar(link('./out', host), link('./out/planted', '/etc/passwd')),
    'a name made by pax': tar(pax({ path: canary }), file('./x', 'owned')),
    'a size made by pax': tar(pax({ path: `${up}${canary}`, size: '5' }), file('./x', 'owned')),
    'a hard link to what is outside': tar(hardLink('./own', canary), file('./own', 'owned')),
    'a hard link up': tar(hardLink('./own', '../../host/canary'), file('./own', 'owned')),
    'a hard link through a link': tar(link('./out', host), hardLink('./own', './out/canary')),
    'a link that a hard link names': tar(link('./out', canary), hardLink('./own', './out'), file('./own', 'owned')),
    'a file in a link\'s place': tar(link('./own', canary), file('./own', 'owned')),
    'the root as a link': tar(link('./', host), file('./canary', 'owned')),
    'a long name of GNU\'s': tar(entry('././@LongLink', { type: 'L', content: `${up}${canary}\0` }), file('./x', 'owned')),
    'a target of GNU\'s': tar(entry('././@LongLink', { type: 'K', content: `${host}\0` }), link('./out', 'x'), file('./out/canary', 'owned')),
    'no archive': Buffer.from('x'.repeat(2000)),
    'half an entry': file('./x', 'y'.repeat(5000)).subarray(0, 2000),
  });
  for (const name of Object.keys(hostile(place()))) {
    const { here, host, canary, intact } = place();
    await sends(box, hostile({ host, canary })[name]);
    for (let i = 0; i < 2; ++i) {
      const { code, stderr } = await hutch(daemon, ['cp', 'web:d', here]);
      assert.ok(code === 0 || (code === 1 && /^hutch: [^\n]+\n$/.test(stderr)), `${name}: ${code} ${stderr}`);
      intact(name);
    }
    assert.deepEqual(fs.readdirSync(path.dirname(here)).sort(), ['here', 'host'], name);
  }
});

leakless(daemon, 'devices and FIFOs are left out and said, and the rest is copied', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here } = place();
  await box.sh('mkdir d');
  const devices = [entry('./disk', { type: '4' }), entry('./null', { type: '3' }), entry('./pipe', { type: '6' })];
  await sends(box, tar(directory('./'), ...devices, hardLink('./again', './pipe'), file('./after', 'x')));
  await complains(daemon, 1, /4 entries are not: "\.\/disk" is a device/, ['cp', 'web:d', here]);
  assert.deepEqual(fs.readdirSync(`${here}/d`), ['after']);
});

leakless(daemon, 'a directory here is not lost to a file of the box', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here } = place();
  await box.sh('mkdir d; echo x > d/notes; echo x > d/other');
  fs.mkdirSync(`${here}/d/notes`, { recursive: true });
  fs.writeFileSync(`${here}/d/notes/mine`, 'mine');
  await complains(daemon, 1, /"\.\/notes" is a directory here/, ['cp', 'web:d', here]);
  assert.deepEqual([fs.readFileSync(`${here}/d/notes/mine`, 'utf8'), fs.readFileSync(`${here}/d/other`, 'utf8')], ['mine', 'x\n']);
  await complains(daemon, 1, /notes is a directory here/, ['cp', 'web:d/notes', `${here}/d`]);
  fs.writeFileSync(`${here}/plain`, 'mine');
  await complains(daemon, 1, /plain is a file here/, ['cp', 'web:d', `${here}/plain`]);
  assert.equal(fs.readFileSync(`${here}/plain`, 'utf8'), 'mine');
});

leakless(daemon, 'modes, times and hard links are kept; owners, set-uid bits and what the umask takes are not', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here } = place();
  await box.sh(`mkdir -p d/shut; echo x > d/tool; ln d/tool d/same; echo y > d/shut/in; echo z > d/open
    chown 1000:1000 d/tool; chmod 6755 d/tool; chmod 1777 d/open; chmod 500 d/shut
    touch -d @1000000000 d/tool d/shut`);
  await run('cp', 'web:d', here);
  const of = (name) => fs.statSync(`${here}/d/${name}`);
  assert.deepEqual(['tool', 'open', 'shut', 'shut/in'].map((name) => (of(name).mode & 0o7777).toString(8)),
    ['755', '755', '500', '644']);
  assert.deepEqual([of('tool').uid, of('tool').gid, of('tool').mtimeMs, of('shut').mtimeMs], [0, 0, 1e12, 1e12]);
  assert.equal(of('tool').ino, of('same').ino);
});

leakless(daemon, 'a copy into a box takes no file of the host by a link', async () => {
  const box = await daemon.box({ name: 'web' });
  const { here, host, canary } = place();
  fs.symlinkSync(canary, `${here}/file`);
  fs.symlinkSync(host, `${here}/directory`);
  fs.writeFileSync(`${here}/own`, 'own');
  await output(daemon, ['cp', here, 'web:']);
  assert.equal(await box.sh('find here -type f; readlink here/file; readlink here/directory'), `here/own\n${canary}\n${host}`);
});

leakless(daemon, 'an archive that the box breaks off is no success', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here } = place();
  await box.sh('mkdir d');
  await sends(box, tar(directory('./'), file('./x', 'whole')));
  await box.sh('printf "exit 1\\n" >> /bin/tar');
  await complains(daemon, 1, /broke off/, ['cp', 'web:d', here]);
});

leakless(daemon, 'what a box calls its files does not steer the terminal', async () => {
  const box = await daemon.rootBox({ name: 'web' });
  const { here } = place();
  await box.sh('mkdir d');
  await sends(box, tar(directory('./'), entry('./\u001b]0;owned\u0007\u009b2J', { type: '6' })));
  const { stderr } = await hutch(daemon, ['cp', 'web:d', here]);
  assert.match(stderr, /owned/);
  assert.doesNotMatch(stderr.trimEnd(), /[\u0000-\u001f\u007f-\u009f]/);
});
