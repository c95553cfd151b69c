// scripts/client-examples: the examples that the npm client's repository publishes, as they are, against a hutchd of our
// own, and a table of which pass with which version of the client.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Daemon } from '../e2e/lib/daemon.mjs';
import { Model } from '../e2e/lib/model.mjs';
import { examples, reasons } from './catalogue.mjs';
import { Client, fetchExamples } from './clients.mjs';
import { buildImages } from './images.mjs';
import { turnFor } from './model.mjs';

const kCommit = '63aa12279d2048fd1fa444dfb950f6c39943b2f6'; // the newest of those that were published
const kBridged = '0.1.28'; // of those that take the examples' agents, the newest
const { values, positionals } = parseArgs({ allowPositionals: true, options: {
  source: { type: 'string', default: 'https://github.com/upstash/box' },
  state: { type: 'string', default: '/var/tmp/hutch-client-examples' },
  version: { type: 'string', multiple: true, default: ['0.1.23', '0.1.28', '0.1.36', '0.5.5'] },
  all: { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
} });

/// Why it did not do what it is for; null if it did.
function complaintOf({ code, output }, { says }) {
  if (typeof code === 'string') return code;
  if (code === 0 && says.test(output)) return null;
  const [error = code === 0 ? 'it ends without the output that it is for' : `exit code ${code}`] = /^(?:\w*Error|  FAIL) *.*$/m.exec(output) ?? [];
  const [, why] = reasons.find(([pattern]) => pattern.test(error)) ?? [];
  return why ? `${why} (${error.trim()})` : error.trim();
}

const isExplained = (complaint) => complaint === null || reasons.some(([, why]) => complaint.startsWith(why));

async function runAll(daemon, clients, names) {
  const rows = [];
  for (const name of names) {
    const example = examples[name];
    const results = {};
    for (const client of clients) {
      if (example.needs || (client.bridged && Object.values(results).includes(null))) break;
      client.give(example.files);
      const result = await client.run(name, { UPSTASH_BOX_BASE_URL: daemon.url, UPSTASH_BOX_API_KEY: daemon.key,
        CLAUDE_KEY: 'sk-stand-in', ANTHROPIC_API_KEY: 'sk-stand-in', OPENAI_API_KEY: 'sk-stand-in' });
      results[client.version] = complaintOf(result, example);
      console.log(`${name} with ${client.version}: ${results[client.version] ?? 'passes'}`);
      if (values.verbose) console.log(result.output);
      await daemon.json('DELETE', '/v2/box/snapshots', {});
      await daemon.removeAll();
    }
    rows.push({ name, results, needs: example.needs });
  }
  return rows;
}

function print(rows, versions) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  const cell = (result) => (result === undefined ? '-' : result === null ? 'passes' : 'no').padEnd(8);
  console.log(`\n${''.padEnd(width)}  ${versions.map((version) => version.padEnd(8)).join('')}`);
  for (const { name, results } of rows) console.log(`${name.padEnd(width)}  ${versions.map((version) => cell(results[version])).join('')}`);
  console.log(`\n${kBridged}+: the published client, with the export Runtime that no published version has; for what runs with none as it is\n`);
  for (const { name, results, needs } of rows) {
    if (needs) console.log(`${name}: not run: it ${needs}\n`);
    if (needs || values.version.some((version) => results[version] === null)) continue;
    console.log(`${name}: no published version runs it as it is:`);
    for (const why of new Set(Object.values(results))) console.log(`  ${versions.filter((version) => results[version] === why).join(', ')}: ${why ?? 'passes'}`);
    console.log();
  }
}

const names = positionals.length > 0 ? positionals : Object.keys(examples).filter((name) => values.all || !examples[name].long);
const unknown = names.find((name) => !(name in examples));
if (unknown) throw new Error(`there is no example ${unknown}; there are: ${Object.keys(examples).join(', ')}`);
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'client-examples-'));
const model = await new Model(turnFor).open();
fs.mkdirSync(values.state, { recursive: true });
const daemon = new Daemon({ state: path.join(values.state, 'state'), tcp: true, images: false,
  args: ['--anthropic_url', model.url, '--openai_url', model.url, '--private_webhooks'] });
try {
  await daemon.open();
  await buildImages(daemon, values.state);
  const published = fetchExamples(work, values.source, kCommit);
  const clients = values.version.map((version) => new Client(work, version, published));
  clients.push(new Client(work, kBridged, published, { bridged: true }));
  const rows = await runAll(daemon, clients, names);
  print(rows, clients.map(({ version }) => version));
  process.exitCode = rows.every(({ results }) => Object.values(results).every(isExplained)) ? 0 : 1;
} finally {
  if (daemon.running) await daemon.close();
  model.close();
  fs.rmSync(work, { recursive: true });
}
