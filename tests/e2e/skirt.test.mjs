// The daemon's own skirt: what it keeps of root's power, its memory, its unit.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite();

// linux/capability.h, by number
const kNames = ['chown', 'dac_override', 'dac_read_search', 'fowner', 'fsetid', 'kill', 'setgid', 'setuid', 'setpcap', 'linux_immutable',
  'net_bind_service', 'net_broadcast', 'net_admin', 'net_raw', 'ipc_lock', 'ipc_owner', 'sys_module', 'sys_rawio', 'sys_chroot', 'sys_ptrace',
  'sys_pacct', 'sys_admin', 'sys_boot', 'sys_nice', 'sys_resource', 'sys_time', 'sys_tty_config', 'mknod', 'lease', 'audit_write',
  'audit_control', 'setfcap', 'mac_override', 'mac_admin', 'syslog', 'wake_alarm', 'block_suspend', 'audit_read', 'perfmon', 'bpf',
  'checkpoint_restore'];
const kKept = ['chown', 'dac_override', 'fowner', 'fsetid', 'kill', 'mknod', 'net_admin', 'net_bind_service', 'net_broadcast', 'setfcap', 'setgid', 'setuid', 'sys_admin',
  'sys_chroot', 'sys_ptrace', 'sys_resource'];

function capabilities(status, set) {
  const [, digits] = status.match(new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm'));
  const bits = BigInt(`0x${digits}`);
  return kNames.filter((name, number) => (bits >> BigInt(number)) & 1n).sort();
}

// Not every host gives its root all of them.
const kHere = capabilities(fs.readFileSync('/proc/self/status', 'utf8'), 'CapBnd').filter((name) => kKept.includes(name));

leakless(daemon, 'every thread has the capabilities that are listed and no other, and none to hand on', async () => {
  await daemon.box(); // every worker has been at work
  const { pid } = daemon.process;
  for (const thread of fs.readdirSync(`/proc/${pid}/task`)) {
    const status = fs.readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    for (const set of ['CapBnd', 'CapPrm', 'CapEff']) assert.deepEqual(capabilities(status, set), kHere, `${set} of ${thread}`);
    for (const set of ['CapInh', 'CapAmb']) assert.deepEqual(capabilities(status, set), [], `${set} of ${thread}`);
  }
});

const kRoot = new URL('../../', import.meta.url);
const kUnit = fs.readFileSync(new URL('systemd/hutchd.service.in', kRoot), 'utf8').replaceAll('\\\n', ' ');
const analyze = (...args) => spawnSync('systemd-analyze', args, { encoding: 'utf8' });
const kSystemd = analyze('--version').status === 0 ? {} : { skip: 'needs systemd-analyze' };

leakless(daemon, 'the unit leaves the daemon no more than systemd counts as 6.2', kSystemd, () => {
  const file = `${daemon.directory}/hutchd.service`;
  fs.writeFileSync(file, kUnit.replace('@CMAKE_INSTALL_FULL_BINDIR@/hutchd', process.env.HUTCHD));
  const { status, stdout, stderr } = analyze('security', '--offline=true', '--no-pager', '--threshold=62', file);
  assert.equal(status, 0, stdout + stderr);
});

leakless(daemon, 'the unit forbids no system call that boxes may make', kSystemd, () => {
  const source = fs.readFileSync(new URL('runtime/seccomp_calls.h', kRoot), 'utf8');
  const boxes = [...source.match(/kAllowed\[\] = \{(.*?)\};/s)[1].matchAll(/^ *"(\w+)",/gm)].map(([, name]) => name);
  assert.ok(boxes.length > 200);
  const [[, denied], [, allowed]] = kUnit.matchAll(/^SystemCallFilter=(.*)$/gm);
  assert.match(denied, /^~/);
  for (const group of denied.slice(1).trim().split(/\s+/)) {
    const calls = analyze('syscall-filter', group).stdout.split('\n').map((line) => line.trim());
    assert.deepEqual(boxes.filter((name) => calls.includes(name) && !allowed.split(/\s+/).includes(name)), [], group);
  }
});

leakless(daemon, 'the unit bounds the daemon to the same capabilities', () => {
  const [, bound] = kUnit.match(/^CapabilityBoundingSet=(.*)$/m);
  assert.deepEqual(bound.trim().split(/\s+/).map((name) => name.toLowerCase().replace(/^cap_/, '')).sort(), kKept);
});

leakless(daemon, 'its memory becomes no core file', async () => {
  const { pid } = daemon.process;
  const [, soft] = fs.readFileSync(`/proc/${pid}/limits`, 'utf8').match(/^Max core file size\s+(\S+)/m);
  assert.equal(soft, '0');
  // Non-dumpable: another process of root's without CAP_SYS_PTRACE may not even look at what it has open (ptrace(2)).
  const look = ['--bounding-set=-sys_ptrace', '--inh-caps=-sys_ptrace', 'sh', '-c', `readlink /proc/${pid}/exe /proc/self/exe`];
  const seen = execFileSync('sh', ['-c', 'setpriv "$@" || true', 'sh', ...look], { encoding: 'utf8' });
  assert.ok(!seen.includes('hutchd'), seen);
  assert.notEqual(seen, '');
});
