// Secrets at rest: whatever the daemon was told, the bytes of its state directory and its log do not have it.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite({ args: ['--private_webhooks'] });

const canary = (name) => `canary-${name}-4f1d9`;
const kCanaries = ['box-env', 'customer-env', 'github-token', 'agent-key', 'model-key', 'mcp-header', 'hook-path', 'hook-query', 'hook-user', 'hook-header', 'schedule-path', 'schedule-header', 'attached-header', 'shared-header'].map(canary);

/// What of the canaries is in a file below the state directory, or in the log.
function found() {
  const all = [];
  const look = (directory) => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const file = path.join(directory, entry.name);
      if (entry.isDirectory()) look(file);
      if (!entry.isFile()) continue;
      const bytes = fs.readFileSync(file);
      all.push(...kCanaries.filter((secret) => bytes.includes(secret)).map((secret) => `${secret} in ${file}`));
    }
  };
  look(daemon.state);
  const log = daemon.log.join('\n');
  return [...all, ...kCanaries.filter((secret) => log.includes(secret)).map((secret) => `${secret} in the log`)];
}

const kEnv = '/v2/box/settings/env';

leakless(daemon, 'no secret is in a file of the daemon, nor in its log: at work, killed, started again, deleted', async (context) => {
  // A receiver that fails, so that the prompt keeps its webhook and the log speaks of it.
  const server = http.createServer((request, response) => response.writeHead(500).end()).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  context.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address();
  const box = await daemon.box({
    env_vars: { SECRET: canary('box-env') }, attach_headers: { 'api.hosts.test': { 'X-Key': canary('attached-header') } }, github_token: canary('github-token'), agent: 'custom', model: 'openai/m', agent_api_key: canary('agent-key'),
    custom_runner: { command: '/bin/sh', args: ['-c', `printf 'event: done\\ndata: {"output":"x"}\\n\\n'`, 'agent'], protocol: 'box-sse-v1' },
    mcp_servers: [{ name: 'there', source: 'url', package_or_url: 'https://tools.example/mcp', headers: { Authorization: canary('mcp-header') } }],
  });
  await daemon.json('PUT', kEnv, { env_vars: { SHARED: canary('customer-env') } });
  await daemon.json('PUT', '/v2/box/settings/attach-headers', { attach_headers: { '*.hosts.test': { 'X-Key': canary('shared-header') } } });
  await daemon.json('PUT', '/v2/box/settings/model-keys/openai', { key: canary('model-key') });
  const hook = `http://${canary('hook-user')}:x@127.0.0.1:${port}/${canary('hook-path')}?key=${canary('hook-query')}`;
  await daemon.json('POST', `${box.path}/run`, { prompt: 'x', webhook: { url: hook, headers: { 'X-Key': canary('hook-header') } } });
  await daemon.json('POST', `${box.path}/schedules`, { type: 'exec', cron: '0 0 1 1 *', command: ['true'], webhook_url: `https://example.org/${canary('schedule-path')}`, webhook_headers: { 'X-Key': canary('schedule-header') } }, 201);
  const said = await until('the webhook failed', () => daemon.log.find((line) => line.includes('webhook')));
  assert.ok(said.includes(`webhook http://127.0.0.1:${port}: `), said);
  assert.deepEqual(found(), []);

  await daemon.end('SIGKILL');
  assert.deepEqual(found(), []);
  await daemon.launch();
  assert.deepEqual(found(), []);
  const hash = crypto.createHash('sha256').update(`${canary('box-env')} ${canary('customer-env')}`).digest('hex');
  assert.ok((await box.sh('printf "%s %s" "$SECRET" "$SHARED" | sha256sum')).startsWith(hash), 'commands have them');

  await daemon.json('PUT', kEnv, { env_vars: {} });
  await daemon.json('DELETE', '/v2/box/settings/model-keys/openai');
  await daemon.json('PUT', '/v2/box/settings/attach-headers', { attach_headers: {} });
  await daemon.removeAll();
  assert.deepEqual(found(), []);
});

leakless(daemon, 'a daemon does not start without its key, or with another', async () => {
  const key = `${daemon.state}/secret.key`;
  assert.equal(fs.statSync(key).mode & 0o777, 0o600);
  const kept = fs.readFileSync(key);
  await daemon.end('SIGTERM');
  const refusal = async () => {
    daemon.spawn();
    const [code] = await daemon.exited;
    assert.equal(code, 1);
    return daemon.log.join('\n');
  };
  fs.rmSync(key);
  assert.match(await refusal(), /secret\.key is missing: the secrets in \S+hutch\.db are sealed with it; restore it/);
  fs.writeFileSync(key, Buffer.alloc(32, 1), { mode: 0o600 });
  assert.match(await refusal(), /secret\.key is not the key that/);
  fs.writeFileSync(key, kept);
  fs.chmodSync(key, 0o644);
  assert.match(await refusal(), /secret\.key is open to others; chmod 600 it/);
  fs.chmodSync(key, 0o600);
  await daemon.launch();
});
