// A stand-in for the models behind an HTTP API, at their wire: Anthropic's Messages, OpenAI's Responses and Chat
// Completions, streamed. It says what a script tells it to say, a turn for each request that offers tools; other
// requests, by which programs name a session or count tokens, get a word. Who brings a key of its own may have a script
// of its own.

import { once } from 'node:events';
import http from 'node:http';

const sse = (event, data) => `${event === null ? '' : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`;
const halves = (text) => [text.slice(0, Math.ceil(text.length / 2)), text.slice(Math.ceil(text.length / 2))].filter((half) => half !== '');

const kPatch = (path, content) => `apply_patch <<'END_OF_PATCH'\n*** Begin Patch\n*** Add File: ${path}\n${content.replace(/^/gm, '+').replace(/\+$/, '')}*** End Patch\nEND_OF_PATCH`;

// How each program's tools are called: to run a command of a shell, and to write a new file.
const kTools = {
  Bash: (command) => ({ command, description: 'A step' }), // Claude Code
  bash: (command) => ({ command, description: 'A step' }), // OpenCode
  exec_command: (command) => ({ cmd: command }), // Codex
  shell: (command) => ({ command: ['bash', '-c', command] }),
  Write: ({ path, content }) => ({ file_path: path, content }),
  write: ({ path, content }) => ({ filePath: path, content }),
};

/// The turn with { run: COMMAND }, { write: { path, content } } or { structured: VALUE } made a call of a tool that the
/// request offers.
function inItsWords({ run, write, structured, ...turn }, tools) {
  const offered = tools.map((tool) => tool.name ?? tool.function?.name);
  const call = (names, asked) => {
    const tool = names.find((name) => offered.includes(name));
    if (tool === undefined) throw new Error(`none of ${names} is offered, but ${offered}`);
    return { ...turn, tool, input: kTools[tool](asked) };
  };
  if (structured !== undefined) return offered.includes('StructuredOutput') ? { ...turn, tool: 'StructuredOutput', input: structured } : { ...turn, text: JSON.stringify(structured) };
  if (run !== undefined) return call(['Bash', 'bash', 'exec_command', 'shell'], run);
  if (write === undefined) return turn;
  return offered.some((name) => ['Write', 'write'].includes(name)) ? call(['Write', 'write'], write) : call(['exec_command', 'shell'], kPatch(write.path, write.content));
}

/// The events of one answer. A turn is { text } or { tool, input }, or both; `id` tells calls apart.
const kDialects = {
  messages(turn, id, model) {
    const content = [...(turn.text === undefined ? [] : [{ type: 'text', text: turn.text }]),
      ...(turn.tool === undefined ? [] : [{ type: 'tool_use', id: `toolu_${id}`, name: turn.tool, input: turn.input }])];
    const message = { id: `msg_${id}`, type: 'message', role: 'assistant', model, content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 100, cache_read_input_tokens: 20, cache_creation_input_tokens: 0, output_tokens: 1 } };
    const blocks = content.flatMap((block, index) => {
      const text = block.type === 'text';
      const start = text ? { type: 'text', text: '' } : { ...block, input: {} };
      const deltas = text ? halves(block.text).map((part) => ({ type: 'text_delta', text: part }))
        : [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input) }];
      return [sse('content_block_start', { type: 'content_block_start', index, content_block: start }),
        ...deltas.map((delta) => sse('content_block_delta', { type: 'content_block_delta', index, delta })),
        sse('content_block_stop', { type: 'content_block_stop', index })];
    });
    return [sse('message_start', { type: 'message_start', message }), ...blocks,
      sse('message_delta', { type: 'message_delta', delta: { stop_reason: turn.tool === undefined ? 'end_turn' : 'tool_use', stop_sequence: null }, usage: { output_tokens: 10 } }),
      sse('message_stop', { type: 'message_stop' })];
  },

  responses(turn, id, model) {
    const items = [...(turn.text === undefined ? [] : [{ type: 'message', id: `item_${id}`, role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: turn.text, annotations: [] }] }]),
      ...(turn.tool === undefined ? [] : [{ type: 'function_call', id: `fc_${id}`, call_id: `call_${id}`, name: turn.tool, arguments: JSON.stringify(turn.input), status: 'completed' }])];
    const usage = { input_tokens: 100, input_tokens_details: { cached_tokens: 20 }, output_tokens: 10, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: 110 };
    const response = { id: `resp_${id}`, object: 'response', model, created_at: 0, status: 'in_progress', output: [] };
    return [sse('response.created', { type: 'response.created', response }),
      ...items.flatMap((item, output_index) => [
        sse('response.output_item.added', { type: 'response.output_item.added', output_index, item: { ...item, status: 'in_progress' } }),
        ...(item.type === 'message' ? halves(turn.text).map((delta) => sse('response.output_text.delta', { type: 'response.output_text.delta', item_id: item.id, output_index, content_index: 0, delta })) : []),
        sse('response.output_item.done', { type: 'response.output_item.done', output_index, item })]),
      sse('response.completed', { type: 'response.completed', response: { ...response, status: 'completed', output: items, usage } })];
  },

  chat(turn, id, model) {
    const chunk = (delta, finish_reason = null, more = {}) => sse(null, { id: `chat_${id}`, object: 'chat.completion.chunk', created: 0, model, choices: [{ index: 0, delta, finish_reason }], ...more });
    const call = { index: 0, id: `call_${id}`, type: 'function', function: { name: turn.tool, arguments: JSON.stringify(turn.input) } };
    return [chunk({ role: 'assistant', content: '' }), ...halves(turn.text ?? '').map((content) => chunk({ content })),
      ...(turn.tool === undefined ? [] : [chunk({ tool_calls: [call] })]),
      chunk({}, turn.tool === undefined ? 'stop' : 'tool_calls', { usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110, prompt_tokens_details: { cached_tokens: 20 } } }),
      'data: [DONE]\n\n'];
  },
};

