// What boxes used and what it costs: the figures of the kernel, through pauses, restarts, kills and deletions.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { hutch, json, output } from './lib/command.mjs';
import { unifiedGroup } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
// What was made ahead and never taken is on nobody's bill: here there is no such thing.
const daemon = suite({ pool: 0, args: ['--cpu_hour_usd', '3600', '--gb_month_usd', '730', '--reclaim_after', '0'] }); // a dollar a second; a GB and hour

const usage = (box) => daemon.json('GET', `${box.path}/usage`);
const usageOfAll = (query = '') => daemon.json('GET', `/v2/usage${query}`);
const pause = (box) => daemon.json('POST', `${box.path}/pause`);
const month = () => new Date().toISOString().slice(0, 7);

/// CPU time of all boxes that ever were, by the kernel's count.
function parentCpuNs() {
  const [, us] = /^usage_usec (\d+)$/m.exec(fs.readFileSync(`${unifiedGroup(daemon.name)}/cpu.stat`, 'utf8'));
  return Number(us) * 1000;
}

/// Burns CPU time until the shell itself has used so much, and says how much that was: both in nanoseconds.
async function burn(box, ns) {
  return Number(await box.sh(`used=0
    while [ $used -lt ${ns} ]; do
      i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done
      read used rest < /proc/self/schedstat
    done
    echo $used`));
}

async function crash() {
  await daemon.end('SIGKILL');
  await daemon.launch();
}

leakless(daemon, 'a loop of two CPU seconds is billed two seconds, in its run and in its box', async () => {
  const box = await daemon.box();
  const before = (await usage(box)).cpu_ns;
  const burnt = await burn(box, 2_000_000_000);
  const { runs } = await daemon.json('GET', `${box.path}/runs`);
  const after = await usage(box);
  for (const billed of [runs[0].cpu_ns, after.cpu_ns - before]) {
    assert.ok(Math.abs(billed - burnt) < burnt / 100, `${billed} ns are billed for ${burnt}`);
  }
  assert.ok(Math.abs(after.compute_cost_usd - after.cpu_ns / 1e9) < 1e-9, 'a dollar a second');
  assert.equal(after.cost_usd, after.compute_cost_usd + after.storage_cost_usd);
  assert.deepEqual(after.rates, { cpu_hour_usd: 3600, gb_month_usd: 730 });
});

leakless(daemon, 'the sum of all boxes is what the kernel counts, whatever became of them', async () => {
  const begun = { kernel: parentCpuNs(), boxes: (await usageOfAll()).cpu_ns };
  const boxes = [];
  for (let i = 0; i < 12; ++i) boxes.push(await daemon.box({ name: `churn${i}` }));
  await Promise.all(boxes.map((box) => burn(box, 100_000_000)));
  await pause(boxes[0]);
  for (const box of boxes.slice(1, 4)) await box.remove();
  const inits = [];
  for (const box of boxes.slice(4, 6)) inits.push((await daemon.json('GET', `${box.path}?details=1`)).details.init_pid);
  for (const pid of inits) process.kill(pid, 'SIGKILL');
  await until('they are seen to have ended', async () => (await boxes[4].status()) === 'paused' && (await boxes[5].status()) === 'paused');
  await crash();
  await Promise.all(boxes.slice(4, 8).map((box) => burn(box, 50_000_000)));
  await daemon.end('SIGKILL');
  process.kill((await fsPid(boxes[9])), 'SIGKILL'); // while no daemon looks
  await daemon.launch();
  const kernel = parentCpuNs() - begun.kernel;
  const billed = (await usageOfAll()).cpu_ns - begun.boxes;
  assert.ok(Math.abs(kernel - billed) < kernel / 1000, `${billed} ns are billed, the kernel counts ${kernel}`);

  async function fsPid(box) {
    return Number(fs.readFileSync(`${unifiedGroup(daemon.name)}/c-local/b-${box.id}/init/cgroup.procs`, 'utf8').split('\n')[0]);
  }
});

leakless(daemon, 'what sleeps or idles costs no CPU, while others work', async () => {
  const [asleep, idle, busy] = [await daemon.box(), await daemon.box(), await daemon.box()];
  await pause(asleep);
  const before = [(await usage(asleep)).cpu_ns, (await usage(idle)).cpu_ns];
  await burn(busy, 500_000_000);
  assert.deepEqual([(await usage(asleep)).cpu_ns, (await usage(idle)).cpu_ns], before);
});

