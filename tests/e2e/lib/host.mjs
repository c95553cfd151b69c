// What a daemon of a given name and its boxes hold of the host: the zero-leak oracle.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { until } from './until.mjs';

export const nothing = { groups: [], processes: [], links: [], mounts: [], loops: [], uppers: [], unfinished: [], ids: [] };

function names(directory) {
  return fs.existsSync(directory) ? fs.readdirSync(directory).sort() : [];
}

function text(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}

/// The control group of that name on every hierarchy.
export function parents(name) {
  const found = [];
  for (const line of text('/proc/self/mountinfo').trimEnd().split('\n')) {
    const [before, after] = line.split(' - ');
    if (/^cgroup2? /.test(after)) found.push(path.join(before.split(' ')[4], name));
  }
  return found.filter((directory) => fs.existsSync(directory));
}

/// The one on the hierarchy that has freezing, killing and CPU time.
export function unifiedGroup(name) {
  return parents(name).find((directory) => fs.existsSync(`${directory}/cgroup.kill`));
}

function directoriesIn(directory) {
  try {
    const entries = fs.readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    return entries.map((entry) => path.join(directory, entry.name));
  } catch {
    return []; // gone meanwhile
  }
}

function groupsBelow(directory) {
  return directoriesIn(directory).flatMap((child) => [child, ...groupsBelow(child)]);
}

/// Every control group below those of that name.
export function groups(name) {
  return parents(name).flatMap(groupsBelow).sort();
}

/// Processes in a group of that name, wherever they came from. (One in a group that is gone is dead, and waits for its
/// parent to take notice; once the daemon is gone, for the host's.)
function processes(name) {
  const inGroup = (line) => line.split(':')[2]?.startsWith(`/${name}/`) && !line.endsWith(' (deleted)');
  const pids = fs.readdirSync('/proc').filter((entry) => /^\d+$/.test(entry));
  const ours = pids.filter((pid) => text(`/proc/${pid}/cgroup`).split('\n').some(inGroup));
  return ours.map((pid) => `${pid} ${text(`/proc/${pid}/comm`).trim()}`);
}

function links(name) {
  return names('/sys/class/net').filter((link) => link.startsWith(name));
}

function mounts(file, marks) {
  const lines = text(file).trimEnd().split('\n');
  return lines.filter((line) => marks.some((mark) => line.includes(mark)));
}

function loops(mark) {
  const backing = names('/sys/block').filter((name) => name.startsWith('loop'));
  return backing.map((name) => text(`/sys/block/${name}/loop/backing_file`).trim()).filter((file) => file.includes(mark));
}

/// Rules, sets and elements of our table; counters count, and the kernel forgets whose flows it counted when it likes.
function firewall(name) {
  const listing = spawnSync('nft', ['list', 'table', 'inet', name], { encoding: 'utf8' }).stdout;
  return listing.replaceAll(/packets \d+ bytes \d+/g, '').replaceAll(/\t\telements = \{[^}]*ct count[^}]*\}\n/g, '');
}

function rows(file) {
  return text(file).split('\n').map((line) => line.trim().split(/\s+/));
}

/// Connections to that socket, and to that port of 127.0.0.1, which its daemon has not closed yet.
export function connections(socket, port = 0) {
  const kConnected = '03'; // SS_CONNECTED in the column St
  const kListening = '0A'; // TCP_LISTEN; a socket of no process any more has no inode
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const local = rows('/proc/net/unix').filter((row) => row[7] === socket && row[5] === kConnected);
  const tcp = rows('/proc/net/tcp').filter((row) => row[1] === address && row[3] !== kListening && row[9] !== '0');
  return local.length + tcp.length;
}

const kClaims = '/run/hutch-uids';

function target(link) {
  try {
    return fs.readlinkSync(link);
  } catch {
    return ''; // gone meanwhile
  }
}

/// The ranges of host ids that the daemon of that name has claimed.
function claims(name) {
  return names(kClaims).filter((slot) => target(path.join(kClaims, slot)) === name);
}