const dialectOf = (path) => (path.endsWith('/messages') ? 'messages' : path.endsWith('/responses') ? 'responses' : path.endsWith('/chat/completions') ? 'chat' : undefined);

export class Model {
  /// `turns`: what it says, in order; the last one again and again. { text } says, { run } has a command run, { write } a
  /// file written, { structured } answers a schema, { tool, input } calls a tool by its name. { status, after } refuses and says to come back after so many seconds, { cut: true } breaks off in the middle
  /// of an answer, { garbage: true } answers what nobody can read. `scripts`: the turns for a key that has its own.
  /// Turns may be a function that makes one of a request's body.
  constructor(turns, scripts = {}) {
    this.turns = turns;
    this.scripts = scripts;
    this.asked = []; // { path, key, headers, body } of each request that offered tools
    this.keys = new Set();
    this.server = http.createServer((request, response) => this.answer(request, response).catch((error) => response.destroy(error)));
  }

  async open(host = '127.0.0.1') {
    this.server.listen(0, host);
    await once(this.server, 'listening');
    this.url = `http://${host}:${this.server.address().port}`;
    return this;
  }

  /// What was asked with that key.
  of(key) {
    return this.asked.filter((asked) => asked.key === key);
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }

  async answer(request, response) {
    let text = '';
    for await (const piece of request) text += piece;
    response.shouldKeepAlive = false; // or whoever asks keeps a connection for the next time
    const { pathname } = new URL(request.url, 'http://model');
    const dialect = dialectOf(pathname);
    const key = request.headers['x-api-key'] ?? request.headers.authorization?.replace(/^Bearer /, '');
    this.keys.add(key);
    if (dialect === undefined) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":{"type":"not_found_error","message":"no such call"}}');
    const body = JSON.parse(text);
    const main = (body.tools?.length ?? 0) > 0;
    if (main) this.asked.push({ path: pathname, key, headers: request.headers, body });
    const turns = this.scripts[key] ?? this.turns;
    const number = this.of(key).length;
    const said = typeof turns === 'function' ? turns : () => turns[Math.min(number, turns.length) - 1];
    const turn = main ? inItsWords(said(body), body.tools) : { text: 'ok' };
    if (turn.status !== undefined) return void response.writeHead(turn.status, { 'content-type': 'application/json', ...(turn.after !== undefined && { 'retry-after': `${turn.after}` }) }).end(JSON.stringify({ type: 'error', error: { type: 'api_error', message: `the model says ${turn.status}` } }));
    if (turn.garbage) return void response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {]\n\n\0\x01 what?\n\n');
    const events = kDialects[dialect]({ ...turn, ...(turn.cut && { text: 'this will not be ' }) }, `${number}`, body.model);
    if (!turn.cut && body.stream !== true && dialect === 'messages') return void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ id: 'msg_0', type: 'message', role: 'assistant', model: body.model, content: [{ type: 'text', text: turn.text ?? 'ok' }], stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } }));
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [i, event] of events.entries()) {
      if (turn.cut && i === 3) return void response.destroy();
      await new Promise((resolve) => response.write(event, resolve)); // what is cut off after it has been sent
      await turn.between?.(i);
    }
    response.end();
  }
}
