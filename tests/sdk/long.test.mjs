// Calls of many minutes through the official npm client. Node's fetch gives an answer up in which nothing has come for
// five; what the daemon sends instead of nothing must reach nobody.

import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { Clock } from '../e2e/lib/clock.mjs';
import { leakless, needs, suite } from '../e2e/lib/suite.mjs';
import { disconnect, install } from './install.mjs';

needs();
const { Agent, Box } = await import(pathToFileURL(install()));
const clock = new Clock();
const daemon = suite({ tcp: true, env: clock.env });

const kMinutes = 20;
const kBegin = 'echo > /tmp/began';
const kWait = `${kBegin}; echo out; echo err >&2; cat /tmp/go; exit 4`;

const begun = (box) => box.exec.command('cat /tmp/began');

/// A test of a call that is let go on after twenty minutes.
function long(name, create, call) {
  leakless(daemon, name, async () => {
    process.env.UPSTASH_BOX_BASE_URL = daemon.url;
    process.env.UPSTASH_BOX_API_KEY = daemon.key;
    try {
      const box = await Box.create({ timeout: 24 * 3600 * 1000, ...create });
      await box.exec.command('mkfifo /tmp/began /tmp/go');
      await call(box, async () => {
        await begun(box);
        for (let minute = 0; minute < kMinutes; ++minute) await clock.pass(60, daemon);
        await box.exec.command('echo last > /tmp/go');
      });
    } finally {
      await disconnect();
    }
  });
}

long('exec.command', {}, async (box, pass) => {
  const [run] = await Promise.all([box.exec.command(kWait), pass()]);
  assert.deepEqual([run.stdout, run.stderr, run.exitCode, run.status], ['out\nlast\n', 'err\n', 4, 'failed']);
});

long('exec.command in a box that ends', {}, async (box) => {
  const [run] = await Promise.all([box.exec.command(`${kBegin}; sleep 1000`), (async () => {
    await begun(box);
    await clock.pass(60, daemon);
    await box.delete();
  })()]);
  assert.equal(run.status, 'failed');
  assert.match(run.result, /was deleted/);
});

long('exec.stream', {}, async (box, pass) => {
  const stream = await box.exec.stream(kWait);
  const chunks = [];
  const read = async () => {
    for await (const chunk of stream) chunks.push(chunk);
  };
  await Promise.all([read(), pass()]);
  assert.equal(chunks.filter(({ type }) => type === 'output').map(({ data }) => data).join(''), 'out\nerr\nlast\n');
  assert.equal(chunks.at(-1).exitCode, 4);
});

const kAgent = `${kBegin}; cat /tmp/go > /dev/null; printf 'event: text\\ndata: {"text":"a"}\\n\\nevent: done\\ndata: {"output":"told"}\\n\\n'`;
const agent = { harness: Agent.Custom ?? 'custom', model: 'mine', customHarness: { command: '/bin/sh', args: ['-c', kAgent, 'agent'], protocol: 'box-sse-v1' } };

long('agent.run', { agent }, async (box, pass) => {
  const [run] = await Promise.all([box.agent.run({ prompt: 'x' }), pass()]);
  assert.deepEqual([run.status, run.result], ['completed', 'told']);
});

long('agent.stream', { agent }, async (box, pass) => {
  const chunks = [];
  const read = async () => {
    for await (const chunk of await box.agent.stream({ prompt: 'x' })) chunks.push(chunk.type);
  };
  await Promise.all([read(), pass()]);
  assert.deepEqual(chunks, ['start', 'text-delta', 'stats', 'finish']);
});
