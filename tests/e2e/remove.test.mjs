// `hutch rm --force` takes a box away whatever state it is in, and leaves nothing of it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { output, start } from './lib/command.mjs';
import { connections, unifiedGroup } from './lib/host.mjs';
import { groupOf, stuckOptions, whileStuck } from './lib/processes.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite();

const call = (box, what, status) => daemon.json('POST', `${box.path}/${what}`, undefined, status);
const upper = (box) => `${daemon.store}/uppers/${box.id}`;
const run = (box) => daemon.json('POST', `${box.path}/exec`, { command: ['sleep', '1000'], detach: true }, 202);
const is = (box, status) => until(`it is ${status}`, async () => await box.status() === status);

/// Succeeds, says nothing, and nothing is left.
async function remove(...names) {
  assert.equal(await output(daemon, ['rm', '--force', ...names]), '');
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  assert.deepEqual(await daemon.census(), daemon.baseline);
}

async function killInit(box) {
  const { details } = await daemon.json('GET', `${box.path}?details=1`);
  process.kill(details.init_pid, 'SIGKILL');
  await is(box, 'paused');
}

/// It is without an init, and without its files.
async function ruin(box) {
  await killInit(box);
  const away = `${daemon.store}/tmp/${box.id}`; // the store may be a file system of its own
  fs.renameSync(upper(box), away);
  fs.rmSync(away, { recursive: true });
}

/// Its start has failed: where its files were there is something else.
async function fail(box) {
  await ruin(box);
  fs.writeFileSync(upper(box), 'rubbish');
  await call(box, 'resume', 500);
}

/// How a box comes into each state that it can stay in, by the status it then has.
const states = [
  ['idle', 'idle', () => {}],
  ['idle, with something left running', 'idle', (box) => box.sh('sleep 1000 > /dev/null 2>&1 &')],
  ['running', 'running', run],
  ['paused', 'paused', (box) => call(box, 'pause')],
  ['paused, a command frozen with it', 'paused', async (box) => {
    await run(box);
    await call(box, 'pause');
  }],
  ['paused, its init killed', 'paused', killInit],
  ['paused, its init killed while it was frozen', 'paused', async (box) => {
    await call(box, 'pause');
    const { details } = await daemon.json('GET', `${box.path}?details=1`);
    process.kill(details.init_pid, 'SIGKILL');
    await until('its end is noticed', () => !fs.existsSync(groupOf(box)));
  }],
  ['paused, its files gone', 'paused', ruin],
  ['in error', 'error', fail],
  ['running, kept alive', 'running', (box) => is(box, 'running'), { keep_alive: true, init_command: 'sleep 1000' }],
  ['idle, ephemeral', 'idle', () => {}, { ephemeral: true }],
];

for (const [what, status, enter, body] of states) {
  leakless(daemon, `rm --force of a box that is ${what}`, async () => {
    const box = await daemon.box({ name: 'web', ...body });
    await enter(box);
    assert.equal(await box.status(), status);
    await remove('web');
  });

  leakless(daemon, `rm --force by the next daemon of a box that was ${what}`, async () => {
    const box = await daemon.box({ name: 'web', ...body });
    await enter(box);
    await daemon.end('SIGKILL');
    await daemon.launch();
    assert.equal(await output(daemon, ['rm', '--force', 'web']), '');
    assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  });
}

leakless(daemon, 'rm --force of boxes in all states at once', async () => {
  const names = await Promise.all(states.map(async ([, status, enter, body], i) => {
    const box = await daemon.box({ name: `box-${i}`, ...body });
    await enter(box);
    assert.equal(await box.status(), status);
    return `box-${i}`;
  }));
  await remove(...names, 'missing');
});

leakless(daemon, 'rm --force of a box that is being made waits until it is, and removes it', async () => {
  const all = `${unifiedGroup(daemon.name)}/cgroup.freeze`;
  fs.writeFileSync(all, '1'); // its init is born frozen, and does not get ready
  let making;
  let removing;
  try {
    making = daemon.ask('POST', '/v2/box', { body: { name: 'early' } });
    await until('it is creating', async () => {
      const answer = await daemon.ask('GET', '/v2/box/early/status');
      return answer.status === 200 && answer.json.status === 'creating';
    });
    const waiting = (count) => until(`${count} calls wait`, () => connections(daemon.socket) === count);
    await waiting(1);
    removing = start(daemon, ['rm', '--force', 'early']).ended;
    await waiting(2);
    assert.equal((await daemon.json('GET', '/v2/box/early/status')).status, 'creating');
  } finally {
    fs.writeFileSync(all, '0');
  }
  const { code, stdout, stderr } = await removing;
  assert.deepEqual([code, stdout, stderr], [0, '', '']);
  await making;
  await remove('early');
});

leakless(daemon, 'rm --force of a box that is being deleted, or is not there', stuckOptions, async () => {
  const box = await daemon.box({ name: 'slow' });
  await whileStuck(box, async () => {
    assert.equal(await output(daemon, ['rm', '--force', 'slow']), '');
    assert.equal((await daemon.json('GET', '/v2/host')).deleting, 1);
    for (const name of ['slow', box.id, 'never']) assert.equal(await output(daemon, ['rm', '--force', name]), '');
    assert.equal((await daemon.json('GET', '/v2/host')).deleting, 1);
  });
  await remove('slow');
});

leakless(daemon, 'rm --force of one box from several sides at once', async () => {
  for (let i = 0; i < 5; ++i) {
    const box = await daemon.box({ name: 'web' });
    await run(box);
    const calls = ['web', box.id, 'web', box.id].map((name) => output(daemon, ['rm', '--force', name]));
    assert.deepEqual(await Promise.all(calls), ['', '', '', '']);
  }
  await remove('web');
});