/// What must be there no more when the daemon is gone and its boxes are deleted.
export function leftovers(daemon) {
  const { name } = daemon;
  return {
    groups: groups(name),
    processes: processes(name),
    links: links(name),
    mounts: mounts('/proc/self/mountinfo', [daemon.directory]),
    loops: loops(daemon.directory),
    uppers: names(path.join(daemon.store, 'uppers')),
    unfinished: names(path.join(daemon.store, 'tmp')),
    ids: claims(name),
  };
}

const kReadyDescriptors = 4; // of one made ahead: its group, its init, the socket to it, its network

/// The inits of these boxes, and the range of host ids of each.
function inits(ready) {
  const groupsOf = (pid) => text(`/proc/${pid}/cgroup`);
  const pids = fs.readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && ready.some((id) => groupsOf(pid).includes(`/b-${id}/`)));
  const slotOf = (pid) => String((Number(/^Uid:\t(\d+)/m.exec(text(`/proc/${pid}/status`))[1]) - 0x20000000) / 65536);
  return pids.map((pid) => ({ pid, slot: slotOf(pid) }));
}

/// All that the daemon and its boxes hold while it runs, in numbers and names that repeat; but for those with the ids
/// `ready`, of which each has one process.
export function census(daemon, ready) {
  const pid = daemon.process.pid;
  const { name } = daemon;
  const { links: slots, groups: all, processes: running, uppers, ids, ...rest } = leftovers(daemon);
  const ahead = inits(ready);
  const isAhead = (group) => ready.some((id) => `${group}/`.includes(`/b-${id}/`));
  return {
    ...rest,
    groups: all.filter((group) => !path.basename(group).startsWith('c-') && !isAhead(group)), // of customers: kept for their next box
    processes: running.filter((each) => !ahead.some((init) => each === `${init.pid} hutch-init`)),
    uppers: uppers.filter((upper) => !ready.includes(upper)),
    ids: ids.filter((slot) => !ahead.some((init) => slot === init.slot)),
    links: slots.length - ready.length, // their numbers go round
    layers: names(path.join(daemon.store, 'layers')).length,
    journals: names(path.join(daemon.state, 'runs')).length,
    own_mounts: mounts(`/proc/${pid}/mountinfo`, ['']).length,
    descriptors: fs.readdirSync(`/proc/${pid}/fd`).length - kReadyDescriptors * ready.length,
    children: names(`/proc/${pid}/task`).flatMap((task) => text(`/proc/${pid}/task/${task}/children`).match(/\d+/g) ?? []).length - ready.length,
    threads: fs.readdirSync(`/proc/${pid}/task`).length,
    firewall: firewall(name),
  };
}

/// Hears of links that come and go. The kernel takes those of a namespace some time after its last user, and says so by
/// an event for each.
export class LinkMonitor {
  constructor(name) {
    this.name = name;
    this.heard = 0; // more than none: it has subscribed, and misses nothing from now on
    this.monitor = spawn('ip', ['monitor', 'link'], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.monitor.stdout.on('data', () => ++this.heard);
  }

  /// Waits until there are `count` links of that name. What still differs at the deadline is the caller's to find.
  async settle(count, deadlineMs = 10_000) {
    const deadline = AbortSignal.timeout(deadlineMs);
    while (links(this.name).length !== count && !deadline.aborted) {
      await once(this.monitor.stdout, 'data', { signal: deadline }).catch(() => {});
    }
  }

  close() {
    this.monitor.kill();
  }
}

/// Takes away what a daemon leaves on purpose (its boxes, its groups, its table), and what a failed test left.
export async function sweep(name) {
  const unified = unifiedGroup(name);
  for (const group of groupsBelow(unified ?? '').filter((each) => path.basename(each).startsWith('b-'))) {
    fs.writeFileSync(`${group}/cgroup.kill`, '1');
    await until(`${group} is empty`, () => text(`${group}/cgroup.events`).includes('populated 0'));
  }
  for (const group of parents(name).flatMap((parent) => groupsBelow(parent).reverse().concat(parent))) fs.rmdirSync(group);
  for (const slot of claims(name)) fs.rmSync(path.join(kClaims, slot), { force: true });
  spawnSync('nft', ['delete', 'table', 'inet', name], { stdio: 'ignore' });
}
