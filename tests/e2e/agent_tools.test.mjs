// What agents have besides their program: servers of tools, and skills. The programs are stand-ins that say how they were started.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import { agentImage, started } from './lib/agent-image.mjs';
import { Box } from './lib/box.mjs';
import { gitCore, gitImage } from './lib/git-image.mjs';
import { open } from './lib/http.mjs';
import { kOutside, kPort, Outside } from './lib/outside.mjs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('git', 'ldd');
if (!fs.existsSync(`${gitCore()}/git-http-backend`)) skip('needs git-http-backend');

const kToken = 'ghp_thisIsTheSecretOfTheTest0123456789';
const directory = fs.mkdtempSync('/var/tmp/hutch-agent-tools-');
const repositories = path.join(directory, 'repositories');
const outside = new Outside([process.execPath, new URL('lib/git-server.mjs', import.meta.url).pathname, repositories, String(kPort)]);

/// A repository on the server with these files; once more: its next commit.
function publish(name, files) {
  const git = (...args) => execFileSync('git', ['-c', 'user.name=Host', '-c', 'user.email=host@example.com', '-c', 'safe.directory=*', ...args], { stdio: 'ignore', env: { PATH: process.env.PATH, HOME: directory } });
  const bare = path.join(repositories, name);
  const work = path.join(directory, 'work');
  if (!fs.existsSync(bare)) git('init', '--bare', '--initial-branch=main', bare);
  git('init', '--initial-branch=main', work);
  for (const [file, content] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(work, file)), { recursive: true });
    fs.writeFileSync(path.join(work, file), content, { mode: file.endsWith('.sh') ? 0o755 : 0o644 });
  }
  git('-C', work, 'add', '.');
  git('-C', work, 'commit', '-m', 'all');
  git('-C', work, 'push', '--force', bare, 'main');
  fs.rmSync(work, { recursive: true });
}

before(() => {
  publish('acme/single.git', { 'SKILL.md': 'the one', 'more/notes.md': 'notes' });
  publish('acme/nested.git', { 'README': 'x', 'skills/SKILL.md': 'nested', 'skills/basics/a.md': 'a', 'src/main.js': 'x' });
  publish('acme/many.git', { 'skills/pdf/SKILL.md': 'pdf', 'skills/pdf/run.sh': 'echo run', 'skills/xls/SKILL.md': 'xls', 'skills/none/README': 'x' });
  publish('other/pdf.git', { 'SKILL.md': 'another pdf' });
  publish('acme/empty.git', { README: 'no skill' });
  publish('private/secret.git', { 'SKILL.md': 'hidden' });
  fs.writeFileSync(path.join(repositories, 'token'), kToken);
  outside.open();
});
after(() => {
  outside.close();
  fs.rmSync(directory, { recursive: true });
});
const daemon = suite({ import: { agents: agentImage(directory, gitImage(directory)) }, args: ['--github_url', `http://${kOutside}:${kPort}`] });

const kModels = { 'claude-code': 'anthropic/claude-x', codex: 'openai/gpt-x', opencode: 'openrouter/some/model' };
const kSecret = 'Bearer it\'s "the" $SECRET';
const kServers = [
  { name: 'files', source: 'npm', package_or_url: '@org/server@1.2.0', args: ['--root', '${HOME} or "not"'] },
  { name: 'there', source: 'url', package_or_url: 'https://tools.example/mcp', headers: { Authorization: kSecret, 'X-Mine': 'x' } },
];
const kReport = `printf '%s\\0' "$@" > args; cat /proc/self/environ > env; : > input; printf 'event: done\\ndata: {"output":"fine"}\\n\\n'`;

const withAgent = (harness, body = {}) => daemon.box({
  runtime: 'agents', agent: harness,
  ...(harness === 'custom' ? { custom_runner: { command: '/bin/sh', args: ['-c', kReport, 'agent'] } } : { model: kModels[harness], agent_api_key: 'a-key' }), ...body,
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
  await daemon.json('PUT', '/v2/box/settings/model-keys/openrouter', { key: 'a-key' });
  await daemon.end('SIGTERM');
  await daemon.launch();
  await ask(box);
  assert.deepEqual(told.opencode(await started(box)), ['npx', '-y', '@org/server@1.2.0', ...kServers[0].args]);
  await daemon.json('DELETE', '/v2/box/settings/model-keys/openrouter');
});

