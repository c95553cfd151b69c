// Git in a box, with a server of repositories outside of the host.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { complains, hutch, output } from './lib/command.mjs';
import { gitCore, gitImage } from './lib/git-image.mjs';
import { kOther, kOutside, kPort, Outside } from './lib/outside.mjs';
import { leakless, needs, skip, suite } from './lib/suite.mjs';
import { directory as directoryEntry, file, tar } from './lib/tar.mjs';
import { until } from './lib/until.mjs';

needs('git', 'ldd');
if (!fs.existsSync(`${gitCore()}/git-http-backend`)) skip('needs git-http-backend');

const kToken = 'ghp_thisIsTheSecretOfTheTest0123456789';
const kServer = `http://${kOutside}:${kPort}`;
const directory = fs.mkdtempSync('/var/tmp/hutch-git-');
const repositories = path.join(directory, 'repositories');
const outside = new Outside([process.execPath, new URL('lib/git-server.mjs', import.meta.url).pathname, repositories, String(kPort)]);

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

// What the daemon takes for GitHub's API.
const asked = [];
let answers = [];
const forge = http.createServer(async (request, response) => {
  let body = '';
  for await (const piece of request) body += piece;
  asked.push({ call: `${request.method} ${request.url}`, authorization: request.headers.authorization, ...(body && { body: JSON.parse(body) }) });
  const { status, headers = {}, json = {} } = answers.shift() ?? { status: 500 };
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close', ...headers });
  response.end(JSON.stringify(json));
});
forge.listen(0, '127.0.0.1');
await once(forge, 'listening');
const kForge = `http://127.0.0.1:${forge.address().port}`;

before(() => {
  for (const name of ['public/project.git', 'private/project.git', 'private/held.git']) publish(name);
  fs.writeFileSync(path.join(repositories, 'token'), kToken);
  outside.open();
});
after(() => {
  forge.close();
  outside.close();
  fs.rmSync(directory, { recursive: true });
});
const daemon = suite({ import: { git: gitImage(directory) }, args: ['--github_url', kServer, '--github_api_url', kForge] });

const post = (box, call, body, status = 200) => daemon.json('POST', `${box.path}/git/${call}`, body, status);
const get = async (box, call, folder) => (await daemon.json('GET', `${box.path}/git/${call}?folder=${folder}`))[call];
const refuses = (box, status, about, call, body) => daemon.refuses(status, about, 'POST', `${box.path}/git/${call}`, { body });
const git = async (box, folder, ...args) => {
  const { output, exit_code } = await post(box, 'exec', { args, folder });
  assert.equal(exit_code, 0, `git ${args.join(' ')}: ${output}`);
  return output.trim();
};

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
  const set = (body, call = 'git-config') => daemon.json('PUT', `${box.path}/${call}`, body);
  assert.deepEqual(await set({ git_user_name: 'John Doe' }), { git_user_name: 'John Doe', git_user_email: 'box@hutch.local' });
  assert.deepEqual(await set({ git_user_email: 'john@example.com' }, 'config/git'), { git_user_name: 'John Doe', git_user_email: 'john@example.com' });
  await box.write('p/b', 'b');
  await post(box, 'commit', { message: 'b', folder: 'p' });
  assert.equal(await authors(), 'John Doe <john@example.com> John Doe');
});

leakless(daemon, 'a branch is checked out, its own or the origin\'s, and none is made', async () => {
  const box = await gitBox();
  await post(box, 'clone', { repo: `${kServer}/public/project.git`, branch: 'other' });
  const head = () => git(box, 'project', 'log', '-1', '--format=%s');
  const branch = () => git(box, 'project', 'branch', '--show-current');
  assert.deepEqual([await branch(), await head()], ['other', 'on the other branch']);
  await post(box, 'checkout', { branch: 'main', folder: 'project' });
  assert.deepEqual([await branch(), await head()], ['main', 'first']);
  for (const nowhere of ['README', 'new']) await refuses(box, 409, new RegExp(`^branch: "${nowhere}" is neither here nor.*git switch -c ${nowhere}`), 'checkout', { branch: nowhere, folder: 'project' });
  await git(box, 'project', 'branch', 'README'); // a file's name too
  await post(box, 'checkout', { branch: 'README', folder: 'project' });
  assert.deepEqual([await branch(), await head()], ['README', 'first']);
  await post(box, 'checkout', { branch: 'other', folder: 'project' });
  await box.write('project/README', 'changed');
  await git(box, 'project', 'commit', '-q', '-am', 'changes README');
  await box.write('project/README', 'changed again');
  await refuses(box, 409, /^git: error: Your local changes .* would be overwritten/, 'checkout', { branch: 'main', folder: 'project' });
});

