// The main job: a Debian source package fetched, built and tested in a box, and what came out used on this host.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { debianArchive, noMirror } from '../e2e/lib/debian.mjs';
import { leakless, needs, skip, suite } from '../e2e/lib/suite.mjs';

needs('cc', 'mmdebstrap', 'apt-get');
const missing = noMirror();
if (missing !== null) skip(missing);
const archive = debianArchive(process.env.HUTCH_CACHE);
const daemon = suite({ import: { debian: archive } });
const kScript = path.join(path.dirname(new URL(import.meta.url).pathname), '../../scripts/main-job');

leakless(daemon, 'a source package is built and tested in a box, and its library works here', { timeout: 600_000 }, async () => {
  await daemon.box({ name: 'job', runtime: 'debian' });
  const env = { ...process.env, HUTCH_HOST: `unix://${daemon.socket}` };
  const job = spawn(kScript, ['job'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  let live = false;
  job.stdout.on('data', (piece) => {
    output += piece;
    live ||= output.includes('== 4/6') && !output.includes('== 6/6'); // it arrives while the job still runs
    process.stdout.write(piece);
  });
  const [code] = await once(job, 'close');
  assert.equal(code, 0);
  assert.ok(live, 'the output came only at the end');
  assert.match(output, /\*\*\* zlib test OK \*\*\*/);
  assert.match(output, /CRC-32 of 123456789 is cbf43926/);
});