const kKeys = { 'claude-code': ['anthropic', 'ANTHROPIC_API_KEY', '.claude/.credentials.json'], codex: ['openai', 'CODEX_API_KEY', '.codex/auth.json'], opencode: ['openrouter', 'OPENROUTER_API_KEY', '.local/share/opencode/auth.json'] };
for (const [harness, [provider, variable, login]] of Object.entries(kKeys)) {
  leakless(daemon, `${harness} without a key is refused before it starts, with the key to set; a way of the box's own will do`, async () => {
    const none = { agent_api_key: undefined };
    const box = await withAgent(harness, none);
    const refused = (of) => daemon.refuses(409, new RegExp(`^agent: there is no key for ${provider}.* hutch key set ${provider},`), 'POST', `${of.path}/run/stream`, { body: { prompt: 'x' } });
    await refused(box);
    assert.deepEqual((await daemon.json('GET', `${box.path}/runs`)).runs, []);
    await daemon.json('PUT', `/v2/box/settings/model-keys/${provider}`, { key: 'a-key' });
    await ask(box);
    await daemon.json('DELETE', `/v2/box/settings/model-keys/${provider}`);
    await refused(box);
    await box.write(`/home/boxuser/${login}`, '{}');
    await ask(box);
    await ask(await withAgent(harness, { ...none, env_vars: { [variable]: 'a-key' } }));
    await refused(await withAgent(harness, { ...none, env_vars: { [variable]: '' } }));
  });
}

