// Agents: a harness of one's own, which is a shell script here, told of prompts and read event by event.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { hutch, output } from './lib/command.mjs';
import { connections } from './lib/host.mjs';
import { events, open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite({ args: ['--private_webhooks'] });

/// A box with an agent that runs `script`: $2 is the prompt, the rest as box-sse-v1 has it.
const withAgent = (script, body = {}) => daemon.box({ agent: 'custom', model: 'test-model', custom_runner: { command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' }, ...body });
const say = (event, data) => `printf 'event: ${event}\\ndata: %s\\n\\n' '${JSON.stringify(data)}'`;
const kDone = { output: 'all done', input_tokens: 3, output_tokens: 4, cached_input_tokens: 1, total_cost_usd: 0.25, session_id: 's1' };

async function ask(box, prompt, body = {}) {
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt, ...body } });
  assert.equal(response.statusCode, 200);
  return events(response);
}

async function answerTo(box, prompt, body) {
  const all = [];
  for await (const event of await ask(box, prompt, body)) all.push(event);
  return all;
}

const names = (all) => all.map(({ name }) => name);
const runsOf = async (box) => (await daemon.json('GET', `${box.path}/runs`)).runs;

leakless(daemon, 'a prompt: each event in its order, then stats and the end; the run and the box tell of it', async () => {
  const box = await withAgent([say('text', { text: 'hello ' }), say('thinking', { text: 'hm' }),
    say('tool', { toolCallId: 't1', name: 'shell', input: { command: 'ls' } }), say('tool_result', { toolCallId: 't1', output: 'x' }),
    say('text', { text: 'world' }), say('done', kDone)].join('; '));
  assert.deepEqual([box.data.agent, box.data.model], ['custom', 'test-model']);
  const all = await answerTo(box, 'do it');
  assert.deepEqual(names(all), ['run_start', 'text', 'thinking', 'tool', 'tool_result', 'text', 'stats', 'done']);
  assert.deepEqual(all[3].data, { toolCallId: 't1', name: 'shell', input: { command: 'ls' } });
  assert.deepEqual(all.at(-1).data, kDone);
  assert.ok(all.at(-2).data.cpu_ns > 0);
  const [run] = await runsOf(box);
  assert.deepEqual([run.id, run.type, run.status, run.prompt, run.model, run.output, run.input_tokens, run.output_tokens, run.session_id],
    [all[0].data.run_id, 'agent', 'completed', 'do it', 'test-model', 'all done', 3, 4, 's1']);
  const data = await daemon.json('GET', box.path);
  assert.deepEqual([data.total_prompts, data.total_input_tokens, data.total_output_tokens, data.total_token_cost_usd, data.session_id], [1, 3, 4, 0.25, 's1']);
});

leakless(daemon, 'the first event comes before the agent goes on', async () => {
  const box = await withAgent(`${say('text', { text: 'first' })}; read line < /workspace/home/fifo; ${say('done', kDone)}`);
  await box.sh('mkfifo fifo');
  const all = await ask(box, 'x');
  await all.next();
  assert.equal((await all.next()).value.data.text, 'first');
  await box.sh('echo on > fifo');
  assert.equal((await all.next()).value.name, 'stats');
  assert.equal((await all.next()).value.name, 'done');
});

leakless(daemon, 'the harness is told the prompt, the model and the session, and runs where it is asked to', async () => {
  const box = await withAgent(`printf '%s|' "$PWD" "$(id -un)" "$@" > /workspace/home/told; ${say('done', kDone)}`);
  await box.sh('mkdir sub');
  await answerTo(box, "it's \"quoted\"\nand long", { folder: 'sub' });
  assert.equal(await box.read('told'), "/workspace/home/sub|boxuser|-p|it's \"quoted\"\nand long|--model|test-model|--stream|");
  await answerTo(box, 'again');
  assert.match(await box.read('told'), /\|--stream\|--session\|s1\|$/);
});

leakless(daemon, 'a snapshot and a fork carry the agent and its session', async () => {
  const box = await withAgent(say('done', kDone));
  await answerTo(box, 'x');
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201);
  const copy = await daemon.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id }, 201);
  const [fork] = (await daemon.json('POST', `${box.path}/fork`, {}, 201)).boxes;
  for (const { id } of [copy, fork]) {
    const data = await daemon.json('GET', `/v2/box/${id}`);
    assert.deepEqual([data.agent, data.model, data.session_id, data.total_prompts], ['custom', 'test-model', 's1', 0]);
  }
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'a box that is rolled back goes on with the session it had then', async () => {
  const done = (session) => say('done', { output: '', session_id: session });
  const box = await withAgent(`echo "$@" > /workspace/home/told; case $2 in one) ${done('s1')};; two) ${done('s2')};; *) ${say('text', { text: 'busy' })}; sleep 1000;; esac`);
  const keep = async () => (await daemon.json('POST', `${box.path}/snapshots`, { name: 'n' }, 201)).id;
  const back = (id) => daemon.json('POST', `${box.path}/rollback`, { snapshot_id: id });
  const session = async () => (await daemon.json('GET', box.path)).session_id ?? '';
  const empty = await keep();
  await answerTo(box, 'one');
  const first = await keep();
  await answerTo(box, 'two');
  assert.equal(await session(), 's2');
  await back(first);
  assert.equal(await session(), 's1');
  await answerTo(box, 'two');
  assert.match(await box.read('told'), /--session s1$/m);
  const busy = await ask(box, 'three');
  for (let event = await busy.next(); event.value.name !== 'text';) event = await busy.next();
  await back(empty);
  for await (const event of busy) assert.ok(event.name);
  assert.equal(await session(), '');
  await answerTo(box, 'one');
  assert.doesNotMatch(await box.read('told'), /--session/);
  await daemon.json('DELETE', '/v2/box/snapshots');
});

