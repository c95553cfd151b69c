// What a command in a box must not reach: the host, its kernel's knobs, and other boxes.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import { kNesting } from './lib/daemon.mjs';
import { unifiedGroup } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

// --- what a command is ---

async function capabilities(box) {
  const lines = (await box.sh('grep ^Cap /proc/self/status')).split('\n').map((line) => line.split(/:\s*/));
  return Object.fromEntries(lines.map(([name, value]) => [name, BigInt(`0x${value}`)]));
}

leakless(daemon, 'boxuser has no capability', async () => {
  const sets = await capabilities(await daemon.box());
  assert.deepEqual([sets.CapEff, sets.CapPrm, sets.CapInh, sets.CapAmb], [0n, 0n, 0n, 0n]);
});

leakless(daemon, 'root has a few capabilities, and none to inherit', async () => {
  const sets = await capabilities(await daemon.rootBox());
  // chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot sys_ptrace audit_write setfcap;
  // and, void, net_admin net_raw ipc_lock sys_nice
  const kAllowed = [0, 1, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 18, 19, 23, 29, 31].reduce((set, bit) => set | 1n << BigInt(bit), 0n);
  assert.deepEqual([sets.CapEff, sets.CapBnd, sets.CapInh, sets.CapAmb], [kAllowed, kAllowed, 0n, 0n]);
});

leakless(daemon, 'no signal is blocked or ignored in a command', async () => {
  const box = await daemon.box();
  assert.equal(await box.sh('grep -E "^Sig(Blk|Ign)" /proc/self/status | cut -f2 | sort -u'), '0000000000000000');
});

leakless(daemon, 'the ranges of host ids of two boxes do not overlap', async () => {
  const maps = [];
  for (const box of [await daemon.box(), await daemon.box()]) {
    // Seen from the host, where the map shows host ids: the box itself may not see them.
    maps.push(Number(fs.readFileSync(`/proc/${initOf(box)}/uid_map`, 'utf8').trim().split(/\s+/)[1]));
  }
  assert.ok(Math.min(...maps) >= 536870912 && Math.abs(maps[0] - maps[1]) >= 65536, `${maps}`);
});

// Watches and locks belong to an inode: through one that two boxes have, each would hear of the other, and talk to it.
leakless(daemon, 'no file system is in two boxes, but that of control groups, of which each sees its own', async () => {
  const seen = [];
  for (const box of [await daemon.box(), await daemon.box()]) {
    const mounts = fs.readFileSync(`/proc/${initOf(box)}/mountinfo`, 'utf8').trim().split('\n').map((line) => line.split(' '));
    seen.push(new Set(mounts.filter((fields) => !/^cgroup2?$/.test(fields[fields.indexOf('-') + 1])).map((fields) => fields[2])));
  }
  assert.ok(seen[0].size > 4);
  assert.deepEqual([...seen[0]].filter((device) => seen[1].has(device)), []);
});

leakless(daemon, 'the input of a command to whom nobody gives any is its box\'s /dev/null', async () => {
  const box = await daemon.box();
  const [own, input] = (await box.sh('stat -L -c "%d %i %t:%T" /dev/null /proc/self/fd/0')).split('\n');
  assert.equal(input, own);
  assert.match(own, / 1:3$/);
});

function initOf(box) {
  return fs.readFileSync(`${unifiedGroup(daemon.name)}/c-local/b-${box.id}/init/cgroup.procs`, 'utf8').trim();
}

// --- what a command may not do ---

// kernel_runtime makes every try there is, against boxes of its own; these show that the daemon's boxes are such boxes.
const kNamespaces = ['mount', 'fsopen', 'open_tree', 'move_mount', 'pivot_root', 'umount2', 'unshare-user', 'clone-user',
  'sethostname', 'mount-tmpfs', 'mount-cgroup2', 'unshare-mount'];
const kKeys = ['keyctl', 'add_key'];
const kOthers = ['bpf', 'perf_event_open', 'io_uring_setup', 'userfaultfd', 'kcmp', 'open_by_handle_at', 'reboot', 'swapon',
  'init_module', 'kexec_load', 'settimeofday', 'syslog'];
// With nesting the kernel itself judges the first, some by their arguments; and nothing is different within.
const kTries = kNesting ? ['mount-tmpfs', 'mount-cgroup2', 'unshare-mount', 'sethostname', ...kOthers, ...kOthers.map((name) => `within ${name}`)]
  : [...kNamespaces, ...kKeys, ...kOthers];

for (const [who, runtime] of [['boxuser', 'busybox'], ['root', 'busybox-root']]) {
  leakless(daemon, `what ${who} asks of the kernel is refused`, async () => {
    const box = await daemon.box({ runtime });
    const content = fs.readFileSync(process.env.PROBE).toString('base64');
    await daemon.json('POST', `${box.path}/files/write`, { path: 'probe', content, encoding: 'base64' });
    const answers = (await box.sh(`chmod +x probe;${kTries.map((words) => ` ./probe ${words};`).join('')}`)).split('\n');
    assert.deepEqual(answers, kTries.map(() => 'EPERM'));
  });
}