leakless(daemon, 'a provider that hutchd does not know, or that has models without a key, is the program\'s affair', async () => {
  for (const model of ['google/gemini-x', 'opencode/free']) await ask(await withAgent('opencode', { model, agent_api_key: undefined }));
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

const skillsOf = async (box) => (await daemon.json('GET', box.path)).enabled_skills;
const add = (box, skill_id) => daemon.json('POST', `${box.path}/config/skills`, { skill_id });
const remove = (box, id) => daemon.json('DELETE', `${box.path}/config/skills/${id}`);
/// What agents find: each file, once through each of their directories; and what else there is of skills.
const found = async (box) => {
  const [agents, claude] = await Promise.all(['.agents', '.claude'].map((home) => box.sh(`cd /home/boxuser/${home}/skills 2>/dev/null && find -L . -type f | sort || true`)));
  assert.equal(agents, claude);
  return agents.split('\n').filter(Boolean).map((file) => file.slice(2));
};
const kept = (box) => box.sh('ls -A /home/boxuser/.hutch/skills 2>/dev/null || true');

leakless(daemon, 'skills of a create and of a call are where each program looks for them, and go again', async () => {
  const box = await withAgent('custom', { skills: ['acme/single', 'acme/many/pdf', 'acme/single'] });
  assert.deepEqual(box.data.enabled_skills, ['acme/single', 'acme/many/pdf']);
  assert.deepEqual(await found(box), ['pdf/SKILL.md', 'pdf/run.sh', 'single/SKILL.md', 'single/more/notes.md']);
  assert.equal(await box.read('/home/boxuser/.claude/skills/single/SKILL.md'), 'the one');
  assert.equal(await box.sh('/home/boxuser/.agents/skills/pdf/run.sh; stat -L -c %U /home/boxuser/.agents/skills/pdf'), 'run\nboxuser');
  assert.deepEqual((await add(box, 'acme/nested')).enabled_skills, ['acme/single', 'acme/many/pdf', 'acme/nested']);
  assert.deepEqual((await found(box)).slice(0, 2), ['nested/SKILL.md', 'nested/basics/a.md']);
  assert.deepEqual((await remove(box, 'acme/many/pdf')).enabled_skills, ['acme/single', 'acme/nested']);
  await daemon.refuses(404, /has no skill "acme\/many\/pdf"/, 'DELETE', `${box.path}/config/skills/acme/many/pdf`);
  await remove(box, 'acme/single');
  await remove(box, 'acme/nested');
  assert.deepEqual([await found(box), await skillsOf(box), await kept(box)], [[], [], '']);
  assert.equal((await daemon.json('GET', `${box.path}/runs`)).runs.filter(({ prompt }) => /git/.test(prompt)).length, 0);
});

leakless(daemon, 'a repository without a skill of its own is all that it has; once more, what it has now', async () => {
  publish('acme/changing.git', { 'a/SKILL.md': 'a1', 'b/SKILL.md': 'b1' });
  const box = await daemon.box({ runtime: 'agents', skills: ['acme/changing'] });
  assert.deepEqual(await found(box), ['a/SKILL.md', 'b/SKILL.md']);
  publish('acme/changing.git', { 'b/SKILL.md': 'b2', 'c/SKILL.md': 'c2' });
  assert.deepEqual((await add(box, 'acme/changing')).enabled_skills, ['acme/changing']);
  assert.deepEqual(await found(box), ['b/SKILL.md', 'c/SKILL.md']);
  assert.equal(await box.read('/home/boxuser/.agents/skills/b/SKILL.md'), 'b2');
});

leakless(daemon, 'snapshots and forks have the skills, and what their own call adds', async () => {
  const box = await withAgent('custom', { skills: ['acme/single'] });
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201);
  const copy = new Box(daemon, await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id, agent: 'codex', model: 'openai/m', skills: ['acme/many/xls'] }, 201));
  assert.deepEqual([await skillsOf(copy), await found(copy)], [['acme/single', 'acme/many/xls'], ['single/SKILL.md', 'single/more/notes.md', 'xls/SKILL.md']]);
  const fork = new Box(daemon, (await daemon.json('POST', `${box.path}/fork`, {}, 201)).boxes[0]);
  await remove(fork, 'acme/single');
  assert.deepEqual([await found(fork), await skillsOf(box)], [[], ['acme/single']]);
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'a skill that cannot be had is named, and leaves nothing behind', async () => {
  const box = await withAgent('custom', { skills: ['acme/many/pdf'] });
  await box.sh('mkdir -p /home/boxuser/.agents/skills/single && echo mine > /home/boxuser/.agents/skills/single/SKILL.md');
  const before = await box.sh('find /home /tmp | sort');
  const wrong = [[400, 'acme/empty', /acme\/empty: http\S+ has no SKILL.md/], [400, 'acme/many/none', /acme\/many\/none: http\S+ has no directory none with a SKILL.md/],
    [409, 'acme/unknown', /acme\/unknown: git: .*(not found|404)/], [409, 'private/secret', /private\/secret: git: /],
    [409, 'other/pdf', /other\/pdf: \/home\/boxuser\/.agents\/skills\/pdf is there already/], [409, 'acme/single', /skills\/single is there already/],
    ...['', 'acme', 'acme/', '/x', 'a/b/c/d', '../x', 'a/..', 'a/b c', '-a/b', 'a/b/', 'https://x/y'].map((id) => [400, id, /^skill_id: ".*" must be owner\/repo or owner\/repo\/skill/])];
  for (const [status, skill_id, error] of wrong) await daemon.refuses(status, error, 'POST', `${box.path}/config/skills`, { body: { skill_id } });
  assert.equal(await box.sh('find /home /tmp | sort'), before);
  assert.deepEqual(await skillsOf(box), ['acme/many/pdf']);
  for (const [status, id, error] of [[400, 'acme', /^skills: "acme" must be/], [400, 'acme/empty', /^skills: acme\/empty: /], [409, 'acme/unknown', /^skills: acme\/unknown: git: /]]) {
    await daemon.refuses(status, error, 'POST', '/v2/box', { body: { runtime: 'agents', skills: ['acme/single', id] } });
  }
  assert.equal((await daemon.json('GET', '/v2/box')).length, 1);
  const plain = await daemon.box();
  await daemon.refuses(409, /has no git program/, 'POST', `${plain.path}/config/skills`, { body: { skill_id: 'acme/single' } });
});

leakless(daemon, "a private repository's skill is fetched with the box's token, which is in no file", async () => {
  const box = await daemon.box({ runtime: 'agents', github_token: kToken, skills: ['private/secret'] });
  assert.deepEqual(await found(box), ['secret/SKILL.md']);
  assert.equal(await box.fails(`grep -rqs ${kToken} /home /tmp /workspace`), 1);
});