leakless(daemon, 'files come with a prompt as JSON and as a form, where the agent can read them', async () => {
  const box = await withAgent(`printf '%s' "$2" | grep -o '/home/[^ ]*' | while read -r f; do echo "$f"; cat "$f"; done > /workspace/home/seen; ${say('done', kDone)}`);
  await answerTo(box, 'read', { files: [{ data: Buffer.from('one').toString('base64'), media_type: 'text/plain', filename: '../../a.txt' }, { data: Buffer.from('two').toString('base64'), media_type: 'text/plain' }] });
  assert.match(await box.read('seen'), /^\/home\/boxuser\/\.hutch\/prompts\/\w+\/a\.txt\none\/home\/boxuser\/\.hutch\/prompts\/\w+\/file-2\ntwo$/);
  const form = ['--XX', 'Content-Disposition: form-data; name="prompt"', '', 'read', '--XX', 'Content-Disposition: form-data; name="files"; filename="b.txt"', '', 'three', '--XX--', ''].join('\r\n');
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: form, headers: { 'content-type': 'multipart/form-data; boundary=XX' } });
  assert.equal(response.statusCode, 200);
  for await (const piece of response) assert.ok(piece);
  assert.match(await box.read('seen'), /\/b\.txt\nthree$/);
});

const kFailures = {
  'says that it failed': [say('error', { error: 'no quota left', session_id: 's' }), /^no quota left$/],
  'ends with an exit status': ['printf "why it was\\n\\nand what to do\\n" >&2; exit 3', /exit status 3 before its answer was complete: why it was\n\nand what to do$/],
  'says why among its events': ['echo "Invalid key"; echo "Log in"; exit 1', /exit status 1 before its answer was complete: Invalid key\nLog in$/],
  'complains without end': ['seq 10000 >&2; exit 1', /complete: \[\.\.\.\] [^]{7000,8191}\n10000$/],
  'ends without a word': ['true', /exit status 0 before its answer was complete$/],
  'is no program': [null, /no-such-program/],
};
for (const [what, [script, error]] of Object.entries(kFailures)) {
  leakless(daemon, `an agent that ${what} is an error event and a failed run`, async () => {
    const runner = script === null ? { command: '/no-such-program' } : { command: '/bin/sh', args: ['-c', script, 'agent'] };
    const box = await daemon.box({ agent: 'custom', custom_runner: runner });
    if (script === null) {
      await daemon.refuses(400, error, 'POST', `${box.path}/run/stream`, { body: { prompt: 'x' } });
      assert.deepEqual(await runsOf(box), []);
      return;
    }
    const last = (await answerTo(box, 'x')).at(-1);
    assert.equal(last.name, 'error');
    assert.match(last.data.error, error);
    const [run] = await runsOf(box);
    assert.deepEqual([run.status, run.error_message], ['failed', last.data.error]);
    const { logs } = await daemon.json('GET', `${box.path}/logs`);
    const [told] = logs.filter(({ source }) => source === 'agent');
    assert.deepEqual([told.level, told.message], ['error', `run ${run.id}: ${last.data.error}`]);
  });
}

