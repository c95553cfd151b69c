// A daemon that cannot look at what an earlier one left must not take it for gone: it does not start, and the next one
// finds everything.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import readline from 'node:readline';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('prlimit', 'python3');
const daemon = suite();

/// Starts a hutchd so, and kills it when it serves. What it said, and whether it did.
async function attempt(words, env = {}) {
  const child = spawn(words[0], [...words.slice(1), ...daemon.args], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  const ended = once(child, 'exit');
  const said = [];
  let serves = false;
  const lines = readline.createInterface(child.stderr);
  lines.on('line', (line) => {
    said.push(line);
    if (!line.includes(`listening on ${daemon.socket}`)) return;
    serves = true;
    child.kill('SIGKILL');
  });
  await Promise.all([ended, once(lines, 'close')]);
  return { serves, said: said.join('\n') };
}

/// A box at work, one at rest and one that stands still, as the host sees them.
async function population() {
  const [busy, idle, paused] = [await daemon.box(), await daemon.box(), await daemon.box()];
  await busy.sh('mkfifo /tmp/go');
  const { run_id } = await daemon.json('POST', `${busy.path}/exec`, { command: ['sh', '-c', 'echo begun; cat /tmp/go; exit 7'], detach: true }, 202);
  await daemon.json('POST', `${paused.path}/pause`);
  const inits = [];
  for (const box of [busy, idle, paused]) inits.push((await daemon.json('GET', `${box.path}?details=1`)).details.init_pid);
  const starts = () => inits.map((pid) => fs.readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /s, '').split(' ')[19]);
  const before = starts();
  const alive = (when) => assert.deepEqual(starts(), before, when);
  const taken = async () => {
    const now = [];
    for (const box of [busy, idle, paused]) now.push((await daemon.json('GET', `${box.path}?details=1`)).details.init_pid);
    assert.deepEqual(now, inits, 'each box has the init it had');
    assert.equal((await daemon.json('GET', `${busy.path}/runs/${run_id}`)).status, 'running');
    await busy.sh('echo done > /tmp/go');
    const ended = await until('the run ends', async () => {
      const run = await daemon.json('GET', `${busy.path}/runs/${run_id}`);
      return run.status !== 'running' && run;
    });
    assert.equal(ended.exit_code, 7);
    assert.equal((await daemon.ask('GET', `${busy.path}/runs/${run_id}/output`)).text, 'begun\ndone\n');
  };
  return { alive, taken };
}

leakless(daemon, 'no descriptor to look with: no start, and nothing is lost', async () => {
  const { alive, taken } = await population();
  await daemon.end('SIGKILL');
  let refused = 0;
  for (let files = 8; ; files += files < 48 ? 1 : 4) {
    assert.ok(files < 500, 'it never starts');
    const { serves, said } = await attempt(['prlimit', `--nofile=${files}:${files}`, process.env.HUTCHD]);
    alive(`after a start with ${files} descriptors:\n${said}`);
    if (serves) break;
    refused += /Too many open files/.test(said) ? 1 : 0;
  }
  assert.ok(refused > 5, 'none of the starts lacked descriptors');
  await daemon.launch();
  await taken();
});

for (const [what, number] of [['pidfd_open', 434], ['pidfd_getfd', 438]]) {
  for (const [code, words] of [[1, 'Operation not permitted'], [12, 'Cannot allocate memory'], [23, 'Too many open files']]) {
    leakless(daemon, `${what} that answers "${words}": no start, and nothing is lost`, async () => {
      const { alive, taken } = await population();
      await daemon.end('SIGKILL');
      const env = { LD_PRELOAD: process.env.FAIL_POINTS, HUTCH_REFUSED_SYSCALL: `${number} ${code}` };
      const { serves, said } = await attempt([process.env.HUTCHD], env);
      assert.equal(serves, false, said);
      assert.match(said, new RegExp(`may be alive.*${words}`));
      alive(said);
      await daemon.launch();
      await taken();
    });
  }
}

leakless(daemon, 'layers that cannot be looked at: no start, and no image and no snapshot is lost', async () => {
  const box = await daemon.box();
  await box.write('kept', 'kept');
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201);
  await box.remove();
  await daemon.end('SIGKILL');
  for (const code of [5, 12, 13]) { // EIO, ENOMEM, EACCES
    const { serves, said } = await attempt([process.env.HUTCHD], { LD_PRELOAD: process.env.FAIL_POINTS, HUTCH_REFUSED_STATUS: `/fs ${code}` });
    assert.equal(serves, false, said);
    assert.match(said, /layer/);
  }
  await daemon.launch();
  const made = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: id }, 201);
  assert.equal((await daemon.json('GET', `/v2/box/${made.id}/files/read?path=kept`)).content, 'kept');
  await (await daemon.box()).sh('true');
  await daemon.json('DELETE', '/v2/box/snapshots');
});

/// Has the records refuse each change of what agents are told.
async function withoutAgentRecords(use) {
  const alter = (sql) => execFileSync('python3', ['-c', 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])', `${daemon.state}/hutch.db`, sql]);
  alter("create trigger refuse before insert on agents begin select raise(fail, 'refused by the test'); end;");
  try {
    await use();
  } finally {
    alter('drop trigger refuse;');
  }
}

leakless(daemon, 'a snapshot or a fork whose agent cannot be written down is none', async () => {
  const agent = { agent: 'custom', model: 'custom', custom_runner: { command: 'true' } };
  const box = await daemon.box(agent);
  await withoutAgentRecords(async () => {
    await daemon.refuses(500, /refused by the test/, 'POST', `${box.path}/snapshots`, { body: { name: 'half' } });
    assert.deepEqual((await daemon.json('GET', '/v2/box/snapshots')).snapshots, []);
    await daemon.refuses(500, /refused by the test/, 'POST', `${box.path}/fork`, { body: { count: 2 } });
    await daemon.refuses(500, /refused by the test/, 'POST', '/v2/box', { body: agent });
    assert.deepEqual((await daemon.json('GET', '/v2/box')).map(({ id }) => id), [box.id]);
  });
  assert.equal(await box.sh('echo goes on'), 'goes on');
});
