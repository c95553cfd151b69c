// Git in a box, with a server of repositories outside of the host.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { gitCore, gitImage } from './lib/git-image.mjs';
import { kOutside, kPort, Outside } from './lib/outside.mjs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('git', 'ldd');
if (!fs.existsSync(`${gitCore()}/git-http-backend`)) skip('needs git-http-backend');

const kToken = 'ghp_thisIsTheSecretOfTheTest0123456789';
const kServer = `http://${kOutside}:${kPort}`;
const directory = fs.mkdtempSync('/var/tmp/hutch-git-');
const repositories = path.join(directory, 'repositories');
const outside = new Outside([process.execPath, new URL('lib/git-server.mjs', import.meta.url).pathname, repositories, String(kPort), kToken]);

const onHost = (...args) => execFileSync('git', ['-c', 'user.name=Host', '-c', 'user.email=host@example.com', '-c', 'safe.directory=*', ...args], {
  encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env.PATH, HOME: os.tmpdir() },
}).trim();

/// A repository on the server with one commit, and a branch "other" with one more.
function publish(name) {
  const bare = path.join(repositories, name);
  const work = path.join(directory, 'work');
  onHost('init', '--quiet', '--bare', '--initial-branch=main', bare);
  onHost('-C', bare, 'config', 'http.receivepack', 'true');
  onHost('clone', '--quiet', bare, work);
  fs.writeFileSync(path.join(work, 'README'), 'one\n');
  onHost('-C', work, 'add', '.');
  onHost('-C', work, 'commit', '--quiet', '-m', 'first');
  onHost('-C', work, 'push', '--quiet', 'origin', 'HEAD:main');
  onHost('-C', work, 'checkout', '--quiet', '-b', 'other');
  onHost('-C', work, 'commit', '--quiet', '--allow-empty', '-m', 'on the other branch');
  onHost('-C', work, 'push', '--quiet', 'origin', 'other');
  fs.rmSync(work, { recursive: true });
}

before(() => {
  for (const name of ['public/project.git', 'private/project.git']) publish(name);
  outside.open();
});
after(() => {
  outside.close();
  fs.rmSync(directory, { recursive: true });
});
const daemon = suite({ import: { git: gitImage(directory) } });

const post = (box, call, body, status = 200) => daemon.json('POST', `${box.path}/git/${call}`, body, status);
const get = async (box, call, folder) => (await daemon.json('GET', `${box.path}/git/${call}?folder=${folder}`))[call];
const refuses = (box, status, about, call, body) => daemon.refuses(status, about, 'POST', `${box.path}/git/${call}`, { body });
const git = async (box, folder, ...args) => (await post(box, 'exec', { args, folder })).output.trim();

async function gitBox(body = {}) {
  const box = await daemon.box({ runtime: 'git', ...body });
  await until('the server outside listens', async () => await box.fails(`nc -w 1 ${kOutside} ${kPort} < /dev/null`) === 0);
  return box;
}

leakless(daemon, 'clone, change, look, commit', async () => {
  const box = await gitBox();
  await post(box, 'clone', { repo: `${kServer}/public/project.git` });
  assert.equal((await daemon.json('GET', box.path)).clone_repo, `${kServer}/public/project.git`);
  assert.equal(await box.read('project/README'), 'one\n');
  assert.equal(await get(box, 'status', 'project'), '');
  assert.equal(await get(box, 'diff', 'project'), '');

  await box.write('project/README', 'two\n');
  await box.write('project/new', 'new\n');
  assert.equal(await get(box, 'status', 'project'), ' M README\n?? new\n');
  assert.match(await get(box, 'diff', 'project'), /-one\n\+two\n/);
  await git(box, 'project', 'add', 'README');
  assert.match(await get(box, 'diff', 'project'), /-one\n\+two\n/, 'staged changes too');

  const { sha, message } = await post(box, 'commit', { message: '-second: "quoted"\n\nand more', folder: 'project' });
  assert.equal(message, '-second: "quoted"\n\nand more');
  assert.equal(await git(box, 'project', 'rev-parse', 'HEAD'), sha);
  assert.equal(await git(box, 'project', 'log', '-1', '--format=%an <%ae>|%cn <%ce>|%B'), `Hutch Box <box@hutch.local>|Hutch Box <box@hutch.local>|${message}`);
  assert.equal(await get(box, 'status', 'project'), '');
  await refuses(box, 409, /^git: nothing to commit, working tree clean$/, 'commit', { message: 'again', folder: 'project' });
});

