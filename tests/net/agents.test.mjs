// The real programs of the agents image at work in boxes, against a stand-in for their models: they do what it says, the
// events tell it, and a model that fails is an error in bounded time.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { hutch } from '../e2e/lib/command.mjs';
import { debianArchive, noMirror } from '../e2e/lib/debian.mjs';
import { gitCore } from '../e2e/lib/git-image.mjs';
import { Model } from '../e2e/lib/model.mjs';
import { kPort, Outside } from '../e2e/lib/outside.mjs';
import { leakless, needs, skip, suite } from '../e2e/lib/suite.mjs';
import { answerTo, joined, kPrograms } from './lib/agents.mjs';
import { clientBox, disconnect, kClientJobs } from './lib/client.mjs';

needs('mmdebstrap', 'apt-get', 'git');
if (!fs.existsSync(`${gitCore()}/git-http-backend`)) skip('needs git-http-backend');
const missing = noMirror();
if (missing !== null) skip(missing);

const directory = fs.mkdtempSync('/var/tmp/hutch-agents-');
const repositories = path.join(directory, 'repositories');
// Of a documentation network (RFC 5737) a piece for each network of boxes, for runs beside each other.
const kSuite = (process.env.HUTCH_TEST_NETWORK ?? '198.19.64.0/20').split('.')[2] / 16;
const [kHere, kThere] = [1, 2].map((host) => `198.51.100.${16 * kSuite + host}`);
const kRepository = `http://${kThere}:${kPort}/public/app.git`;
const server = [process.execPath, new URL('../e2e/lib/git-server.mjs', import.meta.url).pathname, repositories, String(kPort)];
const outside = new Outside(server, { name: `agents-outside-${kSuite}`, link: `outside-a${kSuite}`, here: kHere, there: [kThere], prefix: 28 });
const model = await new Model([{ text: 'nobody has a script for this key' }]).open();
const daemon = suite({
  tcp: true,
  import: { debian: debianArchive(process.env.HUTCH_CACHE) },
  args: ['--private_webhooks', ...['anthropic', 'openai', 'openrouter'].flatMap((provider) => [`--${provider}_url`, model.url])],
});

const kTest = `import assert from 'node:assert';
import { test } from 'node:test';
import { sum } from './sum.mjs';
test('sums', () => assert.equal(sum(2, 3), 5));
`;

const onHost = (...args) => execFileSync('git', ['-c', 'user.name=Host', '-c', 'user.email=host@example.com', ...args], {
  encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], env: { PATH: process.env.PATH, HOME: os.tmpdir() },
});

function publish() {
  const bare = path.join(repositories, 'public/app.git');
  const work = path.join(directory, 'work');
  onHost('init', '--quiet', '--bare', '--initial-branch=main', bare);
  onHost('clone', '--quiet', bare, work);
  fs.writeFileSync(path.join(work, 'README'), 'sum: to do\n');
  fs.writeFileSync(path.join(work, 'sum.test.mjs'), kTest);
  onHost('-C', work, 'add', '.');
  onHost('-C', work, 'commit', '--quiet', '-m', 'first');
  onHost('-C', work, 'push', '--quiet', 'origin', 'HEAD:main');
  fs.writeFileSync(path.join(repositories, 'token'), 'nobody needs it');
}

before(() => {
  publish();
  outside.open();
});
after(() => {
  model.close();
  outside.close();
  fs.rmSync(directory, { recursive: true });
});

leakless(daemon, 'the image of the agents is built', { timeout: 600_000 }, async () => {
  for (const image of [['node', '--from', 'debian'], ['agents']]) {
    const build = await hutch(daemon, ['image', 'build', ...image]);
    assert.equal(build.code, 0, build.stderr);
  }
  daemon.baseline = await daemon.census();
});

/// A key for which the model says `turns`.
function keyFor(turns) {
  const key = `key-${crypto.randomBytes(16).toString('hex')}`;
  model.scripts[key] = turns;
  return key;
}

/// A box with the program, and a model that says `turns` to its key.
async function withAgent({ harness, model: name }, turns) {
  const key = keyFor(turns);
  const box = await daemon.box({ runtime: 'agents', agent: harness, model: name, agent_api_key: key });
  return Object.assign(box, { key });
}

// Among the processes are the agent's own, whose environment and arguments its commands could read as well.
const kJob = [
  { text: 'I will look.', run: `git clone -q ${kRepository} app; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline > seen 2> /dev/null; wc -c < seen` },
  { text: 'It lacks a file.', write: { path: '/workspace/home/app/sum.mjs', content: 'export const sum = (a, b) => a + b;\n' } },
  { run: "cd /workspace/home/app && sed -i 's/to do/done/' README && node --test 2>&1" },
  { run: 'cd /workspace/home/app && git add --all && git commit -qm "sum" && git log --format=%s' },
  { text: 'All is done.' },
];

const toolsOf = (all) => all.filter(({ name }) => name === 'tool' || name === 'tool_result');
/// The files of the box, by its upper on the host, that hold the text.
function filesWith(box, text) {
  const { status, stdout, stderr } = spawnSync('grep', ['-rlaF', '-D', 'skip', text, path.join(daemon.store, 'uppers', box.id)], { encoding: 'utf8' });
  assert.ok(status === 0 || status === 1, stderr);
  return stdout.split('\n').map((file) => path.basename(file));
}

