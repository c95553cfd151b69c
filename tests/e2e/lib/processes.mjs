// The processes of a box, seen from the host, and one that the kernel cannot stop.

import fs from 'node:fs';
import { unifiedGroup } from './host.mjs';
import { until } from './until.mjs';

/// The box's control group.
export const groupOf = (box) => `${unifiedGroup(box.daemon.name)}/c-local/b-${box.id}`;

/// Host pids of all processes in the box.
export function pids(box) {
  const groups = fs.readdirSync(groupOf(box), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return groups.flatMap(({ name }) => fs.readFileSync(`${groupOf(box)}/${name}/cgroup.procs`, 'utf8').match(/\d+/g) ?? []);
}

const kFreezer = '/sys/fs/cgroup/freezer'; // the old hierarchy: what it holds, the new one cannot bring to a stop
export const stuckOptions = { skip: fs.existsSync(`${kFreezer}/tasks`) ? false : 'needs the v1 freezer, to make a process that does not stop' };

/// Runs `work` while one process of the box waits in the kernel.
export async function whileStuck(box, work) {
  const cage = `${kFreezer}/${box.daemon.name}`;
  const pid = await box.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  const host = pids(box).find((candidate) => new RegExp(`^NSpid:.*\\s${pid}$`, 'm').test(fs.readFileSync(`/proc/${candidate}/status`, 'utf8')));
  fs.mkdirSync(cage);
  try {
    fs.writeFileSync(`${cage}/cgroup.procs`, host);
    fs.writeFileSync(`${cage}/freezer.state`, 'FROZEN');
    await until('it is stuck', () => fs.readFileSync(`${cage}/freezer.state`, 'utf8') === 'FROZEN\n');
    await work();
  } finally {
    fs.writeFileSync(`${cage}/freezer.state`, 'THAWED');
    process.kill(Number(host), 'SIGKILL');
    await until('it is free', () => fs.readFileSync(`${cage}/cgroup.procs`, 'utf8') === '');
    fs.rmdirSync(cage);
  }
}
