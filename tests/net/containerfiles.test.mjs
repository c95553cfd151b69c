// Containerfiles as people write them are built, and what they make runs: see containerfiles/README.md.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { debianArchive, noMirror } from '../e2e/lib/debian.mjs';
import { hutch, output } from '../e2e/lib/command.mjs';
import { leakless, needs, skip, suite } from '../e2e/lib/suite.mjs';

needs('mmdebstrap', 'apt-get');
const missing = noMirror();
if (missing !== null) skip(missing);
const daemon = suite({ import: { debian: debianArchive(process.env.HUTCH_CACHE) } });

const kDirectory = path.join(path.dirname(new URL(import.meta.url).pathname), 'containerfiles');
const only = process.env.HUTCH_CONTAINERFILES?.split(',');

for (const name of fs.readdirSync(kDirectory).filter((one) => one !== 'README.md' && (only?.includes(one) ?? true))) {
  const root = path.join(kDirectory, name);
  const text = fs.readFileSync(path.join(root, 'Containerfile'), 'utf8');
  const line = (what) => text.match(new RegExp(`^# ${what}: (.*)$`, 'm'))[1];
  leakless(daemon, name, { timeout: 900_000 }, async () => {
    const { code, stderr } = await hutch(daemon, ['image', 'build', '-t', name, root]);
    assert.equal(code, 0, stderr);
    const check = line('check');
    // Of an image without a shell the check is its program alone.
    const words = /^\/\w+$/.test(check) ? [check] : ['sh', '-c', check];
    assert.match(await output(daemon, ['run', '--rm', '-u', 'root', name, '--', ...words]), new RegExp(line('says')));
    await output(daemon, ['image', 'prune']);
    await output(daemon, ['image', 'rm', name]);
    await daemon.ask('DELETE', '/v2/images/scratch');
  });
}
