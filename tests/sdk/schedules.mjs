// Schedules by the client; what only newer ones call, at the wire.

import assert from 'node:assert/strict';
import { calls, daemon, refuses, sdk } from './client.mjs';

const { Agent, Box, EphemeralBox } = sdk;
const kNewYear = '0 0 1 1 *'; // none of them fires here: time is e2e/schedules'
const kScript = 'printf \'event: done\\ndata: {"output":"x"}\\n\\n\'';
const runner = { command: '/bin/sh', args: ['-c', kScript, 'agent'], protocol: 'box-sse-v1' };
const withAgent = () => Box.create({ agent: { harness: Agent.Custom ?? 'custom', model: 'mine', customHarness: runner } });

async function drive(box) {
  const exec = await box.schedule.exec({ cron: kNewYear, command: ['echo', 'hi'], folder: 'work', webhookUrl: 'https://example.org/hook', webhookHeaders: { 'X-Token': 'secret' } });
  const { id, created_at, updated_at, next_run_at, customer_id, ...rest } = exec;
  assert.deepEqual(rest, {
    box_id: box.id, type: 'exec', cron: kNewYear, command: ['echo', 'hi'], folder: '/workspace/home/work', status: 'active', total_runs: 0, total_failures: 0,
    webhook_url: 'https://example.org/hook', webhook_headers: { 'X-Token': '********' },
  });
  assert.ok(id && created_at === updated_at && next_run_at > created_at && customer_id);
  assert.deepEqual(await box.schedule.get(id), exec);
  assert.deepEqual(await box.schedule.list(), [exec]);
  await box.schedule.pause(id);
  assert.equal((await box.schedule.get(id)).status, 'paused');
  await box.schedule.resume(id);
  assert.equal((await box.schedule.get(id)).status, 'active');
  await refuses(400, /^cron: minute: "61" is not from 0 to 59/, () => box.schedule.exec({ cron: '61 * * * *', command: ['true'] }));
  await refuses(409, /has no agent/, () => box.schedule.agent({ cron: kNewYear, prompt: 'x' }));
  return exec;
}

calls('schedules of commands: all the client can do with them', async () => {
  const box = await Box.create();
  const { id } = await drive(box);
  await box.cd('/tmp');
  assert.equal((await box.schedule.exec({ cron: kNewYear, command: ['true'] })).folder, '/tmp');
  await box.schedule.delete(id);
  assert.deepEqual((await box.schedule.list()).map(({ folder }) => folder), ['/tmp']);
  await refuses(404, /^schedule: /, () => box.schedule.get(id));
  for (const call of ['pause', 'resume', 'delete']) await refuses(404, /^schedule: /, () => box.schedule[call](id));
});

calls('schedules of an ephemeral box', async () => {
  const box = await EphemeralBox.create({ ttl: 600 });
  const { id } = await drive(box);
  await box.schedule.delete(id);
  await daemon.json('PUT', `/v2/box/${box.id}/config/custom-runner`, { custom_runner: runner }); // the client makes none with an agent
  const prompt = await box.schedule.agent({ cron: kNewYear, prompt: 'x' });
  assert.deepEqual(await box.schedule.list(), [prompt]);
});

calls('schedules of prompts', async () => {
  const box = await withAgent();
  const schedule = await box.schedule.agent({ cron: '0 9 * * mon-fri', prompt: 'look', model: 'other', timeout: 60_000, webhookUrl: 'https://example.org/hook' });
  assert.deepEqual([schedule.type, schedule.prompt, schedule.model, schedule.timeout, schedule.folder, schedule.webhook_url],
    ['prompt', 'look', 'other', 60_000, '/workspace/home', 'https://example.org/hook']);
  assert.deepEqual(await box.schedule.get(schedule.id), schedule);
});

calls('PATCH, as newer clients call it: what is said is another, what is empty goes', async () => {
  const box = await withAgent();
  const { id, ...made } = await box.schedule.agent({ cron: kNewYear, prompt: 'look', model: 'other', timeout: 60_000, webhookUrl: 'https://example.org/hook' });
  const patch = (body) => fetch(`${daemon.url}/v2/box/${box.id}/schedules/${id}`, { method: 'PATCH', body: JSON.stringify(body), headers: { 'content-type': 'application/json', 'x-box-api-key': daemon.key } });
  const changed = await (await patch({ prompt: 'look again', model: '', webhook_url: '', agent_options: null })).json();
  const { model, webhook_url, ...rest } = made;
  assert.deepEqual(changed, { ...rest, id, prompt: 'look again', updated_at: changed.updated_at });
  assert.deepEqual(await box.schedule.get(id), changed);
  assert.equal((await patch({ prompt: '' })).status, 400);
});
