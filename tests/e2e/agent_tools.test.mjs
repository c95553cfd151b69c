// What agents have besides their program: servers of tools. The programs are stand-ins that say how they were started.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after } from 'node:test';
import { agentImage, started } from './lib/agent-image.mjs';
import { Box } from './lib/box.mjs';
import { open } from './lib/http.mjs';
import { baseImage } from './lib/image.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const directory = fs.mkdtempSync('/var/tmp/hutch-agent-tools-');
after(() => fs.rmSync(directory, { recursive: true }));
const daemon = suite({ import: { agents: agentImage(directory, baseImage(directory)) } });

const kModels = { 'claude-code': 'anthropic/claude-x', codex: 'openai/gpt-x', opencode: 'openrouter/some/model' };
const kSecret = 'Bearer it\'s "the" $SECRET';
const kServers = [
  { name: 'files', source: 'npm', package_or_url: '@org/server@1.2.0', args: ['--root', '${HOME} or "not"'] },
  { name: 'there', source: 'url', package_or_url: 'https://tools.example/mcp', headers: { Authorization: kSecret, 'X-Mine': 'x' } },
];
const kReport = `printf '%s\\0' "$@" > args; cat /proc/self/environ > env; : > input; printf 'event: done\\ndata: {"output":"fine"}\\n\\n'`;

const withAgent = (harness, body = {}) => daemon.box({
  runtime: 'agents', agent: harness,
  ...(harness === 'custom' ? { custom_runner: { command: '/bin/sh', args: ['-c', kReport, 'agent'] } } : { model: kModels[harness] }), ...body,
});

async function ask(box, prompt = 'x') {
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt } });
  let text = '';
  for await (const piece of response) text += piece;
  assert.match(text, /event: done\n/);
}

const valueOf = (args, flag) => args[args.indexOf(flag) + 1];
const told = {
  'claude-code'({ args, env }) {
    const text = valueOf(args, '--mcp-config').replace(/\$\{(\w+)\}/g, (_, name) => JSON.stringify(env[name]).slice(1, -1));
    const { files, there } = JSON.parse(text).mcpServers;
    assert.deepEqual(there, { type: 'http', url: kServers[1].package_or_url, headers: kServers[1].headers });
    return [files.command, ...files.args];
  },
  codex({ args, env }) {
    const settings = args.filter((argument) => argument.startsWith('mcp_servers.'));
    const [, headers] = /^mcp_servers\.there=\{.*"url" = "https:\/\/tools\.example\/mcp".*"env_http_headers" = \{(.*?)\}/.exec(settings[1]);
    const named = Object.fromEntries([...headers.matchAll(/"([^"]+)" = "([^"]+)"/g)].map(([, name, variable]) => [name, env[variable]]));
    assert.deepEqual(named, kServers[1].headers);
    const [, command, rest] = /^mcp_servers\.files=\{.*"command" = ("\w+").*"args" = (\[.*\])\}$/.exec(settings[0]);
    return [JSON.parse(command), ...JSON.parse(rest)];
  },
  opencode({ env }) {
    const { files, there } = JSON.parse(env.OPENCODE_CONFIG_CONTENT).mcp;
    assert.deepEqual([there.type, there.url, there.headers, there.enabled], ['remote', kServers[1].package_or_url, kServers[1].headers, true]);
    assert.deepEqual([files.type, files.enabled], ['local', true]);
    return files.command;
  },
  custom({ env }) {
    const [files, there] = JSON.parse(env.HUTCH_MCP_SERVERS);
    assert.deepEqual([files, there], kServers);
    return ['npx', '-y', files.package_or_url, ...files.args];
  },
};
for (const [harness, commandOf] of Object.entries(told)) {
  leakless(daemon, `${harness} is told of its MCP servers at each prompt, and their secrets are in no argument and no file`, async () => {
    const box = await withAgent(harness, { mcp_servers: kServers });
    for (let i = 0; i < 2; ++i) {
      await box.sh('rm -f args env input');
      await ask(box);
      const now = await started(box);
      assert.deepEqual(commandOf(now), ['npx', '-y', '@org/server@1.2.0', ...kServers[0].args]);
      assert.ok(!now.args.some((argument) => argument.includes('SECRET')), `an argument says it: ${now.args}`);
    }
    await box.sh('rm env');
    assert.equal(await box.fails('grep -rqs SECRET /workspace /home /tmp'), 1);
  });
}

leakless(daemon, 'snapshots and forks have the MCP servers, those of their own call first', async () => {
  const box = await withAgent('custom', { mcp_servers: kServers });
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201);
  const of = async ({ id }) => {
    const made = new Box(daemon, { id });
    await ask(made);
    return (await started(made)).env.HUTCH_MCP_SERVERS;
  };
  const from = (body = {}) => daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id, ...body }, 201);
  assert.deepEqual(JSON.parse(await of(await from())), kServers);
  const [fork] = (await daemon.json('POST', `${box.path}/fork`, {}, 201)).boxes;
  assert.deepEqual(JSON.parse(await of(fork)), kServers);
  assert.deepEqual(JSON.parse(await of(await from({ mcp_servers: kServers.slice(1) }))), kServers.slice(1));
  assert.equal(await of(await from({ mcp_servers: [] })), undefined);
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'a box that gets its agent later has the MCP servers it was made with, and a restart keeps them', async () => {
  const box = await daemon.box({ runtime: 'agents', mcp_servers: kServers });
  assert.equal(box.data.agent, '');
  await daemon.json('PUT', `${box.path}/config/model`, { model: kModels.opencode });
  await daemon.end('SIGTERM');
  await daemon.launch();
  await ask(box);
  assert.deepEqual(told.opencode(await started(box)), ['npx', '-y', '@org/server@1.2.0', ...kServers[0].args]);
});

