// What no code expects: memory that is not there, thrown as an exception in the middle of what goes on behind a request.
// Whoever waits is answered, nothing stays at work, and the daemon serves on.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { Stream } from './lib/box.mjs';
import { open } from './lib/http.mjs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
if (!fs.existsSync(process.env.THROWS ?? '')) skip('needs THROWS, the library to preload');
const control = `/var/tmp/hutch-throws-${process.pid}`;
// Nothing is made ahead: what is thrown, or hangs, meets the request.
const daemon = suite({ pool: 0, env: { LD_PRELOAD: process.env.THROWS, HUTCH_THROWS: control } });

/// The `passes + 1`-th such call of the daemon throws.
function arm(call, text, passes = 0) {
  fs.writeFileSync(`${control}.new`, `${call} ${text} ${passes}\n`);
  fs.renameSync(`${control}.new`, control);
}

/// Leakless, and the exception was really thrown.
function throwing(name, run) {
  leakless(daemon, name, async () => {
    try {
      await run();
      assert.ok(!fs.existsSync(control), 'nothing was thrown');
    } finally {
      fs.rmSync(control, { force: true });
    }
  });
}

const runsOf = async (box) => (await daemon.json('GET', `${box.path}/runs`)).runs;
const said = (about) => daemon.log.some((line) => about.test(line));

throwing('in the account of an agent: the prompt has failed, its program is gone, and the next one is taken', async () => {
  const script = 'echo "$$" > pid; echo; test "$2" = first && sleep 1000; printf \'event: done\\ndata: {"output":"x"}\\n\\n\'';
  const box = await daemon.box({ agent: 'custom', custom_runner: { command: '/bin/sh', args: ['-c', script, 'agent'] } });
  arm('pread', '/runs/');
  const { run_id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'first' });
  const run = await until('the prompt has ended', async () => {
    const now = await daemon.json('GET', `${box.path}/runs/${run_id}`);
    return now.status !== 'running' && now;
  });
  assert.equal(run.status, 'failed');
  assert.match(run.error_message, /hutchd could not take account of it: std::bad_alloc/);
  assert.ok(said(new RegExp(`taking account of run ${run_id}: ended by an exception`)), daemon.log.join('\n'));
  await until('its program is gone', async () => await box.fails('kill -0 $(cat pid) 2>&-') !== 0);
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt: 'second' } });
  assert.equal((await new Stream(response).finish()).event, 'done');
});

throwing('in the start of a run: it is refused, and nothing of it stays', async () => {
  const box = await daemon.box();
  arm('openat', '.out');
  await daemon.refuses(500, /bad_alloc/, 'POST', `${box.path}/exec`, { body: { command: ['sh', '-c', 'echo; sleep 1000'] } });
  assert.deepEqual(await runsOf(box), []);
  assert.equal(await box.status(), 'idle');
  assert.equal(await box.sh('ps | grep -c "[s]leep 1000" || true'), '0');
});

throwing('in the carrying of a run: it has failed, and its box serves on', async () => {
  const box = await daemon.box();
  arm('openat', '.out', 1);
  await daemon.refuses(500, /bad_alloc/, 'POST', `${box.path}/exec`, { body: { command: ['sh', '-c', 'echo; sleep 1000'] } });
  const [run] = await runsOf(box);
  assert.equal(run.status, 'failed');
  await until('its process is gone', async () => await box.sh('ps | grep -c "[s]leep 1000" || true') === '0');
});

throwing('in the making of a fork: all of them are refused, and none stays', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > file');
  arm('openat', 'b-', 2);
  await daemon.refuses(500, /bad_alloc/, 'POST', `${box.path}/fork`, { body: { count: 3 } });
  assert.deepEqual((await daemon.json('GET', '/v2/box')).map(({ id }) => id), [box.id]);
  assert.equal(await box.read('file'), 'kept\n');
});

throwing('in the run of an image build: it has failed, and its box is gone', async () => {
  arm('read', 'pipe:'); // which has what the script says
  const build = new Stream(await open(daemon.socket, 'POST', '/v2/images/made/build', { body: { from: 'busybox', script: 'echo hello; exec sleep 1000' } }));
  const { event, data } = await build.finish();
  assert.equal(event, 'error');
  assert.match(data.error, /bad_alloc/);
  assert.ok(!(await daemon.json('GET', '/v2/images')).images.some(({ name }) => name === 'made'));
});

// Its lock is not given back by a call that hangs, so this one is the last.
throwing('a kernel call that does not come back does not keep the daemon from its end', async () => {
  arm('hang:openat', 'b-');
  const lost = assert.rejects(daemon.ask('POST', '/v2/box', { body: {} }));
  await until('it hangs', () => !fs.existsSync(control));
  assert.deepEqual(await daemon.end('SIGTERM'), { code: 1, signal: null });
  await lost;
  assert.ok(said(/changes of boxes are cut off/) && said(/does not come back/), daemon.log.join('\n'));
  await daemon.launch();
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
});