leakless(daemon, 'knobs of the kernel that root writes to are unchanged', async () => {
  const box = await daemon.rootBox();
  const knobs = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sys/vm/swappiness', '/proc/sys/net/ipv4/ip_forward'];
  const read = () => knobs.map((knob) => fs.readFileSync(knob, 'utf8'));
  const before = read();
  for (const knob of knobs) assert.notEqual(await box.fails(`echo 1 > ${knob}`), 0, knob);
  assert.deepEqual(read(), before);
});

leakless(daemon, 'no control group but its own can be seen, and none be written', async () => {
  const other = await daemon.rootBox();
  const box = await daemon.rootBox();
  assert.equal(await box.sh('ls /sys/fs'), 'cgroup');
  const seen = await box.sh('cat /proc/self/cgroup; grep cgroup /proc/self/mountinfo; find /sys/fs/cgroup');
  for (const name of [daemon.name, box.id, other.id, 'c-local']) assert.ok(!seen.includes(name), seen);
  const written = await box.sh('for file in $(find /sys/fs/cgroup -type f); do (echo 1 > $file) 2> /dev/null && echo $file; done; true');
  assert.equal(written, '');
});

leakless(daemon, 'a box sees the memory and the CPUs that it may use', async () => {
  const box = await daemon.box();
  assert.equal(await box.sh('cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max; awk \'/MemTotal/ { print $2 }\' /proc/meminfo'),
    `${4 * 2 ** 30}\n200000 100000\n${4 * 2 ** 20}`);
});

leakless(daemon, 'owners beyond 65,535 are kept, as far as a box has ids', async () => {
  const box = await daemon.rootBox();
  assert.equal(await box.sh('touch f; chown 197609:197121 f; stat -c "%u %g" f'), '197609 197121');
  assert.equal(await box.sh('chown 262143 f; stat -c %u f'), '262143');
  assert.notEqual(await box.fails('chown 262144 f'), 0);
});

leakless(daemon, 'what tells about the host is hidden', async () => {
  const box = await daemon.rootBox();
  for (const file of ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/proc/interrupts', '/proc/kmsg', '/proc/sysrq-trigger']) {
    assert.equal(await box.sh(`cat ${file} 2> /dev/null | wc -c`), '0', file);
  }
  for (const directory of ['/sys/firmware', '/sys/kernel', '/proc/acpi']) {
    assert.equal(await box.sh(`ls -A ${directory} 2> /dev/null`), '', directory);
  }
});

leakless(daemon, 'no disk of the host can be seen in /dev', async () => {
  const box = await daemon.rootBox();
  assert.equal(await box.sh('cd /dev && find . -type b; find . -type c -not -path "./pts/*" | sort'),
    `./full${kNesting ? '\n./net/tun' : ''}\n./null\n./random\n./tty\n./urandom\n./zero`);
});

leakless(daemon, 'processes of the host are not to be seen', async () => {
  const box = await daemon.rootBox();
  const mark = 'isolation.test.mjs'; // stands in the command line of this process
  assert.ok(fs.readFileSync('/proc/self/cmdline', 'utf8').includes(mark));
  assert.equal(await box.sh('cat /proc/[0-9]*/cmdline | tr "\\0" "\\n" | grep -c "isolation.[t]est.mjs"; true'), '0');
  assert.match(await box.sh('ps -o pid,comm | sed -n 2p'), /^ *1 hutch-init$/);
});

leakless(daemon, 'the host name is the box\'s own', async () => {
  const box = await daemon.box({ name: 'its-own' });
  assert.deepEqual([await box.sh('hostname; cat /etc/hostname'), os.hostname() === 'its-own'], ['its-own\nits-own', false]);
});

// --- signals ---

leakless(daemon, 'kill -9 -1 as root hurts only its box, which stays usable', async () => {
  const box = await daemon.rootBox();
  const other = await daemon.rootBox();
  const bystander = await other.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  const victim = await box.sh('sleep 1000 > /dev/null 2>&1 & echo $!');
  const { exit_code } = await box.exec(['sh', '-c', 'kill -9 -1; echo survived']);
  assert.equal(exit_code, 0); // kill(2): -1 spares the caller, and init
  await until('init has reaped it', async () => (await box.exec(['sh', '-c', `kill -0 ${victim}`])).exit_code !== 0);
  assert.equal(await box.sh('echo usable'), 'usable');
  await other.sh(`kill -0 ${bystander}`);
});

leakless(daemon, 'init cannot be killed or stopped from inside', async () => {
  const box = await daemon.rootBox();
  await box.sh('for signal in 9 15 19 11 1 2; do kill -$signal 1; done; true');
  assert.equal(await box.sh('echo usable'), 'usable');
  const { logs } = await daemon.json('GET', `${box.path}/logs`);
  assert.equal(logs.length, 1); // nothing but its making
});

