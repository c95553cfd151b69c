// The base image with this host's bash, rsync and sftp-server in it.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { baseImage } from './image.mjs';

const kPrograms = ['/bin/bash', '/usr/bin/rsync', '/usr/bin/scp', '/usr/lib/openssh/sftp-server'];
const run = (...command) => execFileSync(command[0], command.slice(1), { encoding: 'utf8' });

/// Makes the archive in `directory` and tells its path.
export function sshImage(directory) {
  const root = path.join(directory, 'ssh-root');
  fs.mkdirSync(root);
  run('tar', '-C', root, '-xf', baseImage(directory));
  const libraries = kPrograms.flatMap((program) => run('ldd', program).match(/\/\S+/g).filter((file) => file !== `${program}:`));
  for (const file of new Set([...kPrograms, ...libraries])) {
    fs.mkdirSync(path.join(root, path.dirname(file)), { recursive: true });
    fs.rmSync(path.join(root, file), { force: true });
    fs.copyFileSync(file, path.join(root, file));
  }
  const archive = path.join(directory, 'ssh.tar');
  run('tar', '-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '.');
  fs.rmSync(root, { recursive: true });
  return archive;
}
