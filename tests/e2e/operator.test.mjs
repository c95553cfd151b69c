// What who runs a hutchd needs: whether it serves, a key in the form that monitoring sends, and who changed what.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs();
const daemon = suite({ tcp: true });

const over = (path, { method = 'GET', headers = {}, body } = {}) => fetch(`${daemon.url}${path}`, { method, headers: { connection: 'close', ...headers }, body });
const bearer = (key) => ({ authorization: `Bearer ${key}` });
const audited = () => daemon.log.map((line) => JSON.parse(line).message).filter((message) => message.startsWith('audit: '));

leakless(daemon, '/healthz is answered without a key over TCP and the socket, and nothing else is', async () => {
  const answer = await over('/healthz');
  assert.deepEqual([answer.status, await answer.json()], [200, { status: 'serving' }]);
  assert.deepEqual(await daemon.json('GET', '/healthz'), { status: 'serving' });
  assert.deepEqual([(await over('/healthz', { method: 'HEAD' })).status, (await over('/healthz', { method: 'POST' })).status, (await over('/v2')).status], [200, 401, 401]);
});

leakless(daemon, 'a daemon that is about to end says so to who is connected', async () => {
  const box = await daemon.box();
  const run = box.exec(['sleep', '1000']).catch(() => {}); // it is what the end waits for
  await until('it runs', async () => (await box.status()) === 'running');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const health = async () => {
    const [answer] = await once(http.get(`${daemon.url}/healthz`, { agent }), 'response');
    let text = '';
    for await (const piece of answer) text += piece;
    return [answer.statusCode, JSON.parse(text).status];
  };
  assert.deepEqual(await health(), [200, 'serving']);
  daemon.process.kill('SIGTERM');
  await until('it is about to end', () => daemon.log.some((line) => line.includes('shutting down')));
  assert.deepEqual(await health(), [503, 'stopping']);
  await daemon.exited;
  agent.destroy();
  await run;
  await daemon.launch();
});

leakless(daemon, 'a stop answers who has connected, and what has come on connections that were idle', async () => {
  const doors = [{ socketPath: daemon.socket }, { host: '127.0.0.1', port: daemon.port }];
  const idle = doors.map(() => new http.Agent({ keepAlive: true, maxSockets: 1 }));
  const ask = (door, agent) => {
    const request = http.get({ ...door, agent, path: '/v2/box', headers: bearer(daemon.key) });
    const answered = once(request, 'response').then(async ([answer]) => {
      let text = '';
      for await (const piece of answer) text += piece;
      return [answer.statusCode, text];
    });
    return { sent: once(request, 'finish'), answered };
  };
  for (const [i, agent] of idle.entries()) assert.equal((await ask(doors[i], agent).answered)[0], 200);
  daemon.process.kill('SIGSTOP'); // so that all of them are there when it goes on, and the end too
  const asked = doors.flatMap((door, i) => [ask(door, idle[i]), ...Array.from({ length: 20 }, () => ask(door, false))]);
  const answers = Promise.allSettled(asked.map(({ answered }) => answered));
  await Promise.all(asked.map(({ sent }) => sent));
  daemon.process.kill('SIGTERM');
  daemon.process.kill('SIGCONT');
  const values = (await answers).map(({ value, reason }) => value ?? reason.code);
  assert.deepEqual(values, asked.map(() => [200, '[]']));
  assert.deepEqual(await daemon.exited, [0, null]);
  for (const agent of idle) agent.destroy();
  await daemon.launch();
});

leakless(daemon, 'a key may come as Authorization: Bearer, in any case of that word; X-Box-Api-Key wins', async () => {
  assert.equal((await over('/metrics', { headers: bearer(daemon.key) })).status, 200);
  assert.equal((await over('/metrics', { headers: { authorization: `bEARER ${daemon.key}` } })).status, 200);
  const wrong = await over('/metrics', { headers: bearer('wrong-wrong-wrong') });
  assert.deepEqual([wrong.status, (await wrong.json()).error], [401, 'X-Box-Api-Key: the key is not known']);
  assert.equal((await over('/metrics', { headers: { authorization: `Basic ${daemon.key}` } })).status, 401);
  assert.equal((await over('/metrics', { headers: { 'x-box-api-key': 'wrong-wrong-wrong', ...bearer(daemon.key) } })).status, 401);
  assert.match((await (await over('/metrics')).json()).error, /send your API key in this header, or as Authorization: Bearer KEY$/);
});

leakless(daemon, 'the log tells who made, changed and deleted what, by id, and not what was read or refused', async () => {
  const { key } = await daemon.json('POST', '/v2/keys', { name: 'alice' }, 201);
  const as = (path, method, body) => over(path, { method, headers: bearer(key), body: body && JSON.stringify(body) });
  const box = await (await as('/v2/box', 'POST', { name: 'web' })).json();
  await as('/v2/box/web/exec', 'POST', { command: ['true'] });
  await as('/v2/box/web', 'GET');
  await as('/v2/box/web/config/labels', 'POST', { label: 'no good' });
  await as('/v2/box/web/config/labels', 'POST', { label: 'good' });
  await as('/v2/box', 'DELETE', { ids: ['web'] });
  const mine = await daemon.box();
  await mine.remove();
  await daemon.json('DELETE', '/v2/keys/alice');
  const alice = 'audit: customer alice from 127.0.0.1:';
  const root = 'audit: user 0 of this host:';
  const concerns = `ok; it concerns ${box.id}`;
  await until('it is written', () => audited().at(-1)?.includes('/v2/keys/alice'));
  assert.deepEqual(audited().slice(-7), [`${root} POST /v2/keys: ok; it concerns alice`, `${alice} POST /v2/box: ${concerns}`, `${alice} POST /v2/box/web/config/labels: ${concerns}`,
    `${alice} DELETE /v2/box: ${concerns}`, `${root} POST /v2/box: ok; it concerns ${mine.id}`, `${root} DELETE /v2/box/${mine.id}: ok; it concerns ${mine.id}`, `${root} DELETE /v2/keys/alice: ok`]);
});