leakless(daemon, 'an author is of one commit, a configuration of all to come', async () => {
  const box = await gitBox();
  await git(box, '', 'init', '--quiet', 'p');
  const authors = () => git(box, 'p', 'log', '-1', '--format=%an <%ae> %cn');
  await box.write('p/a', 'a');
  assert.match(await get(box, 'diff', 'p'), /^$/); // nothing is committed, and git knows of nothing
  await git(box, 'p', 'add', 'a');
  assert.match(await get(box, 'diff', 'p'), /^\+a$/m);
  await post(box, 'commit', { message: 'a', author_name: 'Jane Doe', author_email: 'jane@example.com', folder: 'p' });
  assert.equal(await authors(), 'Jane Doe <jane@example.com> Hutch Box');
  const set = (body) => daemon.json('PUT', `${box.path}/git-config`, body);
  assert.deepEqual(await set({ git_user_name: 'John Doe' }), { git_user_name: 'John Doe', git_user_email: 'box@hutch.local' });
  assert.deepEqual(await set({ git_user_email: 'john@example.com' }), { git_user_name: 'John Doe', git_user_email: 'john@example.com' });
  await box.write('p/b', 'b');
  await post(box, 'commit', { message: 'b', folder: 'p' });
  assert.equal(await authors(), 'John Doe <john@example.com> John Doe');
});

leakless(daemon, 'a branch is checked out, fetched or made', async () => {
  const box = await gitBox();
  await post(box, 'clone', { repo: `${kServer}/public/project.git`, branch: 'other' });
  const head = () => git(box, 'project', 'log', '-1', '--format=%s');
  const branch = () => git(box, 'project', 'branch', '--show-current');
  assert.deepEqual([await branch(), await head()], ['other', 'on the other branch']);
  await post(box, 'checkout', { branch: 'main', folder: 'project' });
  assert.deepEqual([await branch(), await head()], ['main', 'first']);
  await post(box, 'checkout', { branch: 'README', folder: 'project' }); // a file's name, and a new branch's
  assert.deepEqual([await branch(), await head()], ['README', 'first']);
  await post(box, 'checkout', { branch: 'other', folder: 'project' });
  await box.write('project/README', 'changed');
  await git(box, 'project', 'commit', '-q', '-am', 'changes README');
  await box.write('project/README', 'changed again');
  await refuses(box, 409, /^git: error: Your local changes .* would be overwritten/, 'checkout', { branch: 'main', folder: 'project' });
});

leakless(daemon, 'steps are runs, and what serves them is not', async () => {
  const box = await gitBox();
  await git(box, '', 'init', '--quiet', 'p');
  await box.write('p/a', 'a');
  await post(box, 'commit', { message: 'a', folder: 'p' });
  const { runs } = await daemon.json('GET', `${box.path}/runs`);
  assert.deepEqual(runs.map((run) => run.prompt).filter((prompt) => prompt.startsWith('git')), ['git commit --message=a', 'git init --quiet p']);
});

leakless(daemon, 'what cannot be is said', async () => {
  const box = await gitBox();
  const none = await daemon.box();
  await refuses(none, 409, /image "busybox" has no git.*install/, 'exec', { args: ['status'] });
  await refuses(box, 409, /^git: fatal: not a git repository/, 'exec', { args: ['status'] });
  await refuses(box, 400, /^folder: /, 'exec', { args: ['status'], folder: 'nowhere' });
  await refuses(box, 400, /^args: /, 'exec', {});
  await refuses(box, 400, /^args/, 'exec', { args: 'status' });
  await refuses(box, 400, /^git: /, 'exec', { args: ['init', '--no-such-option'] });
  await refuses(box, 400, /^message: /, 'commit', {});
  await refuses(box, 400, /^author_name: /, 'commit', { message: 'a', author_name: 'a\nb' });
  await refuses(box, 400, /^repo: /, 'clone', {});
  await refuses(box, 400, /^repo: .*github_token/, 'clone', { repo: `http://me:secret@${kOutside}/x` });
  for (const repo of ['--upload-pack=touch x', 'ext::sh -c touch% x', '']) await refuses(box, 400, /^repo: /, 'clone', { repo });
  for (const branch of ['-f', 'a..b', 'a b', '', 'a.lock', '/a', '@']) await refuses(box, 400, /^branch: /, 'checkout', { branch });
  await refuses(box, 400, /^branch: /, 'clone', { repo: `${kServer}/public/project`, branch: '--bare' });
  await refuses(box, 409, /^git: fatal: /, 'clone', { repo: `${kServer}/public/none.git` });
  await daemon.refuses(400, /^git_user_name: /, 'PUT', `${box.path}/git-config`, { body: { git_user_name: 1 } });
});
