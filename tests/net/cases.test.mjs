// tests/cases against a daemon of their own: what people do in boxes of the images that come with Hutch.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { hutch } from '../e2e/lib/command.mjs';
import { debianArchive, debianEnv, noMirror } from '../e2e/lib/debian.mjs';
import { leakless, needs, skip, suite } from '../e2e/lib/suite.mjs';

needs('mmdebstrap', 'apt-get');
const missing = noMirror();
if (missing !== null) skip(missing);
const daemon = suite();
const kRoot = path.join(path.dirname(new URL(import.meta.url).pathname), '../..');
const kCases = fs.readdirSync(path.join(kRoot, 'tests/cases')).map((file) => file.split('.')[0]);

leakless(daemon, 'the images are made, the one that others stand on first', { timeout: 900_000 }, async () => {
  await daemon.import('debian', debianArchive(process.env.HUTCH_CACHE), `?env=${encodeURIComponent(debianEnv())}`);
  const build = await hutch(daemon, ['image', 'build', 'agents']);
  assert.equal(build.code, 0, build.stderr);
  assert.match(build.stderr, /image node comes first/);
  daemon.baseline = await daemon.census();
});

for (const name of kCases) {
  leakless(daemon, name, { timeout: 600_000 }, async () => {
    const env = { ...process.env, HUTCH_HOST: `unix://${daemon.socket}` };
    const run = spawn(path.join(kRoot, 'scripts/cases'), [name], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    run.stdout.on('data', (text) => { said += text; });
    const [code] = await once(run, 'close');
    assert.equal(code, 0, said);
  });
}
