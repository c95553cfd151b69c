// The npm client and a hutchd that speaks TLS, with a certificate of the host's own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Certificate } from '../e2e/lib/certificate.mjs';
import { leakless, needs, suite } from '../e2e/lib/suite.mjs';
import { install } from './install.mjs';

needs('openssl');
const client = pathToFileURL(install());
const directory = fs.mkdtempSync('/var/tmp/hutch-sdk-tls-');
after(() => fs.rmSync(directory, { recursive: true }));
const certificate = new Certificate(directory);
const daemon = suite({ tcp: true, args: certificate.args });

const kProgram = `
import { Box } from '${client}';
const box = await Box.create();
const said = await box.exec.command('echo hello');
await box.files.write({ path: 'note', content: 'by TLS' });
const read = await box.files.read('note');
await box.delete();
console.log(JSON.stringify([said.result, read]));
process.exit(0);
`;

/// Node reads NODE_EXTRA_CA_CERTS when it starts.
async function run(env) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', kProgram], {
    env: { ...process.env, UPSTASH_BOX_BASE_URL: `https://127.0.0.1:${daemon.port}`, UPSTASH_BOX_API_KEY: daemon.key, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => { out += text; });
  child.stderr.on('data', (text) => { err += text; });
  const [code] = await once(child, 'close');
  return { code, out, err };
}

leakless(daemon, 'calls by TLS, for who trusts the certificate', async () => {
  const trusting = await run({ NODE_EXTRA_CA_CERTS: certificate.certificate });
  assert.equal(trusting.code, 0, trusting.err);
  assert.deepEqual(JSON.parse(trusting.out), ['hello\n', 'by TLS']);
  const other = await run({});
  assert.notEqual(other.code, 0);
  assert.match(other.err, /fetch failed|self.signed|certificate/i);
});
