// The Debian packages of what is built.

import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const kRoot = fileURLToPath(new URL('../../../', import.meta.url));

/// Makes them; the paths of hutch-client, hutch-daemon and hutch-ssh.
export function packages() {
  const build = path.join(path.dirname(process.env.HUTCHD), '..');
  const said = execFileSync(path.join(kRoot, 'scripts/package'), ['--build', build], { encoding: 'utf8' });
  return said.trim().split('\n').map((file) => path.resolve(kRoot, file));
}
