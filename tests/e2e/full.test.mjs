// What a daemon does on a disk that is full.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';
import { leakless, needs, suite } from './lib/suite.mjs';

needs('mkfs.ext4', 'mount', 'umount');
const disk = fs.mkdtempSync('/var/tmp/hutch-disk-');
const [image, mounted] = [path.join(disk, 'image'), path.join(disk, 'mounted')];
fs.mkdirSync(mounted);
execFileSync('truncate', ['-s', '64M', image]);
execFileSync('mkfs.ext4', ['-q', '-m', '0', image]);
execFileSync('mount', ['-o', 'loop', image, mounted]);
const daemon = suite({ state: path.join(mounted, 'state') });
after(() => {
  execFileSync('umount', ['-l', mounted]);
  fs.rmSync(disk, { recursive: true });
});

/// Until nothing more goes in, to the last byte.
function fill(file) {
  const out = fs.openSync(file, 'w');
  try {
    for (let size = 1 << 20; size >= 1; size >>= 1) {
      try {
        for (;;) fs.writeSync(out, Buffer.alloc(size));
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
      }
    }
  } finally {
    fs.closeSync(out);
  }
}

function formOf(name, content) {
  const form = new FormData();
  form.append('paths', name);
  form.append('files', new Blob([content]), 'file');
  return form;
}

leakless(daemon, 'on a full disk a box is refused, and one that is there can be deleted', async () => {
  const box = await daemon.box();
  const filler = path.join(mounted, 'filler');
  fill(filler);
  let made = await daemon.ask('POST', '/v2/box', { body: {} });
  while (made.status === 201) made = await daemon.ask('POST', '/v2/box', { body: {} }); // there was room for it
  assert.equal(made.status, 507, made.text);
  await box.remove();
  await daemon.refuses(404, /no box/, 'GET', box.path);
  fs.rmSync(filler);
});

leakless(daemon, 'a detached run that cannot be recorded is refused, an attached one goes', async () => {
  const box = await daemon.box();
  const filler = path.join(mounted, 'filler');
  fill(filler);
  const body = { command: ['sh', '-c', 'touch /tmp/begun; sleep 1000'], detach: true };
  let answer = await daemon.ask('POST', `${box.path}/exec`, { body });
  const begun = [];
  while (answer.status === 202) { // what the database has room for in its own files
    begun.push(answer.json.run_id);
    answer = await daemon.ask('POST', `${box.path}/exec`, { body });
  }
  assert.equal(answer.status, 507, answer.text);
  assert.equal(await box.sh('echo attached'), 'attached');
  const { runs } = await daemon.json('GET', `${box.path}/runs`);
  for (const id of begun) assert.ok(runs.some((run) => run.id === id), 'it was acknowledged, and is not on record');
  fs.rmSync(filler);
  assert.equal((await daemon.ask('POST', `${box.path}/exec`, { body })).status, 202);
});

leakless(daemon, 'a file that cannot be replaced for want of room stays whole', async () => {
  const box = await daemon.box();
  const old = 'old '.repeat(1000);
  await box.write('kept', old);
  const filler = path.join(mounted, 'filler');
  fill(filler);
  await daemon.refuses(507, /^path: "kept"/, 'POST', `${box.path}/files/write`, { body: { path: 'kept', content: 'new '.repeat(1_000_000) } });
  const form = new Request('http://x', { method: 'POST', body: formOf('kept', 'new '.repeat(1_000_000)) });
  const headers = { 'content-type': form.headers.get('content-type') };
  await daemon.refuses(507, /^path: "kept"/, 'POST', `${box.path}/files/upload`, { body: Buffer.from(await form.arrayBuffer()), headers });
  assert.equal(await box.read('kept'), old);
  assert.deepEqual((await daemon.json('GET', `${box.path}/files/list`)).files.map(({ name }) => name), ['kept']);
  fs.rmSync(filler);
  await box.write('kept', 'new');
  assert.equal(await box.read('kept'), 'new');
});