leakless(daemon, 'a branch that was never fetched comes from the origin, also to a clone of one branch', async () => {
  const box = await gitBox();
  await post(box, 'clone', { repo: `${kServer}/public/project.git`, depth: 1, folder: 'shallow' });
  const head = (folder) => git(box, folder, 'log', '-1', '--format=%s %D');
  const behind = (folder) => git(box, folder, 'rev-parse', '--abbrev-ref', '@{upstream}');
  assert.doesNotMatch(await git(box, 'shallow', 'branch', '--remotes'), /other/);
  await post(box, 'checkout', { branch: 'other', folder: 'shallow' });
  assert.match(await head('shallow'), /^on the other branch .*HEAD -> other\b/);
  assert.equal(await behind('shallow'), 'origin/other');
  assert.equal(await git(box, 'shallow', 'rev-list', '--count', 'HEAD'), '1', 'it stays shallow');
  await refuses(box, 409, /^branch: "new" is neither here nor to be had from the origin \(fatal: couldn't find remote ref/, 'checkout', { branch: 'new', folder: 'shallow' });

  await post(box, 'clone', { repo: `${kServer}/public/project.git` });
  onHost('-C', path.join(repositories, 'public/project.git'), 'branch', 'later', 'other');
  try {
    await post(box, 'checkout', { branch: 'later', folder: 'project' });
    assert.equal(await behind('project'), 'origin/later');
  } finally {
    onHost('-C', path.join(repositories, 'public/project.git'), 'branch', '--delete', '--force', 'later');
  }
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
  for (const call of ['status', 'diff']) {
    for (const query of ['', '?folder=/tmp']) await daemon.refuses(409, /^folder: "\/.*" is not a git repository, nor in one/, 'GET', `${box.path}/git/${call}${query}`);
  }
  await refuses(box, 400, /^folder: /, 'exec', { args: ['status'], folder: 'nowhere' });
  await refuses(box, 400, /^args: /, 'exec', {});
  await refuses(box, 400, /^args/, 'exec', { args: 'status' });
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

/// Where on the host, and in the box, the token can be read: in no process's words or variables, and in no file but the database.
async function whereTokenIs(box) {
  const found = [];
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const file of ['cmdline', 'environ']) {
      try {
        if (fs.readFileSync(`/proc/${pid}/${file}`).includes(kToken)) found.push(`/proc/${pid}/${file}`);
      } catch {
        // it has ended
      }
    }
  }
  const walk = (place) => {
    for (const entry of fs.readdirSync(place, { withFileTypes: true })) {
      const file = path.join(place, entry.name);
      if (entry.isDirectory()) walk(file);
      else if (entry.isFile() && !entry.name.startsWith('hutch.db') && fs.readFileSync(file).includes(kToken)) found.push(file);
    }
  };
  walk(daemon.state);
  const inside = await box.exec(['sh', '-c', 'grep -rl "thisIsTheSecret[O]fTheTest" /tmp /dev/shm /home /workspace /run /var 2>/dev/null']);
  return [...found, ...inside.output.split('\n').filter(Boolean)];
}

leakless(daemon, 'a token opens a private repository, and is nowhere to be read', async () => {
  const box = await gitBox({ github_token: kToken });
  assert.doesNotMatch(JSON.stringify(await daemon.json('GET', box.path)), new RegExp(kToken));
  await git(box, '', 'config', '--global', 'credential.helper', 'store'); // which would write down what it is told
  const cloned = post(box, 'clone', { repo: `${kServer}/private/held.git` });
  await until('the server is asked', () => fs.existsSync(path.join(repositories, 'asked')));
  assert.deepEqual(await whereTokenIs(box), [], 'while git is at work');
  fs.writeFileSync(path.join(repositories, 'go'), '');
  await cloned;
  assert.equal(await box.read('held/README'), 'one\n');
  assert.deepEqual(await whereTokenIs(box), [], 'afterwards');
  assert.equal(await git(box, 'held', 'remote', 'get-url', 'origin'), `${kServer}/private/held.git`);
  const { exit_code, output } = await post(box, 'exec', { args: ['fetch'], folder: 'held' }); // any command; the token is not for it
  assert.equal(exit_code, 128);
  assert.match(output, /fatal: could not read Username/);
});

leakless(daemon, 'who has no token is not let in, and one that is sent is for that call', async () => {
  const box = await gitBox();
  const repo = `${kServer}/private/project.git`;
  await refuses(box, 409, /^git: fatal: could not read Username/, 'clone', { repo });
  await refuses(box, 409, /^git: fatal: Authentication failed/, 'clone', { repo, github_token: 'wrong' });
  await post(box, 'clone', { repo, github_token: kToken });
  await box.write('project/new', 'new\n');
  await post(box, 'commit', { message: 'new', folder: 'project' });
  await refuses(box, 409, /^git: fatal: could not read Username/, 'push', { folder: 'project' });
  for (const github_token of ['a b', 'a\nhost=evil', 'x'.repeat(2000)]) await refuses(box, 400, /^github_token: /, 'clone', { repo, github_token });
});

leakless(daemon, 'the token is told to the one server it is for', async () => {
  const box = await gitBox({ github_token: kToken });
  await refuses(box, 409, /^git: fatal: could not read Username/, 'clone', { repo: `http://${kOther}:${kPort}/private/project.git` });
  const seen = fs.readFileSync(path.join(repositories, 'seen'), 'utf8');
  assert.doesNotMatch(seen, new RegExp(kOther));
  assert.match(seen, new RegExp(kOutside));
});

leakless(daemon, 'with a token the forms of ssh go by https', async () => {
  const box = await gitBox({ github_token: kToken });
  await post(box, 'clone', { repo: `git@${kOutside}:${kPort}:private/project.git` });
  await box.sh('rm -r project');
  await post(box, 'clone', { repo: `ssh://git@${kOutside}:${kPort}/private/project.git` });
  assert.equal(await box.read('project/README'), 'one\n');
});

leakless(daemon, 'a branch is pushed, and a pull request made of it', async () => {
  const box = await gitBox({ github_token: kToken, git_user_name: 'Jane "J" \\ Doe', git_user_email: 'jane@example.com' });
  await post(box, 'clone', { repo: `${kServer}/private/project.git` });
  await git(box, 'project', 'switch', '-c', 'feature/one');
  await box.write('project/feature', 'feature\n');
  const { sha } = await post(box, 'commit', { message: 'a feature', folder: 'project' });
  await post(box, 'push', { folder: 'project' });
  const bare = path.join(repositories, 'private/project.git');
  assert.equal(onHost('-C', bare, 'rev-parse', 'feature/one'), sha);
  assert.equal(onHost('-C', bare, 'log', '-1', '--format=%an|%ae', 'feature/one'), 'Jane "J" \\ Doe|jane@example.com');
  await refuses(box, 409, /^git: error: src refspec refs\/heads\/none does not match any/, 'push', { branch: 'none', folder: 'project' });
  await refuses(box, 400, /^branch: /, 'push', { branch: '--force', folder: 'project' });

  const authorization = `Bearer ${kToken}`;
  const made = { status: 201, json: { html_url: 'https://example.com/7', number: 7, title: 'One' } };
  answers = [{ status: 200, json: { default_branch: 'main' } }, made];
  asked.length = 0;
  assert.deepEqual(await post(box, 'create-pr', { title: 'One', folder: 'project' }), { url: 'https://example.com/7', number: 7, title: 'One', base: 'main' });
  assert.deepEqual(asked, [
    { call: 'GET /repos/private/project', authorization },
    { call: 'POST /repos/private/project/pulls', authorization, body: { title: 'One', body: '', head: 'feature/one', base: 'main' } },
  ]);
  answers = [made];
  assert.equal((await post(box, 'create-pr', { title: 'One', body: 'more', base: 'other', folder: 'project' })).base, 'other');

  answers = [{ status: 422, json: { message: 'Validation Failed', errors: [{ message: 'A pull request already exists' }] } }];
  await refuses(box, 409, /answered 422: Validation Failed: A pull request already exists/, 'create-pr', { title: 'One', base: 'main', folder: 'project' });
  asked.length = 0;
  answers = [{ status: 307, headers: { Location: `${kForge}/elsewhere` } }];
  await refuses(box, 409, /answered 307/, 'create-pr', { title: 'One', base: 'main', folder: 'project' });
  assert.equal(asked.length, 1, 'the token is not carried on');
  await refuses(box, 400, /^title: /, 'create-pr', { folder: 'project' });
  await git(box, 'project', 'remote', 'set-url', 'origin', 'https://elsewhere.example.com/private/project');
  await refuses(box, 409, /^origin: is on elsewhere\.example\.com/, 'create-pr', { title: 'One', folder: 'project' });
  const poor = await gitBox();
  await refuses(poor, 400, /^github_token: /, 'create-pr', { title: 'One' });
});

leakless(daemon, 'every box has a git identity, with git or without, and an image\'s own stays', async () => {
  const kIdentity = '[user]\n\tname = Hutch Box\n\temail = box@hutch.local\n';
  const none = await daemon.box(); // without git
  assert.equal(await none.read('~/.gitconfig'), kIdentity);
  assert.equal(await none.sh('stat -c "%u:%g %a" ~/.gitconfig'), '1000:1000 644');
  assert.equal(await (await daemon.box({ git_user_name: 'Jane' })).read('~/.gitconfig'), '[user]\n\temail = box@hutch.local\n[user]\n\tname = "Jane"\n');
  const box = await gitBox();
  assert.equal(await box.sh('git config --global user.name; git config --global user.email'), 'Hutch Box\nbox@hutch.local');
  const given = await gitBox({ git_user_email: 'jane@example.com' });
  assert.equal(await given.sh('git config --global user.name; git config --global user.email'), 'Hutch Box\njane@example.com');
  assert.equal(await given.sh('git config --global user.email jo@example.com; git config user.email'), 'jo@example.com'); // it stands once
  const image = async (name, content) => {
    const archive = tar(directoryEntry('bin/'), file('home/boxuser/.gitconfig', content, { uid: 1000 }));
    await daemon.json('PUT', `/v2/images/${name}`, archive, 201);
  };
  await image('own', '[user]\n\tname = Own\n');
  await image('other', '[pull]\n\trebase = true');
  try {
    for (const [runtime, content] of [['own', '[user]\n\tname = Own\n'], ['other', `[pull]\n\trebase = true\n${kIdentity}`]]) {
      assert.equal(await (await daemon.box({ runtime })).read('~/.gitconfig'), content);
    }
  } finally {
    await daemon.removeAll();
    for (const name of ['own', 'other']) await daemon.json('DELETE', `/v2/images/${name}`);
  }
});

leakless(daemon, 'any call of git is answered, with its exit code', async () => {
  const box = await gitBox();
  assert.deepEqual(await post(box, 'exec', { args: ['init', '--quiet', 'p'] }), { output: '', exit_code: 0 });
  const { exit_code, output } = await post(box, 'exec', { args: ['status'] });
  assert.equal(exit_code, 128);
  assert.match(output, /^fatal: not a git repository/);
  assert.deepEqual(await post(box, 'exec', { args: ['diff', '--quiet', '--no-index', '/etc/passwd', '/etc/group'] }), { output: '', exit_code: 1 });
  assert.equal((await post(box, 'exec', { args: ['init', '--no-such-option'] })).exit_code, 129);
});

leakless(daemon, 'a clone goes where it is told, as deep as it is told', async () => {
  const box = await gitBox();
  const repo = `${kServer}/public/project.git`;
  await post(box, 'clone', { repo, folder: 'deep/down/here', branch: 'other', depth: 1 });
  assert.equal(await box.read('deep/down/here/README'), 'one\n');
  assert.equal(await git(box, 'deep/down/here', 'rev-list', '--count', 'HEAD'), '1');
  await box.sh('mkdir /tmp/empty full; echo x > full/x');
  await post(box, 'clone', { repo, folder: '/tmp/empty', branch: 'other' });
  assert.equal(await git(box, '/tmp/empty', 'rev-list', '--count', 'HEAD'), '2');
  await refuses(box, 409, /^git: fatal: destination path '.*full' already exists/, 'clone', { repo, folder: 'full' });
  for (const depth of [0, -1, 2 ** 31]) await refuses(box, 400, /^depth: /, 'clone', { repo, depth });
});

leakless(daemon, 'an issue is made, and files are attached to it', async () => {
  const box = await gitBox({ github_token: kToken });
  await post(box, 'clone', { repo: `${kServer}/private/project.git` });
  await box.write('project/log', 'a ``` b');
  await box.sh('printf "\\000" > project/bytes; head -c 70000 /dev/zero | tr "\\000" x > long');
  const made = { status: 201, json: { html_url: 'https://example.com/9', number: 9 } };
  answers = [made, made, made];
  asked.length = 0;
  assert.deepEqual(await post(box, 'create-issue', { title: 'Broken', folder: 'project' }), { url: 'https://example.com/9', number: 9, title: 'Broken' });
  assert.deepEqual(asked[0], { call: 'POST /repos/private/project/issues', authorization: `Bearer ${kToken}`, body: { title: 'Broken', body: '' } });
  const { warning } = await post(box, 'create-issue', { title: 'Broken', body: 'See:', attach: ['log', 'bytes', '/workspace/home/long', 'none'], folder: 'project' });
  assert.equal(asked[1].body.body, 'See:\n\n**log**\n````\na ``` b\n````\n');
  for (const about of [/bytes" is no text/, /long" holds more than/, /none": No such file/]) assert.match(warning, about);
  assert.equal((await post(box, 'create-pr', { title: 'One', base: 'main', attach: ['log'], folder: 'project' })).warning, undefined);
  assert.match(asked[2].body.body, /\*\*log\*\*/);
  answers = [{ status: 410, json: { message: 'Issues are disabled for this repo' } }];
  await refuses(box, 409, /answered 410: Issues are disabled/, 'create-issue', { title: 'Broken', folder: 'project' });
  await refuses(box, 400, /^title: /, 'create-issue', {});
  await refuses(box, 400, /^attach/, 'create-issue', { title: 'x', attach: 'log' });
  await refuses(box, 400, /^attach: at most 10/, 'create-issue', { title: 'x', attach: Array(11).fill('log') });
});

leakless(daemon, 'a fork has the token and the repository of its box', async () => {
  const box = await gitBox({ github_token: kToken });
  await post(box, 'clone', { repo: `${kServer}/private/project.git` });
  await daemon.end('SIGKILL');
  await daemon.launch(); // and the records have both
  const { boxes: [fork] } = await daemon.json('POST', `${box.path}/fork`, { git_user_name: 'Fork' }, 201);
  assert.equal(fork.clone_repo, `${kServer}/private/project.git`);
  const at = `/v2/box/${fork.id}/git`;
  await daemon.json('POST', `${at}/push`, { branch: 'main', folder: 'project' });
  const { output: name } = await daemon.json('POST', `${at}/exec`, { args: ['config', 'user.name'] });
  assert.equal(name, 'Fork\n');
});

leakless(daemon, 'hutch git', async () => {
  await gitBox({ name: 'dev' });
  const env = { GITHUB_TOKEN: kToken };
  const run = (...args) => output(daemon, ['git', ...args], { env });
  const at = ['dev', '--folder', 'project'];
  await run('clone', 'dev', `${kServer}/private/project.git`, '--branch', 'other');
  await run('exec', ...at, '--', 'branch', 'mend-parser');
  await run('checkout', ...at, 'mend-parser');
  assert.equal(await run('exec', ...at, '--', 'branch', '--show-current'), 'mend-parser\n');
  const failed = await hutch(daemon, ['git', 'exec', ...at, '--', 'rev-parse', '--verify', 'none'], { env });
  assert.equal(failed.code, 128);
  assert.match(failed.stdout, /fatal: Needed a single revision/);
  await output(daemon, ['exec', 'dev', '--', 'sh', '-c', 'echo mended > project/parser']);
  assert.equal(await run('status', ...at), '?? parser\n');
  assert.equal(await run('config', 'dev', '--name', 'Jane Doe'), 'Jane Doe <box@hutch.local>\n');
  const sha = await run('commit', ...at, '-m', 'mend the parser', '--author', 'John Doe <john@example.com>');
  assert.match(sha, /^[0-9a-f]{40}\n$/);
  assert.equal(await run('exec', ...at, '--', 'log', '-1', '--format=%H %an %cn'), `${sha.trim()} John Doe Jane Doe\n`);
  await output(daemon, ['exec', 'dev', '--', 'sh', '-c', 'echo again > project/parser']);
  assert.match(await run('diff', ...at), /\n-mended\n\+again\n/);
  await run('push', ...at);
  answers = [{ status: 201, json: { html_url: 'https://example.com/8', number: 8 } }];
  assert.equal(await run('pr', ...at, '--title', 'Mend', '--base', 'main'), 'https://example.com/8\n');
  await complains(daemon, 2, /--author/, ['git', 'commit', ...at, '-m', 'x', '--author', 'John']);
  await complains(daemon, 1, /not a git repository/, ['git', 'status', 'dev']);
});
