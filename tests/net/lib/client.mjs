// What the official npm client makes of the real programs.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { until } from '../../e2e/lib/until.mjs';
import { disconnect, install } from '../../sdk/install.mjs';

export { disconnect };

const module = install();
const sdk = await import(pathToFileURL(module));
const { z } = createRequire(module)('zod');

/// The jobs, by name: each is given a box of the client's whose model says `turns`.
export const kClientJobs = {
  'agent.stream: each kind of chunk, in order': {
    turns: [{ text: 'I look.', run: 'echo found' }, { text: 'All seen.' }],
    async run(box) {
      const stream = await box.agent.stream({ prompt: 'look' });
      const chunks = [];
      for await (const chunk of stream) chunks.push(chunk);
      const types = chunks.map(({ type }) => type).filter((type, i, all) => type !== all[i - 1]);
      assert.deepEqual(types, ['start', 'text-delta', 'tool-call', 'tool-result', 'text-delta', 'stats', 'finish']);
      assert.match(JSON.stringify(chunks.find(({ type }) => type === 'tool-result')), /found/);
      const { usage, sessionId } = chunks.at(-1);
      assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0 && sessionId.length > 0);
      assert.equal(stream.status, 'completed');
    },
  },

  'agent.run: callbacks, files, cost': {
    turns: [{ run: 'cat ~/.hutch/prompts/*/note.txt' }, { text: 'It says so.' }],
    async run(box) {
      const seen = [];
      const files = [{ data: Buffer.from('what the note says').toString('base64'), mediaType: 'text/plain', filename: 'note.txt' }];
      const run = await box.agent.run({ prompt: 'read it', files, onToolUse: (tool) => seen.push(tool), onToolResult: (result) => seen.push(result) });
      assert.deepEqual([run.status, run.result], ['completed', 'It says so.']);
      assert.match(JSON.stringify(seen[0].input), /note\.txt/);
      assert.match(JSON.stringify(seen[1].output), /what the note says/);
      assert.ok(run.cost.inputTokens > 0);
    },
  },

  'agent.run: an answer of a schema': {
    turns: [{ structured: { answer: 42 } }, { text: 'done' }],
    async run(box) {
      const run = await box.agent.run({ prompt: 'what is it', responseSchema: z.object({ answer: z.number() }) });
      assert.deepEqual(run.result, { answer: 42 });
    },
  },

  'stream.cancel ends what the program has started': {
    turns: [{ text: 'It takes a while.', run: 'echo $$ > up; sleep 100000' }],
    async run(box) {
      await box.exec.command('mkfifo up');
      const stream = await box.agent.stream({ prompt: 'wait' });
      for await (const chunk of stream) if (chunk.type === 'text-delta') break; // before the first one it does not know its run
      const pid = (await box.exec.command('cat up')).result.trim();
      await stream.cancel();
      const status = async () => (await box.listRuns()).find(({ type }) => type === 'agent').status;
      await until('it is cancelled', async () => await status() === 'cancelled');
      assert.match((await box.exec.command(`kill -0 ${pid} || echo gone`)).result, /gone/);
    },
  },

  'agent.run: a webhook is told of the end': {
    turns: [{ text: 'Told.' }],
    async run(box) {
      const server = http.createServer(async (request, response) => {
        let text = '';
        for await (const piece of request) text += piece;
        response.end();
        server.emit('told', JSON.parse(text), request.headers);
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const told = once(server, 'told');
      const run = await box.agent.run({ prompt: 'x', webhook: { url: `http://127.0.0.1:${server.address().port}/`, headers: { 'X-Mine': 'yes' } } });
      const [body, headers] = await told;
      assert.deepEqual([body.run_id, body.status, body.output, headers['x-mine']], [run.id, 'completed', 'Told.', 'yes']);
      server.close();
      server.closeAllConnections();
    },
  },
};

/// A box of the client's, with its agent.
export function clientBox(daemon, { harness, model }, apiKey) {
  process.env.UPSTASH_BOX_BASE_URL = daemon.url;
  process.env.UPSTASH_BOX_API_KEY = daemon.key;
  return sdk.Box.create({ runtime: 'agents', agent: { harness, model, apiKey } });
}
