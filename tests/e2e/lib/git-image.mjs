// The base image with this host's git in it, and its node where that is asked for.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { baseImage } from './image.mjs';

const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8' });
export const gitCore = () => run('git', '--exec-path').trim();

/// Makes the archive in `directory` and tells its path. `also`: more programs of this host.
export function gitImage(directory, { node = false, also = [] } = {}) {
  const root = path.join(directory, 'git-root');
  fs.mkdirSync(root);
  run('tar', '-C', root, '-xf', baseImage(directory));
  const put = (file) => {
    fs.mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    fs.copyFileSync(file, path.join(root, file));
  };
  const programs = ['/usr/bin/git', `${gitCore()}/git-remote-http`, ...also];
  const libraries = programs.flatMap((program) => run('ldd', program).match(/\/\S+/g).filter((file) => file !== `${program}:`));
  for (const file of new Set([...programs, ...libraries])) put(file);
  if (node) {
    for (const file of run('ldd', process.execPath).match(/\/\S+/g).filter((name) => name !== `${process.execPath}:`)) put(file);
    fs.mkdirSync(path.join(root, 'usr/local/bin'), { recursive: true });
    fs.copyFileSync(process.execPath, path.join(root, 'usr/local/bin/node'));
  }
  fs.symlinkSync('git-remote-http', path.join(root, gitCore(), 'git-remote-https'));
  fs.symlinkSync('/usr/bin/git', path.join(root, gitCore(), 'git')); // what git starts when it starts itself
  for (const name of ['git-upload-pack', 'git-receive-pack']) fs.symlinkSync('git', path.join(root, 'usr/bin', name)); // a repository in the box
  const archive = path.join(directory, 'git.tar');
  run('tar', '-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '.');
  fs.rmSync(root, { recursive: true });
  return archive;
}
