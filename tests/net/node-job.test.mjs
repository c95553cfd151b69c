// Work with real programs in a box of the node image. A prepared environment as a starting point: a Node project with its dependencies installed is snapshotted once and
// forked ten times; each fork runs its tests and changes files, and `hutch diff` shows exactly those. And code, run by the
// programs of the image. A Next.js server in development, published, is used by a real Chromium.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { freePort } from '../e2e/lib/daemon.mjs';
import { debianArchive, noMirror } from '../e2e/lib/debian.mjs';
import { hutch as run, json, output } from '../e2e/lib/command.mjs';
import { leakless, needs, skip, suite } from '../e2e/lib/suite.mjs';
import { install } from '../sdk/install.mjs';

needs('mmdebstrap', 'apt-get', 'npm', 'chromium');
const missing = noMirror();
if (missing !== null) skip(missing);
const { chromium } = createRequire(install())('playwright-core');
const daemon = suite({ args: ['--preview_listen', `127.0.0.1:${await freePort()}`], import: { debian: debianArchive(process.env.HUTCH_CACHE) } });

const kForks = 10;
const kTest = `
const { test } = require('node:test');
const assert = require('node:assert');
const express = require('express');
const { chunk } = require('lodash');
test('a server of the project answers', async () => {
  const app = express();
  app.get('/', (request, response) => response.json(chunk(['a', 'b', 'c'], 2)));
  const server = app.listen(0);
  const answer = await fetch('http://127.0.0.1:' + server.address().port + '/');
  assert.deepStrictEqual(await answer.json(), [['a', 'b'], ['c']]);
  server.close();
});
`;

const hutch = (...args) => output(daemon, args);
const inBox = (box, script) => hutch('exec', box, '--', 'sh', '-ec', script);
const step = (what) => process.stdout.write(`\n== ${what}\n`);

/// Edits a page while a browser shows it: it must change there, and what the page's code holds must stay.
async function reloadHot(url) {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-proxy-server'] });
  try {
    const page = await browser.newPage();
    const opened = page.waitForEvent('websocket');
    await page.goto(url, { timeout: 120_000 });
    assert.match((await opened).url(), /^ws:.*hmr/);
    await page.evaluate(() => { globalThis.kept = 'kept'; });
    await inBox('web', "sed -i 's|<main\\([^>]*\\)>|<main\\1><p>changed</p>|' app/app/page.tsx");
    await page.getByText('changed').waitFor();
    assert.equal(await page.evaluate(() => globalThis.kept), 'kept');
  } finally {
    await browser.close();
  }
}

leakless(daemon, 'a Node project, forked ten times', { timeout: 900_000 }, async () => {
  step('1/6 The node image');
  const build = await run(daemon, ['image', 'build', 'node', '--from', 'debian']);
  assert.equal(build.code, 0, build.stderr);
  process.stdout.write(build.stderr.trimEnd().split('\n').at(-1) + '\n');
  step('2/6 A project with its dependencies');
  await hutch('create', 'project', '--image', 'node');
  await inBox('project', 'mkdir app test-results; cd app; npm init -y > /dev/null; npm install --no-fund --no-audit express lodash');
  await daemon.json('POST', '/v2/box/project/files/write', { path: 'app/test/server.test.js', content: kTest });
  const snapshot = (await hutch('snapshot', 'create', 'project', 'deps-installed')).trim();
  assert.equal(await hutch('diff', 'project', '--against', snapshot), '');
  step('3/6 Ten forks, each with its tests and its changes');
  const forks = (await hutch('fork', 'project', '--count', String(kForks), '--name', 'worker')).trim().split('\n');
  assert.equal(forks.length, kForks);
  await Promise.all(forks.map(async (fork, i) => {
    const report = await inBox(fork, 'cd app; node --test 2>&1');
    assert.match(report, /pass 1\b/);
    await inBox(fork, `echo "the result of worker ${i}" > test-results/worker-${i}; cd app; echo "// ${i}" >> node_modules/lodash/chunk.js
      rm node_modules/express/LICENSE; chmod 700 test`);
    const { changes } = await json(daemon, ['diff', fork, '--against', snapshot]);
    assert.deepEqual(changes.map(({ path, change }) => `${change} ${path.slice('/workspace/home/'.length)}`), [
      'deleted app/node_modules/express/LICENSE', 'modified app/node_modules/lodash/chunk.js', 'metadata app/test',
      `added test-results/worker-${i}`]);
    const answers = await inBox(fork, `cat test-results/*; tail -n 1 app/node_modules/lodash/chunk.js`);
    assert.equal(answers, `the result of worker ${i}\n// ${i}\n`, 'forks do not see each other');
  }));
  step('4/6 The origin is untouched, and so is the snapshot');
  assert.equal(await hutch('diff', 'project', '--against', snapshot), '');
  assert.match(await inBox('project', 'cd app; node --test 2>&1'), /pass 1\b/);
  await hutch('rollback', 'worker-1', snapshot).then(() => assert.fail('it is not of that box'), () => {});
  await daemon.json('DELETE', '/v2/box/snapshots');
  step('5/6 Code, in three languages');
  const code = (language, text, more = {}) => daemon.json('POST', '/v2/box/project/code', { language, code: text, ...more });
  const { exit_code, output: said } = await code('js', "const { chunk } = require('lodash'); console.log(chunk([1, 2, 3], 2).length, process.cwd())", { folder: 'app' });
  assert.deepEqual([exit_code, said], [0, '2 /workspace/home/app\n']);
  assert.equal((await code('js', "import fs from 'node:fs'; console.log(await fs.promises.readFile('/etc/hostname', 'utf8'))")).output, 'project\n\n');
  assert.equal((await code('ts', 'const answer: number = 42; interface A { b: string }; console.log(answer)')).output, '42\n');
  assert.equal((await code('ts', "import os from 'node:os'; const n: string = os.EOL; console.log(n.length)")).output, '1\n');
  const failed = await code('js', 'throw new Error("no")');
  assert.equal(failed.exit_code, 1);
  assert.match(failed.error, /Error: no/);
  const streamed = await daemon.ask('POST', '/v2/box/project/code-stream', { body: { language: 'python', code: 'import sys\nprint("é" * 100000)\nsys.exit(3)\n' } });
  assert.ok(streamed.text.startsWith('é'.repeat(100000) + '\nevent: exit\ndata: {'));
  assert.match(streamed.text, /"exit_code":3/);
  assert.equal((await daemon.ask('POST', '/v2/box/project/code', { body: { language: 'js', code: 'for (;;);', timeout: 300 } })).json.exit_code, 137);
  step('6/6 A server in development, in a browser');
  await hutch('create', 'web', '--image', 'node', '--size', 'medium');
  await inBox('web', 'npx --yes create-next-app@latest app --yes --ts --app --use-npm --disable-git --no-tailwind --no-eslint > log 2>&1 || { cat log; exit 1; }');
  await inBox('web', 'cd app; nohup npm run dev > dev.log 2>&1 &');
  await hutch('url', 'add', 'web', '3000');
  await reloadHot((await hutch('url', 'web', '3000')).trim());
  await daemon.removeAll();
  await hutch('image', 'rm', 'node');
});
