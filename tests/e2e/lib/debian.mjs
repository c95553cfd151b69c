// The debian image's archive, made from packages once and kept: minutes are too long for every run of a test.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const kRecipe = path.join(path.dirname(new URL(import.meta.url).pathname), '../../../scripts/images/debian');
const kFreshMs = 7 * 24 * 3600 * 1000; // the packages of an older one may have gone from the mirrors

/// Why the packages cannot be had now; nothing if they can.
export function noMirror() {
  const update = spawnSync('apt-get', ['update', '-o', 'Acquire::Retries=0', '-o', 'APT::Update::Error-Mode=any'], { encoding: 'utf8' });
  return update.status === 0 ? null : `no package mirror: ${(update.stderr || String(update.error)).trim().split('\n')[0]}`;
}

/// The image's variables, as its recipe says them: NAME=VALUE, one a line.
export function debianEnv() {
  return [...fs.readFileSync(kRecipe, 'utf8').matchAll(/^# env: (.*)$/gm)].map(([, variable]) => variable).join('\n');
}

/// The path of the archive in `directory`, or null: it is not there, is old, or the recipe is newer.
export function debianCache(directory) {
  const archive = path.join(directory, 'debian.tar');
  const made = fs.existsSync(archive) ? fs.statSync(archive).mtimeMs : 0;
  return made > fs.statSync(kRecipe).mtimeMs && Date.now() - made < kFreshMs ? archive : null;
}

/// The same, made if there is none.
export function debianArchive(directory) {
  const kept = debianCache(directory);
  if (kept !== null) return kept;
  const archive = path.join(directory, 'debian.tar');
  fs.mkdirSync(directory, { recursive: true });
  const partial = fs.openSync(`${archive}.partial`, 'w');
  const { status } = spawnSync(kRecipe, [], { stdio: ['ignore', partial, 'inherit'] });
  fs.closeSync(partial);
  if (status !== 0) throw new Error(`scripts/images/debian ended with ${status}`);
  fs.renameSync(`${archive}.partial`, archive);
  return archive;
}
