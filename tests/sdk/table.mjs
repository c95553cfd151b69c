// Last: what all the tests before have called, as docs/client.md has it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { calls, methods } from './client.mjs';
import { rows } from './newer.mjs';

const kNewer = `
## Newer clients, at the wire

What the newest contract has besides, or otherwise. No such client is published where these tests are run, so the test \`sdk\` sends what
they send (\`tests/sdk/newer.mjs\`).

| call | what comes of it | state |
|---|---|---|
`;

calls('docs/client.md tells what each method of the client calls', async () => {
  const file = new URL('../../docs/client.md', import.meta.url);
  const said = fs.readFileSync(file, 'utf8');
  const begin = said.indexOf('| method |');
  const head = begin < 0 ? said : said.slice(0, begin);
  const table = `${methods.table()}${kNewer}${rows.join('\n')}\n`;
  if (process.env.HUTCH_WRITE_TABLE) fs.writeFileSync(file, head + table);
  else assert.equal(begin < 0 ? '' : said.slice(begin), table);
});