leakless(daemon, 'a deleted box stays on the bill, by its id', async () => {
  const box = await daemon.box({ name: 'gone' });
  await burn(box, 50_000_000);
  const before = await usage(box);
  assert.equal(before.deleted, false);
  await box.remove();
  const after = await usage(box);
  assert.equal(after.deleted, true);
  assert.equal(after.name, 'gone');
  assert.ok(after.cpu_ns >= before.cpu_ns);
  const row = (await usageOfAll()).boxes.find((other) => other.box_id === box.id);
  assert.equal(row.cpu_ns, after.cpu_ns);
  await daemon.refuses(404, /gone/, 'GET', '/v2/box/gone/usage');
});

leakless(daemon, 'usage outlives a killed daemon to the nanosecond', async () => {
  const box = await daemon.box();
  await burn(box, 50_000_000);
  await pause(box);
  const before = await usage(box);
  await crash();
  const after = await usage(box);
  assert.equal(after.cpu_ns, before.cpu_ns);
  assert.equal(after.network_sent_bytes, before.network_sent_bytes);
});

leakless(daemon, 'storage is billed by its size and time, measured when a pause lasts', async () => {
  const box = await daemon.box();
  await box.sh('dd if=/dev/zero of=file bs=1M count=8 2> /dev/null; sync');
  assert.equal((await usage(box)).disk_bytes, 0, 'not measured yet');
  await pause(box);
  const measured = await until('its files are added up', async () => {
    const now = await usage(box);
    return now.disk_bytes > 0 && now;
  });
  assert.ok(measured.disk_bytes >= 8 << 20 && measured.disk_bytes < 9 << 20, `${measured.disk_bytes} bytes`);
  const later = await until('time is billed', async () => {
    const now = await usage(box);
    return now.storage_byte_hours > measured.storage_byte_hours && now;
  });
  assert.ok(Math.abs(later.storage_cost_usd - later.storage_byte_hours / 1e9) < 1e-12, 'a dollar for a GB and hour');
  await crash();
  const restarted = await usage(box);
  assert.equal(restarted.disk_bytes, measured.disk_bytes);
  assert.ok(restarted.storage_byte_hours >= later.storage_byte_hours, 'the time without a daemon counts too');
});

leakless(daemon, 'a layer is paid for once: by its snapshot, and when that is gone by the boxes on it, in equal parts', async () => {
  const box = await daemon.box();
  await box.sh('dd if=/dev/zero of=file bs=1M count=8 2> /dev/null; sync');
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'kept' }, 201);
  const copy = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id }, 201);
  const held = async (id) => (await daemon.json('GET', `/v2/box/${id}/usage`)).layer_bytes;
  assert.deepEqual([await held(box.id), await held(copy.id)], [0, 0]);
  await daemon.json('DELETE', `/v2/box/snapshots`, { ids: [snapshot.id] });
  const shared = await until('the boxes pay', async () => (await held(box.id)) > 0 && (await held(copy.id)));
  assert.equal(await held(box.id), shared);
  assert.ok(shared >= 4 << 20 && shared < 4.5 * (1 << 20), `${shared} bytes`);
  await crash();
  assert.equal(await until('it is known again', () => held(box.id)), shared);
  const { boxes } = await daemon.json('POST', `${box.path}/fork`, { count: 2 }, 201);
  const quarter = await until('four pay', async () => (await held(boxes[1].id)) || null);
  assert.ok(quarter >= shared / 2 && quarter < shared / 2 + 65536, `${quarter} bytes, with its part of what was forked`);
  await daemon.json('DELETE', '/v2/box', { ids: [copy.id, ...boxes.map(({ id }) => id)] });
});

