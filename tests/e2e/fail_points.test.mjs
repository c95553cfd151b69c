// kill -9 of the daemon at every step of what changes the files of boxes: before each call by which it changes a file or
// makes one durable. What was acknowledged is there afterwards, whole; of what was not, nothing half is ever used.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Box } from './lib/box.mjs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
if (!fs.existsSync(process.env.FAIL_POINTS ?? '')) skip('needs FAIL_POINTS, the library to preload');
const counter = `/var/tmp/hutch-fail-points-${process.pid}`;
const daemon = suite({ args: ['--private_webhooks'], env: { LD_PRELOAD: process.env.FAIL_POINTS, HUTCH_FAIL_POINTS: counter } });

const names = (directory) => fs.readdirSync(path.join(daemon.store, directory));
const manifest = (box) => box.sh(`cd /workspace/home && find . -type f | sort | xargs md5sum`);
const take = async (box) => (await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201)).id;
const dropAll = () => daemon.json('DELETE', '/v2/box/snapshots');
const fresh = async (snapshot) => new Box(daemon, await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot }, 201));

/// Lets `passing` calls pass, and has the daemon die before the next. Back to disarmed and up at the end; answers whether
/// `work`, which may fail as its daemon dies, has been done without it.
async function dyingAt(passing, work) {
  fs.writeFileSync(`${counter}.new`, `${passing}\n`);
  fs.renameSync(`${counter}.new`, counter);
  let failure;
  try {
    await work();
  } catch (error) {
    failure = error;
  }
  fs.rmSync(counter);
  const died = !(await daemon.ask('GET', '/v2/host').then(() => true, () => false));
  if (!died && failure !== undefined) throw failure;
  if (!died) return true;
  assert.equal((await daemon.exited)[1], 'SIGKILL', daemon.log.join('\n'));
  await daemon.launch();
  return false;
}

/// `work` with a death at its first call, at its second, ... until it gets through; each followed by `check`.
async function atEveryStep(work, check) {
  let steps = 0;
  while (!(await dyingAt(steps, work))) {
    assert.deepEqual(names('tmp'), [], 'half layers are swept by a start');
    await check();
    ++steps;
  }
  await check();
  return steps;
}

/// What is acknowledged by `snapshots`, with what it must hold, and what is only listed: all of it must be whole.
async function assertWhole(box, snapshots) {
  const listed = (await daemon.json('GET', `${box.path}/snapshots`)).snapshots.map(({ id }) => id);
  for (const id of snapshots.keys()) assert.ok(listed.includes(id), `snapshot ${id} was acknowledged, and is gone`);
  const files = await manifest(box);
  for (const id of listed.slice(-2)) {
    const copy = await fresh(id);
    assert.equal(await manifest(copy), snapshots.get(id) ?? files);
    await copy.remove();
  }
}

leakless(daemon, 'a snapshot of a box that rests', async (context) => {
  const box = await daemon.box();
  const snapshots = new Map();
  let round = 0;
  const steps = await atEveryStep(async () => {
    const files = await manifest(box);
    snapshots.set(await take(box), files);
  }, async () => {
    await assertWhole(box, snapshots);
    await box.sh(`echo ${++round} > file; mkdir -p d; echo ${round} > d/${round}`);
    await dropAll();
    snapshots.clear();
  });
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 10);
});

leakless(daemon, 'a snapshot of a box at work', async (context) => {
  const box = await daemon.box();
  await box.sh('mkdir d; echo 1 > d/file; ln d/file hard; ln -s file link; sleep 1000 > /dev/null 2>&1 &');
  const snapshots = new Map();
  const files = await manifest(box);
  const steps = await atEveryStep(async () => snapshots.set(await take(box), files), async () => {
    await box.sh('pidof sleep');
    await assertWhole(box, snapshots);
    await dropAll();
    snapshots.clear();
  });
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 10);
});

leakless(daemon, 'boxes from a snapshot, and forks', async (context) => {
  const box = await daemon.box();
  await box.sh('echo 1 > file');
  const files = await manifest(box);
  const snapshot = await take(box);
  const check = async () => {
    for (const { id } of await daemon.json('GET', '/v2/box')) {
      const found = new Box(daemon, { id });
      assert.equal(await manifest(found), files);
      if (id !== box.id) await found.remove();
    }
  };
  const steps = await atEveryStep(() => fresh(snapshot), check) +
    await atEveryStep(() => daemon.json('POST', `${box.path}/fork`, { count: 2 }, 201), check);
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 10);
  await dropAll();
});

leakless(daemon, 'a box with headers, an agent and an identity', async (context) => {
  const kAsked = {
    attach_headers: { 'api.example.com': { 'X-Token': 'secret' } },
    agent: 'custom', custom_runner: { command: '/bin/true' }, git_user_name: 'Jane', init_command: 'echo begun > begun',
  };
  const steps = await atEveryStep(() => daemon.json('POST', '/v2/box', kAsked, 201), async () => {
    for (const made of await daemon.json('GET', '/v2/box')) {
      const box = new Box(daemon, made);
      const { attach_headers: headers } = await daemon.json('GET', `${box.path}/config/attach-headers`);
      assert.deepEqual(Object.keys(headers), ['api.example.com'], 'nobody was told of a box without its headers');
      assert.equal(made.agent, 'custom');
      assert.match(await box.read('~/.gitconfig'), /name = "Jane"/);
      await box.remove();
    }
  });
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 10);
});

