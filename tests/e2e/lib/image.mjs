// A root file system of one second: busybox and what a box looks for.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/// Makes the archive in `directory` and tells its path.
export function baseImage(directory) {
  const root = path.join(directory, 'root');
  for (const name of ['bin', 'etc', 'root', 'home/boxuser', 'workspace/home']) {
    fs.mkdirSync(path.join(root, name), { recursive: true });
  }
  fs.copyFileSync('/bin/busybox', path.join(root, 'bin/busybox'));
  fs.chmodSync(path.join(root, 'bin/busybox'), 0o755);
  for (const applet of execFileSync('/bin/busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n')) {
    if (applet !== 'busybox') fs.symlinkSync('busybox', path.join(root, 'bin', applet));
  }
  fs.writeFileSync(path.join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nboxuser:x:1000:1000::/home/boxuser:/bin/sh\n');
  fs.writeFileSync(path.join(root, 'etc/group'), 'root:x:0:\ntty:x:5:\nboxuser:x:1000:\n');
  fs.writeFileSync(path.join(root, 'etc/shadow'), 'the shadow of the box\n');
  const archive = path.join(directory, 'busybox.tar');
  execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', archive, '.']);
  fs.rmSync(root, { recursive: true });
  return archive;
}