leakless(daemon, 'what an MCP server must not say is named', async () => {
  const npm = { name: 'a', source: 'npm', package_or_url: 'p' };
  const url = { name: 'a', source: 'url', package_or_url: 'http://a/' };
  const wrong = [['x', /^mcp_servers: must be an array/], [[{}], /^mcp_servers\[0\]: name: is required/], [[npm, { ...npm, name: 'a.b' }], /^mcp_servers\[1\]: name: must be/],
    [[npm, url], /^mcp_servers\[1\]: name: another is named a/], [[{ ...npm, source: 'pip' }], /source: must be npm or url/], [[{ name: 'a', source: 'npm' }], /package_or_url: is required/],
    ...['', '--call=rm', '@org', '@org/', '../x', 'a/b', 'git+ssh://x', 'a b', '@/x'].map((name) => [[{ ...npm, package_or_url: name }], /package_or_url: must be a package/]),
    ...['', 'ftp://a/', 'a', 'http://a/ b', 'http://a/\n'].map((name) => [[{ ...url, package_or_url: name }], /package_or_url: must be an http/]),
    [[{ ...npm, headers: {} }], /headers: only/], [[{ ...url, args: [] }], /args: only/], [[{ ...npm, args: [1] }], /args: must be/], [[{ ...npm, args: ['a\0'] }], /args: each/],
    [[{ ...url, headers: { 'a b': 'x' } }], /headers: "a b"/], [[{ ...url, headers: { a: 'x\r\ny: z' } }], /headers: the value of a/], [[{ ...url, headers: { a: 1 } }], /headers: must be/],
    [Array.from({ length: 21 }, (_, i) => ({ ...npm, name: `n${i}` })), /^mcp_servers: at most 20/], [[{ ...npm, args: ['x'.repeat(65536)] }], /^mcp_servers: at most 64 KiB/]];
  for (const [mcp_servers, error] of wrong) await daemon.refuses(400, error, 'POST', '/v2/box', { body: { mcp_servers } });
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
});