const kModels = { 'claude-sonnet-4': 'anthropic/claude-sonnet-4', 'gpt-5.5': 'openai/gpt-5.5', 'o3': 'openai/o3', 'gemini-2.5-pro': 'PROVIDER/gemini-2.5-pro, such as openrouter/gemini-2.5-pro' };
leakless(daemon, 'a model that does not name its provider is refused with the whole name, at create and later', async () => {
  const box = await daemon.box();
  for (const [model, whole] of Object.entries(kModels)) {
    const error = new RegExp(`^model: "${model}" does not name its provider; say ${whole}$`);
    await daemon.refuses(400, error, 'POST', '/v2/box', { body: { model } });
    await daemon.refuses(400, error, 'PUT', `${box.path}/config/model`, { body: { model } });
  }
  await daemon.refuses(400, /say anthropic\/latest$/, 'POST', '/v2/box', { body: { agent: 'claude-code', model: 'latest' } });
  await daemon.refuses(400, /names no model/, 'POST', '/v2/box', { body: { model: 'anthropic/' } });
  assert.deepEqual([(await daemon.json('GET', box.path)).agent, (await daemon.json('GET', '/v2/box')).length], ['', 1]);
});

leakless(daemon, 'an agent whose program the image lacks is refused at create, and no box is left of it', async () => {
  const programs = { 'anthropic/claude-sonnet-4-5': 'claude', 'claude/sonnet_4_5': 'claude', 'openai/gpt-5': 'codex', 'openrouter/google/gemini': 'opencode' };
  for (const [model, program] of Object.entries(programs)) {
    await daemon.refuses(400, new RegExp(`^agent: its program ${program} is not in image busybox; start from image agents`), 'POST', '/v2/box', { body: { model, agent_api_key: 'k' } });
  }
  assert.deepEqual(await daemon.json('GET', '/v2/box'), []);
  await daemon.box({ model: 'openai/gpt-5', keep_alive: true, init_command: 'install it' });
});

leakless(daemon, 'cancel ends the agent and all that it started, and says so', async () => {
  const box = await withAgent(`sleep 1000 & ${say('text', { text: 'busy' })}; sleep 1000`);
  const all = await ask(box, 'x');
  const run = (await all.next()).value.data.run_id;
  await all.next();
  await daemon.json('POST', `${box.path}/runs/${run}/cancel`);
  const rest = [];
  for await (const event of all) rest.push(event);
  assert.deepEqual(rest.at(-1), { name: 'error', data: { error: 'cancelled' } });
  assert.equal((await runsOf(box))[0].status, 'cancelled');
  await until('what was killed is gone', async () => await box.sh('ps | grep -c "[s]leep 1000" || true') === '0');
});

