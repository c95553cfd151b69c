// The models' gateway: an agent's program calls its model through it, and never sees the key. The agent is a shell
// script with busybox' wget, the provider a stand-in on the host.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { after } from 'node:test';
import { hutch, output } from './lib/command.mjs';
import { open } from './lib/http.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();

/// Hears what arrives, and answers by `provider.answer(request, response, body)`.
const provider = http.createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  response.shouldKeepAlive = false; // or one connection would be kept for the next call
  provider.heard.push({ method: request.method, url: request.url, headers: request.headers, body });
  provider.answer(request, response, body);
});
provider.heard = [];
const say = (response, text, headers = {}) => response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(text);
provider.answer = (request, response) => say(response, '{"ok":true}');
provider.listen(0, '127.0.0.1');
await once(provider, 'listening');
const kUrl = `http://127.0.0.1:${provider.address().port}`;
const kKeyFile = `/var/tmp/hutch-e2e-${process.pid}.key`;
fs.writeFileSync(kKeyFile, 'the-operators-key\n', { mode: 0o600 });
const unused = http.createServer().listen(0, '127.0.0.1');
await once(unused, 'listening');
const kNobody = `http://127.0.0.1:${unused.address().port}`;
unused.close();
after(() => {
  provider.close();
  provider.closeAllConnections();
  fs.rmSync(kKeyFile);
});

const daemon = suite({ tcp: true, args: ['--anthropic_url', kUrl, '--openai_url', kUrl, '--openai_key_file', kKeyFile, '--vercel_url', kNobody] });
const kDone = `printf 'event: done\\ndata: {"output":"%s"}\\n\\n' "$(cat /tmp/said | tr -d '\\r\\n"')"`;
const call = (path = '/v1/messages', token = '$HUTCH_MODEL_TOKEN') =>
  `wget -q -O - -S --header "x-api-key: ${token}" --header 'anthropic-version: 1' --post-data '{"prompt":"x"}' "$HUTCH_MODEL_URL${path}"`;
const withAgent = (script, body = {}) => daemon.box({ agent: 'custom', model: 'anthropic/m', agent_api_key: 'the-boxs-key', custom_runner: { command: '/bin/sh', args: ['-c', script, 'agent'] }, ...body });

async function ask(box, body = {}) {
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt: 'x', ...body } });
  let text = '';
  for await (const piece of response) text += piece;
  assert.match(text, /event: done/, text);
  return JSON.parse(/event: done\ndata: (.*)/.exec(text)[1]).output;
}
/// A shell script that sends these bytes and shows all of the answer. Its side stays open: who ends it, gives up.
const raw = (...lines) => `(mkfifo raw; at=\${HUTCH_MODEL_URL#http://}; nc \${at%:*} \${at#*:} < raw & exec 3> raw; printf '%b' "${lines.join('\\r\\n')}" >&3; wait)`;
const kFirst = ['POST /v1/messages HTTP/1.1', 'Host: x', 'Connection: close', 'X-Api-Key: $HUTCH_MODEL_TOKEN'];
/// What one call of the agent of a new box is answered: the body, or wget's complaint.
const answerTo = async (request, body) => ask(await withAgent(`${request} > /tmp/said 2>&1; ${kDone}`, body));

leakless(daemon, 'a call goes to the provider with the key, which the box never holds', async () => {
  provider.heard.length = 0;
  const box = await withAgent(`env > env; tr '\\0' '\\n' < /proc/self/environ >> env; ${call('/v1/messages?beta=true')} > /tmp/said; ${kDone}`);
  assert.match(await ask(box), /ok:true/);
  const [{ method, url, headers, body }] = provider.heard;
  assert.deepEqual([method, url, headers['x-api-key'], headers['anthropic-version'], body], ['POST', '/v1/messages?beta=true', 'the-boxs-key', '1', '{"prompt":"x"}']);
  assert.equal(headers.authorization, undefined);
  const env = await box.read('env');
  assert.match(env, /HUTCH_MODEL_TOKEN=hutch-run-\w{52}\n/);
  assert.match(env, /HUTCH_MODEL_URL=http:\/\/198\./);
  assert.doesNotMatch(env, /the-boxs-key/);
  assert.equal(await box.fails('grep -rlF the-boxs-key /home /workspace /tmp /etc /proc/*/environ /proc/*/cmdline 2>/dev/null | grep -v self | grep -v "/$$/"'), 1, 'the key is in the box');
});

