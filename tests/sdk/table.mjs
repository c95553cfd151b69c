// Last: what all the tests before have called, as docs/client.md has it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { calls, methods } from './client.mjs';

calls('docs/client.md tells what each method of the client calls', async () => {
  const file = new URL('../../docs/client.md', import.meta.url);
  const said = fs.readFileSync(file, 'utf8');
  const begin = said.indexOf('| method |');
  const head = begin < 0 ? said : said.slice(0, begin);
  if (process.env.HUTCH_WRITE_TABLE) fs.writeFileSync(file, head + methods.table());
  else assert.equal(begin < 0 ? '' : said.slice(begin), methods.table());
});
