// Agents: prompts, streams and callbacks of the client, with a harness written by its own helper.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { until } from '../e2e/lib/until.mjs';
import { calls, daemon, refuses, sdk } from './client.mjs';

const { Agent, Box } = sdk;

// The image has no Node: what the client's helper would write, by a shell.
const say = (event, data) => `printf 'event: ${event}\\ndata: %s\\n\\n' '${JSON.stringify(data)}'`;
const kScript = [
  say('thinking', { text: 'let me see' }), say('tool', { toolCallId: 't1', name: 'Bash', input: { command: 'ls' } }),
  say('tool_result', { toolCallId: 't1', output: 'README.md' }), say('text', { text: 'It says: ' }), say('text', { text: '{"answer":42}' }),
  say('custom_thing', { x: 1 }),
  say('done', { output: '{"answer":42}', input_tokens: 10, output_tokens: 5, cached_input_tokens: 2, total_cost_usd: 0.01, session_id: 'abc' }),
].join('; ');

const withAgent = (script = kScript) => Box.create({
  agent: { harness: Agent.Custom ?? 'custom', model: 'mine', customHarness: { command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' } },
});

calls('agent.run: result, usage, callbacks', async () => {
  const box = await withAgent();
  const tools = [];
  const results = [];
  const run = await box.agent.run({ prompt: 'what is it', onToolUse: (tool) => tools.push(tool), onToolResult: (result) => results.push(result) });
  assert.deepEqual([run.status, run.result], ['completed', '{"answer":42}']);
  assert.deepEqual([run.cost.inputTokens, run.cost.outputTokens, run.cost.totalUsd], [10, 5, 0.01]);
  assert.deepEqual(tools, [{ toolCallId: 't1', name: 'Bash', input: { command: 'ls' } }]);
  assert.deepEqual(results, [{ toolCallId: 't1', output: 'README.md' }]);
  const [listed] = await box.listRuns();
  assert.deepEqual([listed.id, listed.type, listed.status, listed.input_tokens], [run.id, 'agent', 'completed', 10]);
});

calls('agent: prompts that come together have their turns, and one that waits can be cancelled', async () => {
  const box = await withAgent();
  const runs = await Promise.all(['a', 'b', 'c'].map((prompt) => box.agent.run({ prompt })));
  assert.deepEqual(runs.map(({ status, result }) => [status, result]), Array(3).fill(['completed', '{"answer":42}']));
  const busy = await withAgent(`${say('text', { text: 'busy' })}; sleep 1000`);
  const first = await busy.agent.stream({ prompt: 'x' });
  for await (const chunk of first) if (chunk.type === 'text-delta') break;
  const second = await busy.agent.stream({ prompt: 'y' });
  const chunks = [];
  await assert.rejects(async () => {
    for await (const chunk of second) {
      chunks.push(chunk.type);
      if (chunk.type === 'start') await busy._request('POST', `/v2/box/${busy.id}/runs/${chunk.runId}/cancel`);
    }
  }, /cancelled before its turn came/);
  assert.deepEqual(chunks, ['start', 'stats']);
  await first.cancel();
  assert.deepEqual((await busy.listRuns()).map(({ status }) => status), ['cancelled', 'cancelled']);
});

calls('agent.run: an answer of a schema', async () => {
  const box = await withAgent();
  const responseSchema = { parse: (value) => (assert.equal(typeof value.answer, 'number'), value) };
  const run = await box.agent.run({ prompt: 'x', responseSchema });
  assert.deepEqual(run.result, { answer: 42 });
});

calls('agent.stream: every kind of chunk, in order', async () => {
  const box = await withAgent();
  const stream = await box.agent.stream({ prompt: 'x' });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.deepEqual(chunks.map(({ type }) => type),
    ['start', 'reasoning', 'tool-call', 'tool-result', 'text-delta', 'text-delta', 'unknown', 'stats', 'finish']);
  assert.deepEqual(chunks.at(-1).usage, { inputTokens: 10, outputTokens: 5, cachedInputTokens: 2 });
  assert.equal(chunks.at(-1).sessionId, 'abc');
  assert.equal(stream.status, 'completed');
});

calls('agent.run: files by their content and by their path', async () => {
  const box = await withAgent(`f=$(printf '%s' "$2" | grep -o '/home/[^ ]*' | head -1); ${say('done', { output: 'OUT' }).replace("'{\"output\":\"OUT\"}'", '"{\\"output\\":\\"$(cat $f)\\"}"')}`);
  assert.equal((await box.agent.run({ prompt: 'read', files: [{ data: Buffer.from('inline').toString('base64'), mediaType: 'text/plain', filename: 'a.txt' }] })).result, 'inline');
  const file = `/var/tmp/hutch-sdk-prompt-${process.pid}.txt`;
  fs.writeFileSync(file, 'by path');
  try {
    assert.equal((await box.agent.run({ prompt: 'read', files: [file] })).result, 'by path');
  } finally {
    fs.rmSync(file);
  }
});

calls('agent: cancel, failure, and a harness that has no such option', async () => {
  const box = await withAgent(`${say('text', { text: 'busy' })}; sleep 1000`);
  const stream = await box.agent.stream({ prompt: 'x' });
  for await (const chunk of stream) if (chunk.type === 'text-delta') break;
  await stream.cancel();
  assert.equal((await box.listRuns())[0].status, 'cancelled');
  const failing = await withAgent(say('error', { error: 'model overloaded' }));
  await assert.rejects(failing.agent.run({ prompt: 'x' }), /model overloaded/);
  await refuses(400, /^agent_options\.maxTurns: /, () => box.agent.run({ prompt: 'x', options: { maxTurns: 1 } }));
  await refuses(409, /has no agent/, async () => {
    const plain = await Box.create();
    plain._isAgentConfigured = true;
    await plain._request('POST', `/v2/box/${plain.id}/run`, { body: { prompt: 'x' } });
  });
});

calls('agent: model and harness of a box', async () => {
  const box = await withAgent();
  await box.configureModel('openai/gpt-5');
  await box.configureCustomHarness({ command: '/bin/sh', args: ['-c', say('done', { output: 'other' })], protocol: 'box-sse-v1' });
  assert.equal((await box.agent.run({ prompt: 'x' })).result, 'other');
  assert.equal((await Box.get(box.id)).modelConfig.model, 'openai/gpt-5');
});

calls('Box.create: MCP servers, which the harness is told', async () => {
  const servers = [{ name: 'files', package: '@org/server', args: ['/workspace'] }, { name: 'there', url: 'https://tools.example/mcp', headers: { Authorization: 'Bearer x' } }];
  const script = `printf '%s' "$HUTCH_MCP_SERVERS" > /workspace/home/told; ${say('done', { output: 'done' })}`;
  const box = await Box.create({ mcpServers: servers, agent: { harness: Agent.Custom ?? 'custom', model: 'mine', customHarness: { command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' } } });
  await box.agent.run({ prompt: 'x' });
  assert.deepEqual(JSON.parse(await box.files.read('told')), [{ name: 'files', source: 'npm', package_or_url: '@org/server', args: ['/workspace'] },
    { name: 'there', source: 'url', package_or_url: 'https://tools.example/mcp', headers: { Authorization: 'Bearer x' } }]);
  await refuses(400, /^mcp_servers\[0\]: name: /, () => Box.create({ mcpServers: [{ name: 'a b', package: 'p' }] }));
});

calls('skills: add, list, remove', async () => {
  const box = await Box.create({ runtime: 'git' });
  // The box's git is told that its server is here.
  await box.exec.command('git config --global url./workspace/home/.insteadOf https://github.com/; git init --quiet acme/tools.git; cd acme/tools.git; mkdir -p skills/pdf; echo how > skills/pdf/SKILL.md; git add .; git -c user.name=a -c user.email=b commit --quiet -m x; mkdir ../../other; cp -R . ../../other/pdf.git; mv skills/pdf skills/xls; git add .; git -c user.name=a -c user.email=b commit --quiet -m y');
  await box.skills.add('other/pdf/pdf');
  await box.skills.add('acme/tools');
  assert.deepEqual(await box.skills.list(), ['other/pdf/pdf', 'acme/tools']);
  await box.skills.remove('acme/tools');
  assert.equal(await box.files.read('/home/boxuser/.claude/skills/pdf/SKILL.md'), 'how\n');
  await box.skills.remove('other/pdf/pdf');
  assert.deepEqual(await box.skills.list(), []);
  await refuses(400, /^skill_id: /, () => box.skills.add('acme'));
  await refuses(400, /^skills: "acme" must be owner\/repo/, () => Box.create({ skills: ['acme'] }));
});

calls('agent.run: a webhook at a private address is not called', async () => {
  let asked = 0;
  const server = http.createServer((request, response) => response.end(String(++asked))).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const box = await withAgent(say('done', { output: 'done' }));
  const run = await box.agent.run({ prompt: 'x', webhook: { url: `http://127.0.0.1:${server.address().port}/` } });
  assert.equal(run.status, 'running');
  await until('it was refused', () => daemon.log.some((line) => line.includes(run.id) && /private address/.test(line)));
  assert.equal(asked, 0);
  server.close();
});
