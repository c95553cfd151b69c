// One box that takes all it can get: a neighbour and the host's root still get theirs. kernel_runtime does this for each
// kind of kernel object, with boxes of its own; here the boxes are a daemon's. SECURITY.md lists all kinds.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { Daemon } from './lib/daemon.mjs';
import { parents, unifiedGroup } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite();

/// A box whose root has the probe.
async function probeBox() {
  const box = await daemon.rootBox();
  const content = fs.readFileSync(process.env.PROBE).toString('base64');
  await daemon.json('POST', `${box.path}/files/write`, { path: '/probe', content, encoding: 'base64' });
  await box.sh('chmod 755 /probe');
  return box;
}

const kKinds = ['inotify-instance', 'pending-signal', 'posix-timer', 'message-queue', 'terminal'];

for (const kind of kKinds) {
  leakless(daemon, `${kind}: one box has all that it may have, its neighbour and the host have theirs`, async () => {
    const [taker, neighbour] = [await probeBox(), await probeBox()];
    const taking = await taker.stream(['sh', '-c', `sleep 1000 | /probe take ${kind}`]);
    await taking.until('\n');
    assert.match(taking.bytes.toString(), /^took [1-9]\d* E\w+\n$/);
    assert.equal(await neighbour.sh(`/probe take-one ${kind}`), 'done');
    assert.equal(execFileSync(process.env.PROBE, ['take-one', kind], { encoding: 'utf8' }), 'done\n');
    taking.abandon();
  });
}

leakless(daemon, 'a box that has taken all of its terminals leaves its neighbour a session', async () => {
  const [taker, neighbour] = [await probeBox(), await daemon.box()];
  const taking = await taker.stream(['sh', '-c', 'sleep 1000 | /probe take terminal']);
  await taking.until('\n');
  const session = await neighbour.session({ command: ['echo', 'usable'] });
  await session.until(/usable/);
  await session.finish();
  taking.abandon();
});

/// What a control group of v1 or v2 says of a box, the first of these files that there is.
function told(box, ...files) {
  for (const parent of parents(daemon.name)) {
    for (const file of files.filter((name) => fs.existsSync(`${parent}/c-local/b-${box.id}/${name}`))) {
      return Number(fs.readFileSync(`${parent}/c-local/b-${box.id}/${file}`, 'utf8'));
    }
  }
  return assert.fail(`none of ${files}`);
}

leakless(daemon, 'names that are not there are charged to the box that looked for them', async () => {
  const box = await daemon.box();
  const used = () => told(box, 'memory.current', 'memory.usage_in_bytes');
  const before = used();
  await box.sh('i=0; while [ $i -lt 20000 ]; do [ -e nothing-$i ]; i=$((i+1)); done');
  assert.ok(used() > before + 20_000 * 128, `${before} ${used()}: an entry has 192 bytes`);
});

/// The host ids of a box, as the host's root sees them.
function firstId(name, box) {
  const init = fs.readFileSync(`${unifiedGroup(name)}/c-local/b-${box.id}/init/cgroup.procs`, 'utf8').trim();
  return Number(fs.readFileSync(`/proc/${init}/uid_map`, 'utf8').trim().split(/\s+/)[1]);
}

leakless(daemon, 'two daemons on one host never give the same user ids', async () => {
  const other = new Daemon({ pool: 0, name: `x${daemon.name}`, network: '198.18.224.0/24' });
  await other.open();
  try {
    const ids = [];
    for (const each of [daemon, other, daemon, other]) ids.push(firstId(each.name, await each.box()));
    assert.equal(new Set(ids).size, 4, `${ids}`);
    const { stdout } = spawnSync(process.env.HUTCHD, ['doctor'], { encoding: 'utf8' });
    assert.match(stdout, new RegExp(`, 2 of them ${other.name}'s`));
  } finally {
    await other.removeAll();
    await other.close();
  }
});