leakless(daemon, 'rollback', async (context) => {
  const box = await daemon.box();
  await box.sh('echo then > file');
  const then = await manifest(box);
  const snapshot = await take(box);
  let now = then;
  const change = async () => {
    await box.sh('echo now > file; echo x > new');
    now = await manifest(box);
  };
  await change();
  let done = false;
  const steps = await atEveryStep(async () => {
    done = false;
    await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: snapshot });
    done = true;
  }, async () => {
    const found = await manifest(box);
    assert.ok(found === then || (!done && found === now), `neither then nor now:\n${found}`);
    if (!done) await change();
  });
  assert.equal(await manifest(box), then);
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 5);
  await dropAll();
});

leakless(daemon, 'flattening', async (context) => {
  const box = await daemon.box();
  const snapshots = new Map();
  const grow = async () => {
    await box.sh('date +%N > file; mkdir -p d; ln -f file d/hard; ln -sf file d/link; rm -f gone; touch "d/$(cat file)"');
    const files = await manifest(box);
    snapshots.set(await take(box), files);
  };
  for (let i = 0; i < 15; ++i) await grow();
  const [high, files] = [...snapshots].at(-1);
  const steps = await atEveryStep(async () => {
    const { log } = daemon;
    const begun = log.length;
    await grow();
    const done = () => log.slice(begun).some((line) => /layers below box \S+ made one/.test(line));
    await until('it is done', () => done() || !daemon.running);
  }, async () => {
    await assertWhole(box, snapshots);
    for (const id of [...snapshots.keys()].slice(15)) {
      await daemon.json('DELETE', `${box.path}/snapshots/${id}`);
      snapshots.delete(id);
    }
    await daemon.json('POST', `${box.path}/rollback`, { snapshot_id: high });
    assert.equal(await manifest(box), files);
  });
  context.diagnostic(`${steps} steps`);
  assert.ok(steps > 20);
  await dropAll();
});

leakless(daemon, 'deleting, and sweeping up after a death', async (context) => {
  const begun = names('layers').length;
  const box = await daemon.box();
  await box.sh('touch file');
  const steps = await atEveryStep(async () => {
    await box.sh('date +%N > file');
    await take(box);
    await dropAll();
    await until('the trash is empty', () => names('trash').length === 0 || !daemon.running);
  }, async () => {
    await box.sh('test -e file');
    await assertWhole(box, new Map());
  });
  await dropAll();
  await box.sh('echo kept > file');
  const sweeps = await atEveryStep(async () => {
    await daemon.end('SIGKILL');
    for (const kind of ['layers', 'uppers', 'tmp']) fs.mkdirSync(path.join(daemon.store, kind, 'stray/fs'), { recursive: true });
    await daemon.launch();
  }, async () => {
    assert.equal(await box.sh('cat file'), 'kept');
    for (const kind of ['layers', 'uppers', 'tmp']) assert.ok(!names(kind).includes('stray'), `${kind} are swept`);
  });
  context.diagnostic(`${steps} and ${sweeps} steps`);
  assert.ok(steps > 10 && sweeps > 3);
  await box.remove();
  await until('nobody needs the layers', () => names('layers').length === begun);
});

leakless(daemon, 'at every step of a create with an Idempotency-Key: the same call again makes one box', async () => {
  let number = 0;
  const create = () => daemon.ask('POST', '/v2/box', { body: { name: 'one' }, headers: { 'idempotency-key': `k${number}` } });
  await atEveryStep(create, async () => {
    const { status, json } = await create();
    assert.equal(status, 201);
    assert.deepEqual((await daemon.json('GET', '/v2/box')).map(({ id }) => id), [json.id]);
    await daemon.json('DELETE', `/v2/box/${json.id}`);
    ++number;
  });
});

leakless(daemon, 'at every step of a prompt that waits: it is begun, or was never accepted, and its webhook is told', async () => {
  const heard = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    heard.push(JSON.parse(text).run_id);
    response.writeHead(200, { connection: 'close' }).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const script = 'cd /workspace/home; [ "$2" = first ] && read line < fifo; printf \'event: done\\ndata: {"output":"%s"}\\n\\n\' "$2"';
  const box = await daemon.box({ agent: 'custom', model: 'm', custom_runner: { command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' } });
  await box.sh('mkfifo fifo');
  const send = (prompt, more) => daemon.json('POST', `${box.path}/run`, { prompt, ...more });
  const hook = { webhook: { url: `http://127.0.0.1:${server.address().port}/` } };
  const agents = async () => (await daemon.json('GET', `${box.path}/runs`)).runs.filter(({ type }) => type === 'agent');
  const ended = () => until('all have ended', async () => (await agents()).every(({ status }) => status !== 'running'));
  await atEveryStep(async () => {
    await send('first');
    await send('second', hook);
    await box.sh('echo > fifo');
    await ended();
  }, async () => {
    await box.sh('timeout 1 sh -c "echo > fifo" || true'); // of a first one that still waits
    await ended();
    const seconds = (await agents()).filter(({ prompt }) => prompt === 'second').map(({ id }) => id);
    await until('each webhook is told', () => seconds.every((id) => heard.includes(id)));
  });
  server.close();
  server.closeAllConnections();
});