leakless(daemon, 'the nearest key counts: the box’s, its customer’s, the operator’s', async () => {
  provider.heard.length = 0;
  const model = { model: 'openai/m', agent_api_key: undefined };
  const request = call('/v1/responses');
  await answerTo(request, { ...model, agent_api_key: 'the-boxs-key' });
  await daemon.json('PUT', '/v2/box/settings/model-keys/openai', { key: 'the-customers-key' });
  await answerTo(request, model);
  assert.deepEqual(await daemon.json('GET', '/v2/box/settings/model-keys'), { providers: ['openai'] });
  await daemon.json('DELETE', '/v2/box/settings/model-keys/openai');
  await answerTo(request, model);
  assert.deepEqual(provider.heard.map(({ headers }) => headers.authorization), ['Bearer the-boxs-key', 'Bearer the-customers-key', 'Bearer the-operators-key']);
  const none = await withAgent(`echo "[$HUTCH_MODEL_TOKEN]" > /tmp/said; ${kDone}`, { model: 'anthropic/m', agent_api_key: undefined });
  assert.equal(await ask(none), '[]', 'without a key there is no way');
});

leakless(daemon, 'a box’s own key is told to no other provider', async () => {
  provider.heard.length = 0;
  const box = await withAgent(`${call('/v1/responses')} > /tmp/said; ${kDone}`);
  await daemon.json('PUT', `${box.path}/config/model`, { model: 'openai/m' });
  await ask(box);
  assert.equal(provider.heard[0].headers.authorization, 'Bearer the-operators-key');
});

leakless(daemon, 'an answer streams as it comes', async () => {
  let go;
  provider.answer = (request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'request-id': 'r1', 'set-cookie': 'a=b' }).write('first\n');
    go = () => response.end('second\n');
  };
  const box = await withAgent(`${call()} 2>/tmp/heads | while read -r line; do printf 'event: text\\ndata: {"text":"%s"}\\n\\n' "$line"; done; cp /tmp/heads heads; ${kDone.replace('/tmp/said', '/dev/null')}`);
  const response = await open(daemon.socket, 'POST', `${box.path}/run/stream`, { body: { prompt: 'x' } });
  let text = '';
  for await (const piece of response) {
    text += piece;
    if (text.includes('first')) go();
  }
  assert.match(text, /first.*second.*event: done/s);
  const heads = await box.read('heads');
  assert.match(heads, /request-id: r1/i);
  assert.doesNotMatch(heads, /set-cookie/i);
});

leakless(daemon, 'a token is good for its own box, its own run, and calls of models', async () => {
  provider.heard.length = 0;
  provider.answer = (request, response) => say(response, '{}');
  const box = await withAgent(`echo "$HUTCH_MODEL_TOKEN $HUTCH_MODEL_URL" > told; echo on > ready; read line < wait; cp /dev/null /tmp/said; ${kDone}`);
  await box.sh('mkfifo ready wait');
  const asked = ask(box);
  await box.sh('cat ready');
  const [token, url] = (await box.read('told')).trim().split(' ');
  const from = (other, path, header = token) => other.sh(`wget -q -O - -S --header "x-api-key: ${header}" --post-data '{}' "${url}${path}" 2>&1 || true`);
  assert.match(await from(box, '/v1/messages'), / 200 /);
  assert.match(await from(box, '/v1/messages/count_tokens'), / 200 /);
  const other = await daemon.box({ network_policy: { mode: 'deny-all' } });
  assert.match(await from(other, '/v1/messages'), / 401 /, 'another box');
  assert.match(await from(box, '/v1/messages', `${token}x`), / 401 /);
  assert.match(await from(box, '/v1/messages', ''), / 401 /);
  const tricks = ['/v1/messages/%2e%2e/files', '/v1/messages/%252e%252e/files', '/v1/messages%2f..%2ffiles', '/v1/messages/.%5c./files', '/v1/messagesx', '//v1/files', '/v1//messages'];
  for (const path of ['/v1/files', '/v1/messages/../files', '/v1/organizations', '/', '/v2/box', ...tricks]) assert.match(await from(box, path), / 40[04] /, path);
  assert.equal(provider.heard.length, 2);
  await box.sh('echo on > wait');
  await asked;
  assert.match(await from(box, '/v1/messages'), / 401 /, 'the run has ended');
});