leakless(daemon, 'hutch df tells what takes how much disk, and what deleting it gives back', async () => {
  const box = await daemon.box({ name: 'heavy' });
  await box.sh('dd if=/dev/zero of=file bs=1M count=8 2> /dev/null; sync');
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'kept' }, 201);
  const space = await until('all is added up', async () => {
    const now = await json(daemon, ['df']);
    return now.holders.every(({ measured }) => measured) && now;
  });
  const row = (kind, name) => space.holders.find((holder) => holder.kind === kind && holder.name === name);
  const image = row('image', (await daemon.json('GET', '/v2/images')).images[0].name);
  assert.equal(image.unique_bytes, 0, 'a box stands on it');
  const kept = row('snapshot', 'kept');
  assert.ok(kept.bytes - image.bytes >= 8 << 20, 'the image and what the box wrote');
  assert.equal(kept.unique_bytes, 0, 'the box stands on it too');
  assert.deepEqual(row('box', 'heavy').shared_bytes, kept.bytes);
  assert.ok(space.layer_bytes >= kept.bytes && space.free_bytes > 0 && space.total_bytes >= space.free_bytes);
  await box.remove();
  const alone = (await json(daemon, ['df'])).holders.find(({ kind }) => kind === 'snapshot');
  assert.equal(alone.unique_bytes, kept.bytes - image.bytes, 'the image is still there');
  assert.match(await output(daemon, ['df']), /^KIND +NAME +ID +SIZE +SHARED +UNIQUE\nimage .*\nsnapshot +kept .*\n\n\d+ layers, .* are free in \//s);
  await daemon.json('DELETE', '/v2/box/snapshots', { ids: [snapshot.id] });
});

leakless(daemon, 'network traffic is counted both ways, over lives', async () => {
  const box = await daemon.box();
  // A question to the name server is answered, if only by "no".
  const send = () => box.sh('for i in 0 1 2 3 4 5 6 7 8 9; do nslookup localhost. > /dev/null 2>&1; done; true');
  const before = await usage(box);
  await send();
  const once = await usage(box);
  assert.ok(once.network_sent_bytes - before.network_sent_bytes >= 1000, `${once.network_sent_bytes} bytes`);
  assert.ok(once.network_received_bytes > before.network_received_bytes + 1000);
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  await until('it has ended', async () => (await box.status()) === 'paused');
  await send();
  // The link of the first life went with its init, before it could be read once more.
  assert.ok((await usage(box)).network_sent_bytes >= once.network_sent_bytes);
  await box.remove();
  assert.ok((await usage(box)).network_sent_bytes >= once.network_sent_bytes);
});

leakless(daemon, 'months are kept apart, and a wrong one is named', async () => {
  const box = await daemon.box();
  const now = await usage(box);
  assert.deepEqual(now.periods.map((entry) => entry.period), [month()]);
  assert.equal((await usageOfAll()).period, month());
  const long_ago = await usageOfAll('?period=2001-01');
  assert.deepEqual([long_ago.boxes, long_ago.cpu_ns, long_ago.cost_usd], [[], 0, 0]);
  for (const bad of ['2026', '2026-13', '2026-00', '26-1', 'x', '2026-11-01']) {
    await daemon.refuses(400, /^period: /, 'GET', `/v2/usage?period=${bad}`);
  }
  await daemon.refuses(404, /nobody/, 'GET', '/v2/box/nobody/usage');
});

leakless(daemon, 'hutch usage explains the bill', async () => {
  const box = await daemon.box({ name: 'bill' });
  await burn(box, 100_000_000);
  await pause(box);
  const text = await output(daemon, ['usage', 'bill']);
  assert.match(text, /^bill, since it was made\nWHAT +USED +RATE +COST\nCPU +0\.\d\ds = .* vCPU-hours +\$3600\.00 per active vCPU-hour +\$/);
  assert.match(text, /\nStorage .*-hours = .* GB-months +\$730\.00 per GB-month +<?\$.*\nMemory .* at most +free +\$0\nNetwork .*\nTotal +\$/);
  const all = await output(daemon, ['usage']);
  assert.match(all, new RegExp(`\nbill +${box.id} +0\\.\\d\\ds `));
  assert.match(all, new RegExp(`\n\nAll boxes, ${month()}\nWHAT`));
  assert.equal((await json(daemon, ['usage', 'bill'])).cpu_ns, (await usage(box)).cpu_ns);
  assert.match(await output(daemon, ['usage', 'bill', '--period', month()]), new RegExp(`^bill, ${month()}\n`));
  const none = await hutch(daemon, ['usage', 'bill', '--period', '2001-01']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /used nothing in 2001-01/);
});