leakless(daemon, 'a client that leaves is noticed at once, and the prompt goes on', async () => {
  const box = await withAgent(`${say('text', { text: 'first' })}; read line < /workspace/home/fifo; ${say('done', kDone)}`);
  await box.sh('mkfifo fifo');
  const all = await ask(box, 'x');
  const run = (await all.next()).value.data.run_id;
  await all.return();
  await until('its connection is closed', () => connections(daemon.socket) === 0);
  await box.sh('echo on > fifo');
  await until('it has ended', async () => (await daemon.json('GET', `${box.path}/runs/${run}`)).status === 'completed');
});

leakless(daemon, 'a timeout ends it', async () => {
  const box = await withAgent('sleep 1000');
  const last = (await answerTo(box, 'x', { timeout: 50 })).at(-1);
  assert.deepEqual([last.name, last.data.error], ['error', 'killed at its timeout of 50 ms']);
});

leakless(daemon, 'a killed daemon loses neither the run nor what it came to', async () => {
  const box = await withAgent(`${say('text', { text: 'first' })}; read line < /workspace/home/fifo; ${say('done', kDone)}`);
  await box.sh('mkfifo fifo');
  const all = await ask(box, 'x');
  await all.next();
  await all.next();
  await daemon.end('SIGKILL');
  await assert.rejects(all.next());
  await daemon.launch();
  await box.sh('echo on > fifo');
  const run = await until('it has ended', async () => {
    const now = (await runsOf(box)).find(({ type }) => type === 'agent');
    return now.status !== 'running' && now;
  });
  assert.deepEqual([run.status, run.output, run.session_id, run.input_tokens], ['completed', 'all done', 's1', 3]);
  const data = await daemon.json('GET', box.path);
  assert.deepEqual([data.total_prompts, data.session_id], [1, 's1']);
  const again = [];
  for await (const event of events(await open(daemon.socket, 'GET', `${box.path}/runs/${run.id}/events`))) again.push(event.name);
  assert.deepEqual(again, ['run_start', 'text', 'stats', 'done']);
});

leakless(daemon, 'ten agents in ten boxes do not mix', async () => {
  const boxes = [];
  for (let i = 0; i < 10; ++i) boxes.push(await withAgent(`i=0; while [ $i -lt 50 ]; do i=$((i+1)); printf 'event: text\\ndata: {"text":"%s"}\\n\\n' "$2"; done; ${say('done', kDone)}`));
  await Promise.all(boxes.map(async (box, i) => {
    const all = await answerTo(box, `p${i}`);
    const texts = all.filter(({ name }) => name === 'text').map(({ data }) => data.text);
    assert.deepEqual(texts, Array(50).fill(`p${i}`));
  }));
});

