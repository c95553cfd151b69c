// The agents' programs: each with a model of the stand-in's, the names it has for what it does, and what a request costs.

import { events, open } from '../../e2e/lib/http.mjs';

/// `tokens`: of one request, into it and out of it; `tries`: how often it asks a model that fails before it gives up.
export const kPrograms = {
  'Claude Code': { harness: 'claude-code', model: 'anthropic/claude-sonnet-4-5', shell: 'Bash', write: 'Write', tokens: [120, 10], tries: { 401: 6, 429: 8, 500: 8, cut: 9, garbage: 2 } },
  Codex: { harness: 'codex', model: 'openai/gpt-5', shell: 'shell', write: 'apply_patch', tokens: [100, 10], tries: { 401: 1, 429: 9, 500: 9, cut: 9, garbage: 9 } },
  OpenCode: { harness: 'opencode', model: 'anthropic/claude-sonnet-4-5', shell: 'bash', write: 'write', tokens: [120, 10], tries: { 401: 1, 429: 6, 500: 6, cut: 6, garbage: 6 } },
  'OpenCode, by Chat Completions': { harness: 'opencode', model: 'openrouter/anthropic/claude-sonnet-4.5', shell: 'bash', write: 'write', tokens: [100, 10] },
};

const kPatience = 240_000; // a program says nothing while it waits to ask again

/// All that the box's agent does for a prompt.
export async function answerTo(box, prompt) {
  const response = await open(box.daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt }, deadline: kPatience });
  const all = [];
  for await (const event of events(response)) all.push(event);
  return all;
}

/// Its texts that follow each other are one: programs tell them in pieces.
export function joined(all) {
  return all.reduce((told, { name, data }) => {
    const last = told.at(-1);
    if (name !== 'text' || last?.name !== 'text') return [...told, { name, data }];
    return [...told.slice(0, -1), { name, data: { text: last.data.text + data.text } }];
  }, []);
}