leakless(daemon, 'a fork bomb ends at the box\'s limit, and a neighbour works on', async () => {
  const box = await daemon.box();
  const neighbour = await daemon.box();
  const bomb = await box.stream(['sh', '-c', 'i=0; while [ $i -lt 5000 ]; do sleep 1000 & i=$((i+1)); done; echo all']);
  const { output } = await bomb.finish();
  assert.doesNotMatch(output.toString(), /^all$/m);
  assert.equal(await neighbour.sh('echo usable'), 'usable');
});

// --- network: the oracle is a counter of connections at the one who must not be reached ---

/// Counts who connects to a port of the host, on every address.
async function listen() {
  const server = net.createServer((socket) => {
    ++server.count;
    socket.end();
  });
  server.count = 0;
  server.listen(0, '0.0.0.0');
  await once(server, 'listening');
  return server;
}

const address = (box) => box.sh('ip -4 -o addr show eth0 | sed "s/.*inet \\([0-9.]*\\).*/\\1/"');

/// Exit code of a try to connect from within the box: 0 if it could, else refused or in vain for a second.
const connect = (box, host, port) => box.fails(`nc -w 1 ${host} ${port} < /dev/null`);

leakless(daemon, 'a box does not reach the host on any of its addresses', async () => {
  const box = await daemon.box();
  const host = await listen();
  const { port } = host.address();
  const routes = JSON.parse(execFileSync('ip', ['-j', '-4', 'addr'], { encoding: 'utf8' }));
  const addresses = routes.flatMap((link) => link.addr_info.map((info) => info.local)).filter((text) => text !== '127.0.0.1');
  const tries = [...new Set([...addresses, '198.19.64.1'])];
  const outcomes = await Promise.all(tries.map((text) => connect(box, text, port)));
  assert.ok(outcomes.every((code) => code !== 0), `${tries} ${outcomes}`);
  const control = net.connect(port, '127.0.0.1'); // that the counter counts
  await once(control, 'close');
  assert.equal(host.count, 1);
  host.close();
});

leakless(daemon, 'the gateway answers on the port of DNS', async () => {
  const box = await daemon.box();
  // What is no query makes it hang up, which is how nc ends well; -w is for a failure.
  assert.equal(await box.fails('printf "\\0\\1x" | nc -w 30 198.19.64.1 53'), 0);
});

leakless(daemon, 'the loopback of a box is its own', async () => {
  const box = await daemon.box();
  const host = await listen();
  assert.notEqual(await connect(box, '127.0.0.1', host.address().port), 0);
  assert.equal(host.count, 0);
  host.close();
});

leakless(daemon, 'a box does not reach another', async () => {
  const [one, other] = [await daemon.box(), await daemon.box()];
  const where = await address(other);
  const server = await other.stream(['sh', '-c', 'touch hits; nc -ll -p 8080 -e sh -c "echo hit >> hits"']);
  await until('the other listens', async () => await connect(other, '127.0.0.1', 8080) === 0);
  const before = await other.sh('wc -l < hits');
  assert.notEqual(await connect(one, where, 8080), 0);
  assert.equal(await one.fails(`ping -c 1 -W 1 ${where}`), 1);
  assert.equal(await other.sh('wc -l < hits'), before);
  assert.equal(await connect(other, where, 8080), 0); // the address is right: its own box reaches it
  server.abandon();
});

leakless(daemon, 'a box does not reach private and metadata addresses', async () => {
  const box = await daemon.box();
  const closed = ['169.254.169.254', '10.0.0.1', '192.168.0.1', '172.16.0.1', '100.64.0.1'];
  const codes = await Promise.all(closed.map((text) => connect(box, text, 80)));
  assert.ok(codes.every((code) => code !== 0), `${codes}`);
  // By the first of two firewalls, that in its own namespace.
  const counters = execFileSync('nsenter', ['-t', initOf(box), '-n', 'nft', '-j', 'list', 'counter', 'inet', daemon.name, 'blocked'], { encoding: 'utf8' });
  const { packets } = JSON.parse(counters).nftables.find((entry) => entry.counter).counter;
  assert.ok(packets >= closed.length, `${packets} packets were dropped by the rule`);
});

leakless(daemon, 'root cannot change the network of its box', async () => {
  const box = await daemon.rootBox();
  for (const change of ['ip link set eth0 down', 'ip addr add 198.19.64.200/32 dev eth0', 'ip route add 10.0.0.0/8 dev eth0', 'ip link add x type dummy']) {
    assert.notEqual(await box.fails(change), 0, change);
  }
});

leakless(daemon, 'a program may listen on port 80 without privileges', async () => {
  const box = await daemon.box();
  // -e answers whoever comes; a server that reads its own input may see the client's end first, and leave unsaid.
  assert.equal(await box.sh('nc -l -p 80 -e echo hello & while ! nc -w 1 127.0.0.1 80 < /dev/null; do :; done'), 'hello');
});