leakless(daemon, 'a webhook is told of the end, again if its server fails', async () => {
  const heard = [];
  const server = http.createServer(async (request, response) => {
    let text = '';
    for await (const piece of request) text += piece;
    heard.push({ headers: request.headers, body: JSON.parse(text) });
    response.writeHead(heard.length === 1 ? 429 : 200).end();
    if (heard.length === 2) server.emit('told');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const box = await withAgent(say('done', kDone));
  const told = once(server, 'told');
  const { run_id, status } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x', webhook: { url: `http://127.0.0.1:${server.address().port}/hook`, headers: { 'X-Mine': 'yes' } } });
  assert.equal(status, 'running');
  await told;
  for (const { headers, body } of heard) {
    assert.equal(headers['x-mine'], 'yes');
    assert.deepEqual([body.box_id, body.run_id, body.status, body.output], [box.id, run_id, 'completed', 'all done']);
  }
  server.close();
  server.closeAllConnections();
});

leakless(daemon, 'model and runner of a box can be changed', async () => {
  const box = await daemon.box();
  await daemon.refuses(409, /has no agent/, 'POST', `${box.path}/run`, { body: { prompt: 'x' } });
  assert.equal((await daemon.json('PUT', `${box.path}/config/model`, { model: 'openai/gpt-5' })).agent, 'codex');
  const runner = { command: '/bin/sh', args: ['-c', say('done', kDone)] };
  const data = await daemon.json('PUT', `${box.path}/config/custom-runner`, { custom_runner: runner });
  assert.deepEqual([data.agent, data.model], ['custom', 'openai/gpt-5']);
  assert.equal((await answerTo(box, 'x')).at(-1).name, 'done');
});

leakless(daemon, 'what a prompt or an agent must not say is named', async () => {
  const bad = { 'agent': [{ agent: 'copilot', model: 'm' }, /^agent: "copilot" is not one of/], 'no model': [{ agent: 'codex' }, /^model: is required/],
    'no runner': [{ agent: 'custom' }, /^custom_runner: is required/], 'a runner of nothing': [{ agent: 'custom', custom_runner: {} }, /^custom_runner.*command: is required/],
    'a protocol': [{ agent: 'custom', custom_runner: { command: 'x', protocol: 'v2' } }, /protocol: must be box-sse-v1/], 'a key alone': [{ agent_api_key: 'k' }, /^agent_api_key: needs agent/] };
  for (const [body, error] of Object.values(bad)) await daemon.refuses(400, error, 'POST', '/v2/box', { body });
  await daemon.refuses(501, /^agent: cursor/, 'POST', '/v2/box', { body: { agent: 'cursor', model: 'm' } });
  const box = await withAgent(say('done', kDone));
  const wrong = [[{}, /^prompt: /], [{ prompt: '' }, /^prompt: /], [{ prompt: 'x', agent_options: { maxTurns: 3 } }, /^agent_options.maxTurns: custom has no such option/],
    [{ prompt: 'x', json_schema: 'x' }, /^json_schema: /], [{ prompt: 'x', files: [{ data: '!' }] }, /^files.data: /], [{ prompt: 'x', webhook: {} }, /^webhook.*url: /],
    [{ prompt: 'x', webhook: { url: 'file:///etc/passwd' } }, /^webhook.url: /], [{ prompt: 'x', webhook: { url: 'http://x/\r\nA: b' } }, /^webhook.url: /], [{ prompt: 'x', folder: 'none' }, /^folder: /]];
  for (const [body, error] of wrong) await daemon.refuses(400, error, 'POST', `${box.path}/run/stream`, { body });
  assert.deepEqual(await runsOf(box), []);
});

leakless(daemon, 'hutch agent shows what it does, and what it has changed', async () => {
  const script = [say('text', { text: 'I will.' }), say('tool', { toolCallId: 't', name: 'shell', input: { command: 'make' } }),
    'echo made > made', say('tool_result', { toolCallId: 't', output: 'ok' }), say('text', { text: 'Done.' }), say('done', kDone)].join('; ');
  const name = await output(daemon, ['create', 'helped', '--agent', 'custom', '--agent-command', '/bin/sh', '--agent-command', '-c', '--agent-command', script]);
  assert.equal(name, 'helped\n');
  assert.match(await output(daemon, ['agent', 'run', 'helped', 'make it']),
    /^I will\.\n> shell \{"command":"make"\}\n {2}ok\nDone\.\n3 tokens in, 4 out, \$0\.2500, 0\.\d\ds CPU\nadded \/workspace\/home\/made\n$/);
  const talk = await hutch(daemon, ['agent', 'helped'], { input: 'one\n\ntwo\n' });
  assert.deepEqual([talk.code, talk.stdout.match(/Done\./g).length], [0, 2]);
  const lines = (await output(daemon, ['agent', 'run', 'helped', 'x', '--json'])).trimEnd().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual([lines[0].event, lines.at(-1)], ['run_start', { event: 'done', data: kDone }]);
  await daemon.box({ name: 'plain' });
  const none = await hutch(daemon, ['agent', 'run', 'plain', 'x']);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /has no agent/);
});