const kSchema = { type: 'object', properties: { answer: { type: 'integer' } }, required: ['answer'], additionalProperties: false };
const done = (output, more = {}) => `printf 'event: done\\ndata: %s\\n\\n' '${JSON.stringify({ output, input_tokens: 10, output_tokens: 2, total_cost_usd: 0.5, session_id: 's1', ...more })}'`;
/// An agent whose nth start does the nth of these; $n is which. Each start's arguments are kept.
const withAttempts = (attempts, body = {}) => withAgent('custom', { custom_runner: { command: '/bin/sh', args: ['-c', `cd /workspace/home
  n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n > n; printf '%s\\0' "$@" > args.$n
  case $n in ${attempts.map((script, i) => `${i + 1}) ${script} ;;`).join(' ')} esac`, 'agent'] }, ...body });

/// The events of a prompt that asks for an answer of a schema.
async function structured(box, body = {}) {
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt: 'how many?', json_schema: kSchema, ...body } });
  let text = '';
  for await (const piece of response) text += piece;
  return text.split('\n\n').filter(Boolean).map((event) => /^event: (.*)\ndata: (.*)$/s.exec(event)).map(([, name, data]) => ({ name, data: JSON.parse(data) }));
}
const argsOf = async (box, n) => (await box.read(`args.${n}`)).split('\0').slice(0, -1);
const attemptsOf = async (box) => Number(await box.read('n'));
const say = (text) => `printf 'event: text\\ndata: {"text":"%s"}\\n\\n' '${text}'`;
const leftover = (box) => box.sh('ls -A /tmp | grep hutch || true');

leakless(daemon, 'an answer that is not valid is asked for again in its session, within one run and one stream', async () => {
  const box = await withAttempts([`${say('one')}; ${done('forty-two')}`, `${say('two')}; ${done('{"answer":"42"}')}`, `${say('three')}; ${done('{"answer":42}')}`]);
  const all = await structured(box);
  assert.deepEqual(all.map(({ name }) => name), ['run_start', 'text', 'text', 'text', 'stats', 'done']);
  assert.deepEqual(all.filter(({ name }) => name === 'text').map(({ data }) => data.text), ['one', 'two', 'three']);
  assert.deepEqual(all.at(-1).data, { output: '{"answer":42}', input_tokens: 30, output_tokens: 6, cached_input_tokens: 0, total_cost_usd: 1.5, session_id: 's1' });
  const second = await argsOf(box, 2);
  assert.match(second[1], /^Your answer is not valid: it is not one JSON value and nothing else \(not valid JSON, at byte \d+\)\. .*"additionalProperties":false/s);
  assert.deepEqual(second.slice(-2), ['--session', 's1']);
  assert.match((await argsOf(box, 3))[1], /^Your answer is not valid: \$\.answer: must be of type "integer"\./);
  const [run] = (await daemon.json('GET', `${box.path}/runs`)).runs.filter(({ type }) => type === 'agent');
  assert.deepEqual([run.id, run.prompt, run.status, run.output], [all[0].data.run_id, 'how many?', 'completed', '{"answer":42}']);
  assert.equal((await daemon.json('GET', `${box.path}/runs`)).runs.length, 1);
  assert.equal((await daemon.json('GET', box.path)).total_prompts, 1);
  assert.equal(await leftover(box), '');
});