for (const [program, its] of Object.entries(kPrograms)) {
  leakless(daemon, `${program} clones a repository, writes, edits, tests, commits; and goes on`, async () => {
    const box = await withAgent(its, [...kJob, { text: 'Nothing is left.' }]);
    const all = joined(await answerTo(box, 'make its tests pass'));
    assert.deepEqual([all[0].name, all.at(-2).name, all.at(-1).name], ['run_start', 'stats', 'done'], JSON.stringify(all.at(-1)));
    const tools = toolsOf(all);
    assert.deepEqual(tools.map(({ name, data }) => data.name ?? name), [its.shell, its.write, its.shell, its.shell].flatMap((tool) => [tool, 'tool_result']));
    for (let i = 0; i < tools.length; i += 2) assert.equal(tools[i].data.toolCallId, tools[i + 1].data.toolCallId);
    assert.deepEqual(all.filter(({ name }) => name === 'text').map(({ data }) => data.text), ['I will look.', 'It lacks a file.', 'All is done.']);
    assert.match(tools[0].data.input.command, /git clone/);
    assert.match(tools[1].data.output, /^\d+\n*$/, 'the repository is cloned');
    assert.match(tools[5].data.output, /pass 1\b/);
    assert.match(tools[7].data.output, /sum\nfirst/);
    assert.equal(await box.sh('cd app && git status --porcelain && git show --format= --name-only && cat README'), 'README\nsum.mjs\nsum: done');

    const [input, output] = its.tokens;
    const { data: done } = all.at(-1);
    assert.deepEqual([done.output, done.input_tokens, done.output_tokens], ['All is done.', input * 5, output * 5]);
    const { data: again } = (await answerTo(box, 'is that all?')).at(-1);
    assert.deepEqual([again.output, again.session_id, again.input_tokens, again.output_tokens], ['Nothing is left.', done.session_id, input, output]);
    const data = await daemon.json('GET', box.path);
    assert.deepEqual([data.total_prompts, data.total_input_tokens, data.total_output_tokens], [2, input * 6, output * 6]);

    assert.equal(model.of(box.key).length, 6, 'the key came to the model');
    assert.ok(filesWith(box, 'hutch-run-').includes('seen'), 'the environment of the agent was seen, with what stands for the key');
    assert.deepEqual(filesWith(box, box.key), [''], 'the key is in the box');
  });
}

leakless(daemon, 'the npm client', { timeout: 240_000, concurrency: true }, async (context) => {
  const programs = Object.entries(kPrograms).filter(([, { tries }]) => tries !== undefined);
  const cases = programs.flatMap(([program, its]) => Object.entries(kClientJobs).map(([job, how]) => [program, its, job, how]));
  await Promise.all(cases.map(([program, its, job, { turns, run }]) => context.test(`${program}: ${job}`, async () => {
    await run(await clientBox(daemon, its, keyFor(turns)));
  })));
  await disconnect();
});

const kFaults = { 401: [{ status: 401 }], 429: [{ status: 429, after: 0 }], 500: [{ status: 500, after: 0 }], cut: [{ cut: true }], garbage: [{ garbage: true }] };
const kSay = { 401: /the model says 401/, 429: /429/, 500: /500|high demand/, cut: /clos|connect|reset|502/i, garbage: /JSON|stream|respon|parse/i };

// All at once: most of the time they wait before they ask again.
leakless(daemon, 'a model that fails is an error of the prompt', { timeout: 240_000, concurrency: true }, async (context) => {
  const programs = Object.entries(kPrograms).filter(([, { tries }]) => tries !== undefined);
  const cases = programs.flatMap(([program, its]) => Object.keys(kFaults).map((fault) => [program, its, fault]));
  await Promise.all(cases.map(([program, its, fault]) => context.test(`${program}: ${fault}`, async () => {
    const box = await withAgent(its, kFaults[fault]);
    const all = await answerTo(box, 'try');
    const last = all.at(-1);
    assert.equal(last.name, 'error', JSON.stringify(all));
    assert.match(last.data.error, kSay[fault]);
    const [run] = (await daemon.json('GET', `${box.path}/runs`)).runs;
    assert.deepEqual([run.status, run.error_message], ['failed', last.data.error]);
    assert.equal(model.of(box.key).length, its.tries[fault], 'it gives up as often as it did');
  })));
});

leakless(daemon, 'a model that recovers is asked again', { timeout: 120_000, concurrency: true }, async (context) => {
  const turns = [{ status: 500, after: 0 }, { status: 429, after: 0 }, { cut: true }, { text: 'Here I am.' }];
  await Promise.all(Object.entries(kPrograms).map(([program, its]) => context.test(program, async () => {
    const box = await withAgent(its, turns);
    const { name, data } = (await answerTo(box, 'try')).at(-1);
    assert.deepEqual([name, data.output], ['done', 'Here I am.'], JSON.stringify(data));
  })));
});
