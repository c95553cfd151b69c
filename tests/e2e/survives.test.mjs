// Whatever a box or a client has written: the daemon goes on, starts again, and serves the others.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { events, open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('python3');
const daemon = suite();
const kRubbish = fileURLToPath(new URL('lib/rubbish.py', import.meta.url));

/// A box with an agent that runs `script`, in the directory where commands run.
const withAgent = (script) => daemon.box({ agent: 'custom', model: 'test-model', custom_runner: { command: '/bin/sh', args: ['-c', script, 'agent'], protocol: 'box-sse-v1' } });
/// In a shell: an event whose JSON is nested that deep.
const deep = (event, levels) => `printf 'event: ${event}\\ndata: '; yes '{"a":' | head -n ${levels} | tr -d '\\n'; printf 1; yes '}' | head -n ${levels} | tr -d '\\n'; printf '\\n\\n'`;
const kNumbers = `printf 'event: done\\ndata: {"output":"all done","input_tokens":1e300,"output_tokens":-1e300,"cached_input_tokens":18446744073709551615,"total_cost_usd":1e308,"session_id":"s1"}\\n\\n'`;
const runOf = async (box, id) => daemon.json('GET', `${box.path}/runs/${id}`);
const ended = (box, id) => until('the run has ended', async () => {
  const run = await runOf(box, id);
  return run.status !== 'running' && run;
});
const down = async () => assert.deepEqual(await daemon.end('SIGTERM'), { code: 0, signal: null });

function sql(statement) {
  const program = 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); print(db.execute(sys.argv[2]).fetchall()); db.commit()';
  const done = spawnSync('python3', ['-c', program, path.join(daemon.state, 'hutch.db'), statement], { encoding: 'utf8' });
  assert.equal(done.status, 0, done.stderr);
  return done.stdout.trim();
}

