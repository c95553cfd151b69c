// The API's description: what it says is so, and all of it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { calls, contract, daemon, directoryOfClient } from './client.mjs';

calls('docs/openapi.json is OpenAPI 3.1, and what scripts/openapi writes', async () => {
  const require = createRequire(path.join(directoryOfClient, 'package.json'));
  const { Validator } = await import(require.resolve('@seriousme/openapi-schema-validator'));
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(contract.document));
  assert.ok(valid, JSON.stringify(errors, null, 1));
  assert.equal(validator.version, '3.1');
  const check = spawnSync(process.execPath, [fileURLToPath(new URL('../../scripts/openapi', import.meta.url)), '--check'], { encoding: 'utf8' });
  assert.equal(check.status, 0, check.stderr);
});

calls('its calls are those of the daemon', async () => {
  const { calls: known } = await daemon.json('GET', '/v2');
  // By the door itself, which needs no key for it.
  assert.deepEqual(contract.routes.map(({ name }) => name).sort(), [...known, 'GET /healthz'].sort());
  assert.deepEqual(await daemon.json('GET', '/healthz'), { status: 'serving' });
});

calls('a key is sent as one of the schemes says, and only /healthz needs none', async () => {
  const ask = async (target, headers) => (await fetch(`${daemon.url}${target}`, { headers })).status;
  const { components: { securitySchemes }, security } = contract.document;
  const sent = { apiKey: ({ name }) => ({ [name]: daemon.key }), http: ({ scheme }) => ({ authorization: `${scheme} ${daemon.key}` }) };
  const named = security.flatMap(Object.keys);
  assert.deepEqual(named, ['key', 'bearer']);
  for (const name of named) assert.equal(await ask('/v2', sent[securitySchemes[name].type](securitySchemes[name])), 200, name);
  const open = contract.routes.filter(({ operation }) => operation.security?.length === 0);
  assert.deepEqual(open.map(({ name }) => name), ['GET /healthz']);
  assert.deepEqual([await ask('/healthz', {}), await ask('/v2', {})], [200, 401]);
});

/// A body of another type than the call takes, field by field; and bodies that are none.
const kWrong = { string: 5, integer: 'five', number: 'five', boolean: 'yes', array: 'one', object: 'one' };
const resolved = (schema) => (schema.$ref ? contract.document.components.schemas[schema.$ref.split('/').at(-1)] : schema);

calls('each call refuses a body that is no JSON, and a field of another type by its name', async () => {
  const box = await daemon.box({ name: 'wrong', keep_alive: true });
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'real' }, 201);
  const at = (route) => route.replace('{id}', box.id).replace('{snapshot}', snapshot.id).replace('{provider}', 'openai').replace(/\{\w+\}/g, 'none');
  for (const { name, method, route, operation } of contract.routes) {
    const json = operation.requestBody?.content['application/json'];
    if (!json || operation.responses[501]) continue;
    for (const body of ['{', '[1]', '"text"']) {
      const { status, text } = await daemon.ask(method, at(route), { body, headers: { 'content-type': 'application/json' } });
      assert.equal(status, 400, `${name} ${body}: ${status} ${text}`);
    }
    const { properties } = resolved(json.schema);
    for (const [field, schema] of Object.entries(properties)) {
      const { type } = resolved(schema);
      // What else it needs is there, so that this field is what is wrong.
      const body = Object.fromEntries(Object.entries(properties).filter(([other]) => resolved(json.schema).required?.includes(other)).map(([other, its]) => [other, example(other, its)]));
      if (properties.github_token) body.github_token = 'token'; // a pull request needs one
      if (properties.snapshot_id) body.snapshot_id = snapshot.id;
      if (body.from) body.from = 'busybox';
      body[field] = kWrong[type];
      const { status, text } = await daemon.ask(method, at(route), { body });
      assert.equal(status, 400, `${name} ${field}: ${status} ${text}`);
      assert.match(text, new RegExp(`"error":"[^"]*\\b${field}\\b`), `${name} ${field}: ${text}`);
    }
  }
  await daemon.json('DELETE', '/v2/box/snapshots');
});

function example(name, schema) {
  const { type, enum: values, items } = resolved(schema);
  if (values) return values[0];
  if (name === 'env_vars') return {};
  return { string: 'text', integer: 1, number: 1, boolean: true, array: items ? [example('', items)] : [], object: { command: 'true', mode: 'allow-all' } }[type];
}