leakless(daemon, 'what could make another call of it does not reach the provider', async () => {
  provider.heard.length = 0;
  provider.answer = (request, response) => say(response, '{"ok":true}');
  const beside = ['X-HTTP-Method-Override: DELETE', 'X-Original-URL: /v1/files', 'X-Forwarded-For: 10.0.0.1', 'Cookie: a=b', 'Authorization: Bearer x', 'X-Stainless-Lang: js', 'X-Mine:', 'X-Yours: 1', 'OpenAI-Organization: theirs', 'OpenAI-Project: theirs', 'Anthropic-Workspace-Id: theirs'];
  assert.match(await answerTo(raw(...kFirst, ...beside, 'Content-Length: 2', '', '{}')), /ok:true/);
  const { headers } = provider.heard[0];
  assert.deepEqual([headers['x-api-key'], headers['x-stainless-lang'], headers['content-length']], ['the-boxs-key', 'js', '2']);
  for (const name of ['x-http-method-override', 'x-original-url', 'x-forwarded-for', 'cookie', 'authorization', 'x-yours', 'openai-organization', 'openai-project', 'anthropic-workspace-id']) assert.equal(headers[name], undefined, name);
  const twice = ['Content-Length: 2', 'Transfer-Encoding: chunked', '', '0', '', 'GET /v1/files HTTP/1.1', 'Host: x', '', ''];
  assert.match(await answerTo(raw(...kFirst, ...twice)), /HTTP.1.1 400/);
  assert.match(await answerTo(raw('POST http://127.0.0.1/v1/messages HTTP/1.1', ...kFirst.slice(1), 'Content-Length: 0', '', '')), /HTTP.1.1 400/);
  assert.match(await answerTo(raw('POST @127.0.0.1/v1/messages HTTP/1.1', ...kFirst.slice(1), 'Content-Length: 0', '', '')), /HTTP.1.1 400/);
  for (const again of [['X-Api-Key: second'], ['Authorization: Bearer x', 'Authorization: Bearer y']]) {
    assert.match(await answerTo(raw(...kFirst, ...again, 'Content-Length: 2', '', '{}')), /HTTP.1.1 400.*is there twice/, again[0]);
  }
  assert.equal(provider.heard.length, 1);
});

leakless(daemon, 'nothing is asked that outlives the run: no batch, no answer in the background', async () => {
  provider.heard.length = 0;
  provider.answer = (request, response) => say(response, '{"ok":true}');
  const post = (path, body, ...more) => answerTo(raw(`POST ${path} HTTP/1.1`, ...kFirst.slice(1), ...more, `Content-Length: ${body.length}`, '', body.replaceAll('"', '\\"')));
  assert.match(await post('/v1/messages/batches', '{}'), /HTTP.1.1 404/);
  assert.match(await post('/v1/responses/r1/cancel', '{}'), /HTTP.1.1 404/);
  assert.match(await post('/v1/responses', '{"input":"x","background":true}'), /HTTP.1.1 400.*background: /);
  assert.match(await post('/v1/responses', '{}', 'Content-Encoding: gzip'), /HTTP.1.1 415/);
  assert.equal(provider.heard.length, 0);
  assert.match(await post('/v1/responses', '{"input":"x","background":false}'), /ok:true/);
});

leakless(daemon, 'a box fills so much of the daemon’s memory, and others still have their models', async () => {
  provider.heard.length = 0;
  provider.answer = (request, response) => { if (provider.heard.length > 2) say(response, '{"ok":true}'); };
  const big = (name) => `wget -q -O - -S --header "x-api-key: $HUTCH_MODEL_TOKEN" --post-file big "$HUTCH_MODEL_URL/v1/messages" > ${name} 2>&1`;
  const box = await withAgent(`head -c 28000000 /dev/zero | tr '\\0' x > big; ${big('one')} & ${big('two')} & read line < full; ${big('/tmp/said')}; kill %1 %2; ${kDone}`);
  await box.sh('mkfifo full');
  const heard = new Promise((resolve) => {
    const answer = provider.answer;
    provider.answer = (...call) => {
      answer(...call);
      if (provider.heard.length === 2) resolve();
    };
  });
  const asked = ask(box);
  await heard;
  assert.match(await answerTo(call()), /ok:true/, 'another box');
  await box.sh('echo on > full');
  assert.match(await asked, / 429 /);
});

leakless(daemon, 'boxes that hold all the connections that they get leave some for the next', async () => {
  const program = process.env.HUTCHD;
  process.env.HUTCHD = `${daemon.directory}/hutchd`;
  fs.writeFileSync(process.env.HUTCHD, `#!/bin/sh\nulimit -n 640\nexec '${program}' "$@"\n`, { mode: 0o700 });
  await daemon.end('SIGTERM');
  await daemon.launch();
  // Each is answered, and then held; one that is refused is closed without an answer.
  const hold = (times) => `at=$(sed -n 's/nameserver //p' /etc/resolv.conf); for i in $(seq ${times}); do
      mkfifo out.$i
      ({ printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'; exec sleep 1000; } | nc $at 8733 > out.$i) > /dev/null 2>&1 &
      head -n 1 < out.$i
    done > answers; grep -c 401 answers || true`;
  const held = [];
  try {
    for (const times of [70, 70, 1]) held.push(Number(await (await daemon.box()).sh(hold(times))));
  } finally {
    process.env.HUTCHD = program;
    await daemon.end('SIGTERM');
    await daemon.launch();
  }
  assert.ok(held[0] > 1 && held[1] > 1, held);
  assert.equal(held[2], 1, held);
});