const kNotAgain = {
  'never valid': [Array(4).fill(done('{"answer":"no"}')), 3, /^the answer is not valid by json_schema: \$\.answer: must be of type "integer"; it was asked for 3 times$/],
  'not valid, of a program without sessions': [[done('no', { session_id: '' })], 1, /^the answer is not valid by json_schema: .*; the program told no session in which to ask again$/],
  'an error': [[`printf 'event: error\\ndata: {"error":"no quota","session_id":"s1"}\\n\\n'`], 1, /^no quota$/],
  'of a program that fails': [[`${done('no')}; echo why >&2; exit 3`], 1, /exit status 3|not valid by json_schema/],
  'nothing': [['true'], 1, /^the agent's program ended with exit status 0 before its answer was complete$/],
  'broken off at the second time': [[done('no'), 'exit 4'], 2, /^the agent's program ended with exit status 4 before its answer was complete$/],
};
for (const [what, [attempts, count, error]] of Object.entries(kNotAgain)) {
  leakless(daemon, `an answer that is ${what} ends in an error`, async () => {
    const box = await withAttempts(attempts);
    const last = (await structured(box)).at(-1);
    assert.equal(last.name, 'error');
    assert.match(last.data.error, error);
    assert.equal(await attemptsOf(box), count);
    const run = (await daemon.json('GET', `${box.path}/runs`)).runs.find(({ type }) => type === 'agent');
    assert.deepEqual([run.status, run.error_message], ['failed', last.data.error]);
    assert.equal(await leftover(box), '');
  });
}

leakless(daemon, 'opencode is asked again too, and its words come as they are', async () => {
  const box = await withAgent('opencode');
  await box.write('says', `cp input input.$(ls input.* 2>/dev/null | wc -l); if [ -e input.1 ]; then a='{\\"answer\\":1}'; else a=one; fi
    printf '{"type":"text","sessionID":"ses_1","part":{"text":"%s"}}\\n{"type":"step_finish","sessionID":"ses_1","part":{"reason":"stop","tokens":{"input":5}}}\\n' "$a"`);
  const all = await structured(box, { prompt: "it's $HOME `x` \\ \"q\"" });
  assert.deepEqual([all.at(-1).name, all.at(-1).data.output, all.at(-1).data.input_tokens, all.at(-1).data.session_id], ['done', '{"answer":1}', 10, 'ses_1']);
  assert.ok((await box.read('input.0')).startsWith("it's $HOME `x` \\ \"q\"\n"));
  const { args, input, env } = await started(box);
  assert.deepEqual(args.slice(-2), ['--session', 'ses_1']);
  assert.match(input, /^Your answer is not valid: it is not one JSON value/);
  assert.ok(env.OPENCODE_CONFIG_CONTENT);
});

leakless(daemon, 'a daemon that is killed between two attempts, or in one, goes on with the next', async () => {
  const box = await withAttempts([`read line < fifo1; ${done('no')}`, `read line < fifo2; ${done('{"answer":7}')}`]);
  await box.sh('mkfifo fifo1 fifo2');
  const { details: { init_pid } } = await daemon.json('GET', `${box.path}?details=1`);
  // Held open for reading too, so that nobody waits for anybody to open the other end.
  const fifos = ['fifo1', 'fifo2'].map((fifo) => fs.openSync(`/proc/${init_pid}/root/workspace/home/${fifo}`, 'r+'));
  try {
    const { run_id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x', json_schema: kSchema });
    await daemon.end('SIGKILL');
    fs.writeSync(fifos[0], 'on\n'); // the first attempt ends while nobody is there to judge it
    await daemon.launch();
    fs.writeSync(fifos[1], 'on\n');
    const run = await until('it has ended', async () => {
      const now = (await daemon.json('GET', `${box.path}/runs`)).runs.find(({ id }) => id === run_id);
      return now.status !== 'running' && now;
    });
    assert.deepEqual([run.status, run.output, run.input_tokens], ['completed', '{"answer":7}', 20]);
    assert.equal(await attemptsOf(box), 2);
  } finally {
    for (const fifo of fifos) fs.closeSync(fifo);
  }
});

leakless(daemon, 'cancel and timeout end it in any attempt', async () => {
  const box = await withAttempts([done('no'), `${say('again')}; sleep 1000`]);
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt: 'x', json_schema: kSchema } });
  let text = '';
  for await (const piece of response) {
    text += piece;
    if (/"again"/.test(piece)) await daemon.json('POST', `${box.path}/runs/${/"run_id":"(\w+)"/.exec(text)[1]}/cancel`);
  }
  assert.match(text, /event: error\ndata: \{"error":"cancelled"\}/);
  assert.equal(await box.sh('ps | grep -c "[s]leep 1000" || true'), '0');
  const slow = await withAttempts([done('no'), 'sleep 1000']);
  assert.equal((await structured(slow, { timeout: 500 })).at(-1).data.error, 'killed at its timeout of 500 ms');
});

leakless(daemon, 'a schema that answers cannot be checked by is refused, but by programs that see to it themselves', async () => {
  const json_schema = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
  for (const harness of ['custom', 'opencode']) {
    const box = await withAgent(harness);
    await daemon.refuses(400, /^json_schema: #\/properties\/a: the keyword "pattern" is none/, 'POST', `${box.path}/run/stream`, { body: { prompt: 'x', json_schema } });
    assert.deepEqual((await daemon.json('GET', `${box.path}/runs`)).runs, []);
  }
  for (const harness of ['claude-code', 'codex']) {
    const box = await withAgent(harness);
    assert.equal((await structured(box, { json_schema })).at(-1).name, 'done');
    assert.equal((await started(box)).args.includes('sh'), false);
  }
});