leakless(daemon, 'an agent that says JSON without a bottom: passed over, at once and by the next daemon', async () => {
  const box = await withAgent(`${deep('text', 300_000)}; ${deep('done', 300_000)}; touch said; read line < fifo; ${kNumbers}`);
  const neighbour = await daemon.box();
  await box.sh('mkfifo fifo');
  const { run_id: id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x' });
  await until('it has said so', async () => (await box.sh('ls')).includes('said'));
  assert.equal(await neighbour.sh('echo here'), 'here');
  await daemon.assertAlive();
  await daemon.end('SIGKILL');
  await daemon.launch();
  assert.equal(await neighbour.sh('echo here'), 'here');
  await box.sh('echo on > fifo');
  const run = await ended(box, id);
  assert.deepEqual([run.status, run.output, run.session_id], ['completed', 'all done', 's1']);
  const most = 2 ** 53;
  assert.deepEqual([run.input_tokens, run.output_tokens, run.cached_input_tokens], [most, 0, most]);
  const names = [];
  for await (const { name } of events(await open(daemon.socket, 'GET', `${box.path}/runs/${id}/events`))) names.push(name);
  assert.deepEqual(names, ['run_start', 'stats', 'done']);
});

leakless(daemon, 'what ended while no daemon looked is read as well', async () => {
  const box = await withAgent(`touch begun; read line < fifo; ${deep('text', 300_000)}; touch said`);
  await box.sh('mkfifo fifo');
  const { run_id: id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x' });
  await until('it has begun', async () => (await box.sh('ls')).includes('begun'));
  const journal = path.join(daemon.state, 'runs', box.id, `${id}.out`);
  await daemon.end('SIGKILL');
  fs.writeFileSync(journal, `event: text\ndata: ${'['.repeat(5_000_000)}\n`); // as if an earlier one had taken it
  sql(`UPDATE runs SET status = 1, exit_code = 0 WHERE id = '${id}'`);
  await daemon.launch();
  const run = await ended(box, id);
  assert.deepEqual([run.status, run.error_message], ['failed', "the agent's program ended with exit status 0 before its answer was complete"]);
});

leakless(daemon, 'a prompt at which one daemon after the other has ended is set aside, its run ended, and said', async () => {
  const box = await withAgent(`touch begun; sleep 100000`);
  const { run_id: id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x' });
  await until('it has begun', async () => (await box.sh('ls')).includes('begun'));
  await daemon.end('SIGKILL');
  await daemon.launch();
  await until('it has read all that was said', () => sql(`SELECT readings FROM prompts WHERE run = '${id}'`) === '[(0,)]');
  await daemon.end('SIGKILL');
  sql(`UPDATE prompts SET readings = 3 WHERE run = '${id}'`);
  await daemon.launch();
  const run = await ended(box, id);
  assert.deepEqual([run.status, run.error_message], ['failed', 'what the agent wrote cannot be read: hutchd ended each time it began to, 3 times']);
  await until('it is said', () => daemon.log.some((line) => line.includes(`run ${id}: is set aside as failed: what the agent wrote`)));
  assert.equal(await box.sh('ps | grep -c "[s]leep 100000" || true'), '0');
  assert.equal((await daemon.json('POST', `${box.path}/run`, { prompt: 'again' })).status, 'running');
});

leakless(daemon, 'a form whose fields are JSON without a bottom', async () => {
  const form = (name, value) => ['--XX', 'Content-Disposition: form-data; name="prompt"', '', 'x', '--XX', `Content-Disposition: form-data; name="${name}"`, '', value, '--XX--', ''].join('\r\n');
  const headers = { 'content-type': 'multipart/form-data; boundary=XX' };
  const { path: box } = await withAgent('exit');
  const nested = ['{"a":'.repeat(1_000_000), '{"a":'.repeat(100_000) + 1 + '}'.repeat(100_000)];
  for (const name of ['json_schema', 'agent_options', 'webhook', 'timeout']) {
    for (const value of nested) {
      await daemon.refuses(400, new RegExp(`^${name}: JSON nested deeper than 64 levels`), 'POST', `${box}/run`, { headers, body: form(name, value) });
    }
    const many = form(name, `[${'0,'.repeat(200_000)}0]`);
    await daemon.refuses(400, new RegExp(`^${name}: JSON of more than 100000 values`), 'POST', `${box}/run`, { headers, body: many });
  }
  await daemon.refuses(400, /^timeout: must be/, 'POST', `${box}/run`, { headers, body: form('timeout', '1e300') });
  await daemon.refuses(400, /^agent_options: JSON nested deeper/, 'POST', '/v2/box/none/run', { headers, body: form('agent_options', nested[1]) }); // no box is needed
});

leakless(daemon, 'rubbish in any column of the records: the daemon starts, ends those runs, and serves the rest', async () => {
  const box = await withAgent('exit 1');
  const { run_id: id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x' });
  await ended(box, id);
  await daemon.json('POST', `${box.path}/snapshots`, { name: 'one' }, 201);
  await daemon.json('PUT', '/v2/box/settings/model-keys/anthropic', { key: 'sk-test' });
  await down();
  const file = path.join(daemon.state, 'hutch.db');
  fs.copyFileSync(file, `${file}.kept`);
  try {
    const made = spawnSync('python3', [kRubbish, file], { encoding: 'utf8' });
    assert.equal(made.status, 0, made.stderr);
    const counts = JSON.parse(made.stdout);
    for (const table of ['boxes', 'runs', 'prompts', 'agents', 'snapshots', 'images', 'usage', 'layers']) assert.ok(counts[table] > 0, `${table}: ${made.stdout}`);
    await daemon.launch();
    assert.equal(await box.sh('echo here'), 'here');
    for (const target of ['/v2/box', '/v2/host', '/v2/images', '/v2/usage', '/v2/box/snapshots', '/metrics', `${box.path}/runs`, box.path]) {
      const answer = await daemon.ask('GET', target);
      assert.equal(answer.status, 200, `${target}: ${answer.text}`);
    }
    await until('no run of them is told as running', async () => {
      const { runs } = await daemon.json('GET', `${box.path}/runs`);
      return runs.every(({ status }) => status !== 'running');
    });
    for (const row of await daemon.json('GET', '/v2/box')) {
      const answer = await daemon.ask('GET', `/v2/box/${row.id}`);
      assert.equal(answer.status, 200, answer.text);
    }
    await daemon.assertAlive();
    await down();
  } finally {
    if (daemon.running) await daemon.end('SIGKILL');
    for (const rest of ['-wal', '-shm']) fs.rmSync(file + rest, { force: true });
    fs.renameSync(`${file}.kept`, file);
    await daemon.launch();
    await daemon.json('DELETE', '/v2/box/snapshots');
  }
});