leakless(daemon, 'an answer without a body, or of another protocol, is none; where a provider is stays untold', async () => {
  for (const status of [204, 304]) {
    provider.answer = (request, response) => response.writeHead(status).end();
    assert.match(await answerTo(raw(...kFirst, 'Content-Length: 0', '', '')), /HTTP.1.1 502/, status);
  }
  provider.answer = (request, response) => response.socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nx');
  assert.match(await answerTo(raw(...kFirst, 'Content-Length: 0', '', '')), /HTTP.1.1 502/);
  provider.answer = (request, response) => response.writeHead(302, { location: `${kUrl}/v1/files` }).end('{}');
  provider.heard.length = 0;
  assert.match(await answerTo(raw(...kFirst, 'Content-Length: 0', '', '')), /HTTP.1.1 302/);
  assert.equal(provider.heard.length, 1, 'it was followed');
  const nobody = await answerTo(raw(...kFirst, 'Content-Length: 0', '', ''), { model: 'vercel/m' });
  assert.match(nobody, /HTTP.1.1 502.*vercel cannot be reached/);
  assert.doesNotMatch(nobody, /127\.0\.0\.1/);
});

leakless(daemon, 'what the provider refuses is passed on; one that is not there is a 502; what breaks off ends broken', async () => {
  provider.answer = (request, response) => response.writeHead(429, { 'retry-after': '7' }).end('{}');
  assert.match(await answerTo(call()), / 429 /);
  provider.answer = (request, response) => response.writeHead(401).end('{}');
  assert.match(await answerTo(call()), / 400 /, 'a wrong key is not tried again');
  assert.match(await answerTo(call('/v1/messages'), { model: 'vercel/m' }), / 502 /);
  provider.answer = (request, response) => {
    response.writeHead(200).write('some');
    setImmediate(() => response.destroy());
  };
  assert.match(await answerTo(`(${call()} && echo whole || echo broken)`), /broken$/);
});

leakless(daemon, 'a box without a way out still has its model', async () => {
  provider.answer = (request, response) => say(response, '{"ok":true}');
  assert.match(await answerTo(call(), { network_policy: { mode: 'deny-all' } }), /ok:true/);
});

leakless(daemon, 'a call ends with who made it', async () => {
  const gone = new Promise((resolve) => {
    provider.answer = (request, response) => {
      response.on('close', resolve);
      response.writeHead(200).write('x');
    };
  });
  const box = await withAgent(`${call()} > /tmp/said`);
  const heard = once(provider, 'request');
  const { run_id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x' });
  await heard;
  await daemon.json('POST', `${box.path}/runs/${run_id}/cancel`);
  await gone;
});

leakless(daemon, 'a token outlives the daemon', async () => {
  provider.answer = (request, response) => say(response, '{"ok":true}');
  const box = await withAgent(`echo on > ready; read line < wait; ${call()} > /tmp/said; ${kDone}`);
  await box.sh('mkfifo ready wait');
  const { run_id } = await daemon.json('POST', `${box.path}/run`, { prompt: 'x' });
  await box.sh('cat ready');
  await daemon.end('SIGKILL');
  await daemon.launch();
  await box.sh('echo on > wait');
  const response = await open(daemon.socket, 'GET', `${box.path}/runs/${run_id}/events`);
  let text = '';
  for await (const piece of response) text += piece;
  assert.match(text, /event: done\ndata: .*ok:true/);
});

leakless(daemon, 'a customer sets keys with hutch key, and sees which there are', async () => {
  assert.equal((await hutch(daemon, ['key', 'set', 'anthropic'], { input: 'sk-ant-1\n' })).code, 0);
  assert.equal(await output(daemon, ['key', 'models']), 'anthropic\n');
  const wrong = await hutch(daemon, ['key', 'set', 'nobody'], { input: 'k\n' });
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /PROVIDER: "nobody" is not known; there are anthropic, openai,/);
  assert.equal((await hutch(daemon, ['key', 'set', 'openai'], { input: '\n' })).code, 2);
  await daemon.refuses(400, /^key: /, 'PUT', '/v2/box/settings/model-keys/openai', { body: { key: 'a b' } });
  await daemon.refuses(404, /^provider: /, 'PUT', '/v2/box/settings/model-keys/x', { body: { key: 'a' } });
  assert.equal((await hutch(daemon, ['key', 'unset', 'anthropic'])).code, 0);
  assert.equal(await output(daemon, ['key', 'models']), '');
  await daemon.refuses(404, /no key for anthropic is set/, 'DELETE', '/v2/box/settings/model-keys/anthropic');
});
