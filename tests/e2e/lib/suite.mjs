// How a test file begins: what it needs of the host, its daemon, and tests that must leave nothing behind.

import fs from 'node:fs';
import { after, before, test } from 'node:test';
import { Daemon } from './daemon.mjs';

const kSkipped = 77; // SKIP_RETURN_CODE in CMakeLists.txt

/// Ends the file with a reason.
export function skip(reason) {
  console.log(`skipped: ${reason}`);
  process.exit(kSkipped);
}

/// Skips the file if this host cannot run it.
export function needs(...programs) {
  let missing = null;
  if (process.getuid() !== 0) missing = 'needs root';
  for (const variable of ['HUTCHD', 'HUTCH']) {
    if (!fs.existsSync(process.env[variable] ?? '')) missing = `needs ${variable}, the path of the program`;
  }
  const found = (program) => process.env.PATH.split(':').some((directory) => fs.existsSync(`${directory}/${program}`));
  for (const program of ['busybox', 'ip', 'nft', 'tar', ...programs]) {
    if (!found(program)) missing = `needs ${program}`;
  }
  if (missing !== null) skip(missing);
}

/// A daemon for all tests of the file.
export function suite(options) {
  const daemon = new Daemon(options);
  before(() => daemon.open(), { timeout: 120_000 });
  after(() => daemon.close(), { timeout: 60_000 });
  return daemon;
}

/// A test after which the host must hold what it held before it. `options`: of node:test, may be left out.
export function leakless(daemon, name, ...rest) {
  const [run, options] = rest.reverse();
  test(name, { timeout: 120_000, ...options }, async (context) => {
    try {
      await run(context);
    } finally {
      await daemon.assertAlive();
      await daemon.removeAll();
    }
    await daemon.assertNoLeak();
  });
}
