// Files in and out of a box, and every way to make a file call leave it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { leakless, needs, suite } from './lib/suite.mjs';
import { directory, entry, file, hardLink, link, pax, tar } from './lib/tar.mjs';

needs();
const daemon = suite();

const at = (name, query) => `${name}?${new URLSearchParams(query)}`;

function download(box, folder) {
  return daemon.ask('GET', at(`${box.path}/files/download`, { folder }));
}

/// A multipart request of [path, content] pairs, as a browser or the official client sends it.
async function form(fields) {
  const data = new FormData();
  for (const [name, value] of fields) {
    if (typeof value === 'string') data.append(name, value);
    else data.append(name, new Blob([value]), 'some name.bin');
  }
  const request = new Response(data);
  return { body: Buffer.from(await request.arrayBuffer()), headers: { 'content-type': request.headers.get('content-type') } };
}

async function upload(box, files) {
  const options = await form(files.flatMap(([name, content]) => [['paths', name], ['files', content]]));
  return daemon.ask('POST', `${box.path}/files/upload`, options);
}

const kAllBytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 255));

leakless(daemon, 'folders are made as deep as a path goes, through links too', async () => {
  const box = await daemon.box();
  const deep = `${'d/'.repeat(1500)}file`;
  await box.sh('mkdir real && ln -s real link && ln -s /workspace/home/real absolute');
  for (const path of [deep, 'link/a/b/file', 'absolute/c/../d//file']) {
    await box.write(path, path);
    assert.equal(await box.read(path), path);
  }
  assert.equal(await box.sh('cat real/a/b/file; echo; cat real/d/file'), 'link/a/b/file\nabsolute/c/../d//file');
  await box.sh('ln -s /outside-of-it gone');
  await daemon.refuses(404, /^path/, 'POST', `${box.path}/files/write`, { body: { path: 'gone/x/y', content: '' } });
});

leakless(daemon, 'text is read as it was written', async () => {
  const box = await daemon.box();
  const text = 'ä€😀 "quoted" \\ \n\ttab\r\n';
  assert.deepEqual(await box.write('note.txt', text), {});
  assert.equal(await box.read('note.txt'), text);
  assert.equal(await box.sh('cat /workspace/home/note.txt; echo .'), `${text}.`);
});

leakless(daemon, 'bytes go both ways as base64', async () => {
  const box = await daemon.box();
  const content = kAllBytes.toString('base64');
  await daemon.json('POST', `${box.path}/files/write`, { path: 'bytes', content, encoding: 'base64' });
  const answer = await daemon.json('GET', at(`${box.path}/files/read`, { path: 'bytes', encoding: 'base64' }));
  assert.equal(answer.content, content);
});

leakless(daemon, 'a file that is no UTF-8 still reads as text', async () => {
  const box = await daemon.box();
  await box.sh('printf "a\\377b" > odd');
  assert.equal(await box.read('odd'), 'a\ufffdb');
});

leakless(daemon, 'missing directories are made, and all of it is the user\'s', async () => {
  const box = await daemon.box();
  await box.write('a/b/c.txt', 'x');
  await box.write('/home/boxuser/d/e.txt', 'y');
  assert.equal(await box.sh('stat -c "%u:%g %a" a a/b a/b/c.txt ~/d ~/d/e.txt'),
    '1000:1000 755\n1000:1000 755\n1000:1000 644\n1000:1000 755\n1000:1000 644');
});

leakless(daemon, 'writing again replaces the content and keeps the mode', async () => {
  const box = await daemon.box();
  await box.write('tool', 'a much longer first content');
  await box.sh('chmod 750 tool');
  await box.write('tool', 'short');
  assert.equal(await box.sh('cat tool; stat -c " %a" tool'), 'short 750');
});

leakless(daemon, 'a file is replaced as a whole: owner, mode and attributes stay, set-uid bits and other names do not follow', async () => {
  const box = await daemon.rootBox();
  await box.sh('echo old > file; ln file other; chown 5:6 file; chmod 6751 file; echo log > open; tail -f open > /tmp/said 2>&1 &');
  await box.write('file', 'new');
  assert.equal(await box.sh('cat file other; stat -c "%u:%g %a %h" file other; ls -A'), 'newold\n5:6 751 1\n5:6 6751 1\nfile\nopen\nother');
  await box.sh('ln -s file link');
  await box.write('link', 'through');
  assert.equal(await box.sh('cat file; readlink link; stat -c %u file'), 'throughfile\n5');
  for (const directory of ['/tmp', '/etc']) {
    await box.sh(`echo old > ${directory}/x; ln -s ${directory}/x ${directory}/y`);
    await box.write(`${directory}/y`, 'new');
    assert.equal(await box.sh(`cat ${directory}/x`), 'new', directory);
  }
});

leakless(daemon, 'an upload that is left or refused in the middle of a file leaves the old one', async () => {
  const box = await daemon.box();
  await box.write('kept', 'old');
  const { body, headers } = await form([['paths', 'kept'], ['files', Buffer.alloc(100_000)]]);
  await daemon.refuses(400, /boundary/, 'POST', `${box.path}/files/upload`, { body: body.subarray(0, 50_000), headers });
  assert.equal(await box.read('kept'), 'old');
  assert.deepEqual((await daemon.json('GET', `${box.path}/files/list`)).files.map(({ name }) => name), ['kept']);
});

leakless(daemon, 'an absolute path is one of the box', async () => {
  const box = await daemon.box();
  assert.match(await box.read('/etc/passwd'), /boxuser/);
});

leakless(daemon, 'what a command wrote is read at once, and the other way round', async () => {
  const box = await daemon.box();
  await box.sh('echo from inside > f');
  assert.equal(await box.read('f'), 'from inside\n');
  await box.write('f', 'from outside');
  assert.equal(await box.sh('cat f'), 'from outside');
});

leakless(daemon, 'files in /tmp and /dev/shm are the ones a command sees', async () => {
  const box = await daemon.box();
  await box.write('/tmp/f', 'from outside');
  assert.equal(await box.sh('cat /tmp/f; printf "from inside" > /dev/shm/f'), 'from outside');
  assert.equal(await box.read('/dev/shm/f'), 'from inside');
});

// What is made there takes memory of whoever makes it, which would be the daemon's and not the box's.
leakless(daemon, 'nothing is made in memory of the box: no file, directory, queue, and none by a link or an archive', async () => {
  const box = await daemon.rootBox();
  await box.sh('mkdir /dev/shm/d; echo old > /dev/shm/d/old; mkdir t; ln -s /dev/shm/d t/link; ln -s /dev/shm/d/old t/old');
  const queues = await box.sh('ls -a /dev/mqueue');
  const refused = (about, call, body, headers) => daemon.refuses(400, about, 'POST', `${box.path}/files/${call}`, { body, headers });
  const kDisk = /is not on the box's disk; write there with a command$/;
  for (const path of ['/dev/shm/f', '/dev/shm/d/old', '/dev/mqueue/q', '/dev/f', 't/link/f', 't/old', 't/link/new/f']) {
    await refused(kDisk, 'write', { path, content: 'x' });
    const { body, headers } = await form([['paths', path], ['files', Buffer.alloc(100)]]);
    await refused(kDisk, 'upload', body, headers);
  }
  for (const path of ['/dev/shm/n', 't/link/n', '/dev/shm/d/n']) {
    for (const parents of [false, true]) await refused(parents ? kDisk : /disk|cross-device/, 'mkdir', { path, parents });
  }
  const asTar = { 'content-type': 'application/x-tar' };
  for (const name of ['dev/shm/f', 'dev/mqueue/q', 'dev/shm/d/old']) {
    await refused(/mounted there/, 'upload?folder=/', tar(file(name, 'x')), asTar);
  }
  await refused(kDisk, 'upload?folder=/dev/shm/d', tar(file('f', 'x')), asTar);
  assert.equal(await box.sh('find /dev/shm; cat /dev/shm/d/old'), '/dev/shm\n/dev/shm/d\n/dev/shm/d/old\nold');
  assert.equal(await box.sh('ls -a /dev/mqueue'), queues);
  await daemon.json('POST', `${box.path}/files/rename`, { from: '/dev/shm/d/old', to: '/dev/shm/d/moved' });
  await daemon.json('POST', `${box.path}/files/remove`, { path: '/dev/shm/d', recursive: true });
  assert.equal(await box.sh('ls /dev/shm'), '');
});

leakless(daemon, 'a list tells name, path, size, kind and time', async () => {
  const box = await daemon.box();
  await box.write('docs/b.txt', 'four');
  await box.sh('mkdir docs/a; touch -d @1000000000 docs/b.txt');
  const { files } = await daemon.json('GET', at(`${box.path}/files/list`, { folder: 'docs' }));
  assert.deepEqual(files.map(({ name, path: where, is_dir }) => [name, where, is_dir]),
    [['a', '/workspace/home/docs/a', true], ['b.txt', '/workspace/home/docs/b.txt', false]]);
  assert.deepEqual([files[1].size, files[1].mod_time], [4, '2001-09-09T01:46:40Z']);
  assert.ok(Math.abs(Date.parse(files[0].mod_time) - Date.now()) < 3_600_000, files[0].mod_time);
  await box.sh('mkdir /dev/shm/t; touch -d @1000000000000 /dev/shm/t/late');
  const { files: [late] } = await daemon.json('GET', at(`${box.path}/files/list`, { folder: '/dev/shm/t' }));
  assert.equal(late.mod_time, '9999-12-31T23:59:59Z', 'what RFC 3339 cannot say');
});

leakless(daemon, 'a list does not follow links for long, however long the way of each is', async () => {
  const box = await daemon.box();
  // Each link leads nine hundred directories down to the one before.
  const down = 'a/'.repeat(900);
  const links = [pax({ path: `${down}d` }), directory('x'), ...Array.from({ length: 36 }, (_, i) => [pax({ path: `${down}k${i}`, linkpath: `/workspace/home/way/${down}${i === 0 ? 'd' : `k${i - 1}`}` }), link('x', 'x')]).flat()];
  const many = [pax({ linkpath: `../way/${down}k35` }), link('l', 'x'), ...Array.from({ length: 8000 }, (_, i) => hardLink(`l${i}`, 'l'))];
  for (const [folder, entries] of [['way', links], ['many', many]]) {
    assert.equal((await daemon.ask('POST', `${box.path}/files/upload?folder=${folder}`, { body: tar(...entries), headers: { 'content-type': 'application/x-tar' } })).status, 200);
  }
  assert.equal((await daemon.json('GET', at(`${box.path}/files/stat`, { path: 'many/l7', follow: 'true' }))).type, 'directory');
  await daemon.refuses(413, /^folder: "many" has links that take long to follow/, 'GET', at(`${box.path}/files/list`, { folder: 'many' }));
  assert.equal((await daemon.json('GET', at(`${box.path}/files/list`, { folder: `way/${down}` }))).files.length, 37);
});

leakless(daemon, 'a tree of many entries is removed, in turns', async () => {
  const box = await daemon.box();
  const entries = Array.from({ length: 12_000 }, (_, i) => directory(`${i % 7}/${i}`));
  await daemon.ask('POST', `${box.path}/files/upload?folder=tree`, { body: tar(...entries), headers: { 'content-type': 'application/x-tar' } });
  assert.equal(await box.sh('find tree | wc -l'), '12008');
  await daemon.json('POST', `${box.path}/files/remove`, { path: 'tree', recursive: true });
  assert.equal(await box.sh('ls -A'), '');
});

leakless(daemon, 'a list without a folder is of the work directory', async () => {
  const box = await daemon.box();
  await box.write('only', '');
  assert.deepEqual((await daemon.json('GET', `${box.path}/files/list`)).files.map((file) => file.name), ['only']);
});

leakless(daemon, 'what is not there is 404', async () => {
  const box = await daemon.box();
  await daemon.refuses(404, /^path: "none"/, 'GET', at(`${box.path}/files/read`, { path: 'none' }));
  await daemon.refuses(404, /^folder: "none"/, 'GET', at(`${box.path}/files/download`, { folder: 'none' }));
  await daemon.refuses(404, /none/, 'GET', at(`${box.path}/files/list`, { folder: 'none' }));
  await daemon.refuses(404, /nobody/, 'GET', '/v2/box/nobody/files/list');
});

leakless(daemon, 'bad fields are refused by name', async () => {
  const box = await daemon.box();
  const write = `${box.path}/files/write`;
  await daemon.refuses(400, /^path: is required/, 'POST', write, { body: { content: 'x' } });
  await daemon.refuses(400, /^content: is required/, 'POST', write, { body: { path: 'x' } });
  await daemon.refuses(400, /^content: must be a string/, 'POST', write, { body: { path: 'x', content: 1 } });
  await daemon.refuses(400, /^path: must be a string/, 'POST', write, { body: { path: 1, content: 'x' } });
  await daemon.refuses(400, /^encoding: /, 'POST', write, { body: { path: 'x', content: 'x', encoding: 'gzip' } });
  await daemon.refuses(400, /^content: .*base64/, 'POST', write, { body: { path: 'x', content: '!!!!', encoding: 'base64' } });
  await daemon.refuses(400, /^path: /, 'GET', `${box.path}/files/read`);
  await daemon.refuses(400, /^path: /, 'POST', write, { body: { path: '', content: 'x' } });
  assert.deepEqual((await daemon.json('GET', `${box.path}/files/list`)).files, []);
});

leakless(daemon, 'a directory is not read, written or replaced as a file', async () => {
  const box = await daemon.box();
  await box.sh('mkdir d');
  await daemon.refuses(400, /^path: "d"/, 'GET', at(`${box.path}/files/read`, { path: 'd' }));
  for (const name of ['d', 'd/', 'new/']) {
    await daemon.refuses(400, /^path: /, 'POST', `${box.path}/files/write`, { body: { path: name, content: 'x' } });
  }
  await daemon.refuses(400, /^path: /, 'POST', `${box.path}/files/write`, { body: { path: '/etc/passwd/x', content: 'x' } });
});

leakless(daemon, 'an upload writes each file under its path, byte for byte', async () => {
  const box = await daemon.box();
  const big = crypto.randomBytes(3_000_000);
  const answer = await upload(box, [['one.bin', kAllBytes], ['sub/two.bin', big], ['/tmp/empty', Buffer.alloc(0)]]);
  assert.deepEqual([answer.status, answer.json], [200, {}], answer.text);
  assert.deepEqual((await download(box, 'one.bin')).bytes, kAllBytes);
  assert.deepEqual((await download(box, 'sub/two.bin')).bytes, big);
  assert.equal(await box.sh('stat -c "%s %u" /tmp/empty sub/two.bin'), '0 1000\n3000000 1000');
});

leakless(daemon, 'an upload sets modes and times of the paths before them', async () => {
  const box = await daemon.box();
  const fields = [['paths', 'key'], ['modes', '600'], ['mtimes', '1000000000.500000000'], ['paths', 'plain'],
    ['files', Buffer.from('k')], ['files', Buffer.from('p')]];
  const answer = await daemon.ask('POST', `${box.path}/files/upload`, await form(fields));
  assert.equal(answer.status, 200, answer.text);
  assert.equal(await box.sh('stat -c "%a %Y" key; stat -c %a plain'), '600 1000000000\n644');
  const refused = async (parts, about) => daemon.refuses(400, about, 'POST', `${box.path}/files/upload`, await form(parts));
  await refused([['modes', '600'], ['paths', 'x'], ['files', kAllBytes]], /^modes: /);
  for (const mode of ['4755', '8', '-1', 'rwx']) await refused([['paths', 'x'], ['modes', mode], ['files', kAllBytes]], /^modes: /);
  for (const time of ['now', '1.5', '1.', '.000000000']) await refused([['paths', 'x'], ['mtimes', time], ['files', kAllBytes]], /^mtimes: /);
});

leakless(daemon, 'an archive is uploaded as a tree of boxuser\'s, and none of it leaves its directory', async () => {
  const box = await daemon.box();
  const host = canary();
  const send = (folder, archive) => daemon.ask('POST', at(`${box.path}/files/upload`, { folder }), { body: archive, headers: { 'content-type': 'application/x-tar' } });
  const tree = tar(directory('p/'), file('p/tool', 'x', { mode: 0o755, uid: 5 }), link('p/link', '/etc'), directory('p/empty/'));
  const sent = await send('made/here', tree);
  assert.deepEqual([sent.status, sent.json], [200, {}], sent.text);
  assert.equal(await box.sh('cd made/here/p; stat -c "%a %u" tool; readlink link; stat -c "%F %u" empty'), '755 1000\n/etc\ndirectory 1000');
  const pipe = await send('', tar(entry('pipe', { type: '6' })));
  assert.deepEqual([pipe.status, pipe.json.left_out], [200, 1]);
  for (const bad of [tar(file('../up', 'x')), tar(file(host.file, 'x')), tar(link('l', '/etc'), file('l/planted', 'x')), Buffer.from('no archive'.repeat(100))]) {
    assert.equal((await send('', bad)).status, 400);
  }
  assert.equal(await box.fails('test -e /etc/planted'), 1);
  host.intact();
});

leakless(daemon, 'a list tells links, FIFOs and what has no content from files', async () => {
  const box = await daemon.box();
  await box.sh('mkdir d; cd d; echo x > file; mkdir sub; mkfifo pipe; ln -s file to-file; ln -s sub to-dir; ln -s none nowhere; ln -s /etc/passwd absolute; ln -s /proc/version kernels');
  const { files } = await daemon.json('GET', at(`${box.path}/files/list`, { folder: 'd' }));
  assert.deepEqual(Object.fromEntries(files.map(({ name, is_dir, type, target }) => [name, [is_dir, type, target]])), {
    absolute: [false, 'link', '/etc/passwd'], file: [false, 'file', null], kernels: [true, 'link', '/proc/version'],
    nowhere: [true, 'link', 'none'], pipe: [true, 'fifo', null], sub: [true, 'dir', null],
    'to-dir': [true, 'link', 'sub'], 'to-file': [false, 'link', 'file'] });
  for (const { path: each, is_dir } of files) if (!is_dir) assert.equal((await download(box, each)).status, 200, each);
});

leakless(daemon, '~ is the home of boxuser', async () => {
  const box = await daemon.box();
  await box.write('~/.npmrc', 'x');
  assert.equal(await box.sh('cat /home/boxuser/.npmrc; ls -A'), 'x');
  assert.equal((await daemon.json('GET', at(`${box.path}/files/read`, { path: '~/.npmrc' }))).content, 'x');
  assert.deepEqual((await daemon.json('GET', at(`${box.path}/files/list`, { folder: '~' }))).files.map((entry) => entry.path), ['/home/boxuser/.gitconfig', '/home/boxuser/.npmrc']);
  assert.equal((await box.exec(['pwd'], '~')).output, '/home/boxuser\n');
});

leakless(daemon, 'content that looks like a boundary is content', async () => {
  const box = await daemon.box();
  const sly = Buffer.from('\r\n--\r\n------formdata\r\nContent-Disposition: form-data; name="paths"\r\n\r\n/etc/passwd\r\n--');
  assert.equal((await upload(box, [['sly', sly]])).status, 200);
  assert.deepEqual((await download(box, 'sly')).bytes, sly);
});

leakless(daemon, 'uploads that do not pair up are refused', async () => {
  const box = await daemon.box();
  const refused = async (fields, about) =>
    daemon.refuses(400, about, 'POST', `${box.path}/files/upload`, await form(fields));
  await refused([], /body|files/);
  await refused([['paths', 'x']], /^files: /);
  await refused([['files', kAllBytes]], /^paths: /);
  await refused([['paths', 'x'], ['files', kAllBytes], ['files', kAllBytes]], /^paths: /);
  await daemon.refuses(400, /multipart/, 'POST', `${box.path}/files/upload`, { body: { paths: [] } });
});

leakless(daemon, 'an upload that ends too early is refused', async () => {
  const box = await daemon.box();
  const { body, headers } = await form([['paths', 'cut'], ['files', Buffer.alloc(100_000)]]);
  await daemon.refuses(400, /boundary/, 'POST', `${box.path}/files/upload`, { body: body.subarray(0, 50_000), headers });
});

leakless(daemon, 'a directory is downloaded as a tar archive', async () => {
  const box = await daemon.box();
  await box.write('tree/a/one', '1');
  await box.write('tree/two', '22');
  await box.sh('ln -s two tree/link');
  const answer = await download(box, 'tree');
  assert.deepEqual([answer.status, answer.type], [200, 'application/x-tar']);
  const target = fs.mkdtempSync(path.join(daemon.directory, 'tar-'));
  execFileSync('tar', ['-x', '-C', target], { input: answer.bytes });
  assert.equal(fs.readFileSync(`${target}/a/one`, 'utf8'), '1');
  assert.equal(fs.readlinkSync(`${target}/link`), 'two');
});

leakless(daemon, 'a part of a file is read', async () => {
  const box = await daemon.box();
  await box.write('f', '0123456789');
  const part = async (query) => (await daemon.json('GET', at(`${box.path}/files/read`, { path: 'f', ...query }))).content;
  assert.equal(await part({ offset: 2, length: 3 }), '234');
  assert.equal(await part({ offset: 7 }), '789');
  assert.equal(await part({ length: 2 }), '01');
  assert.equal(await part({ offset: 8, length: 100 }), '89', 'past the end: what is there');
  assert.equal(await part({ offset: 10, length: 1 }), '');
  assert.equal(await part({ offset: 999_999_999_999_999, length: 1 }), '');
  assert.equal(await part({ offset: 3, length: 0 }), '');
  assert.equal(await part({ offset: 1, length: 2, encoding: 'base64' }), Buffer.from('12').toString('base64'));
  const kMost = 8 * 1024 * 1024;
  await box.sh(`yes 01234567 | head -c ${kMost + 2} > large`);
  const large = (query) => daemon.ask('GET', at(`${box.path}/files/read`, { path: 'large', ...query }));
  assert.equal((await large({ length: kMost })).json.content.length, kMost);
  assert.equal((await large({ offset: 2 })).json.content.length, kMost);
  for (const query of [{ length: kMost + 1 }, { offset: 1 }]) {
    const { status, text } = await large(query);
    assert.equal(status, 400);
    assert.match(text, /"length: /);
  }
  await daemon.refuses(400, /^path: "\/proc/, 'GET', at(`${box.path}/files/read`, { path: '/proc/version', length: 1 }));
});

leakless(daemon, 'stat tells what stands at a path, and wakes no box', async () => {
  const box = await daemon.box();
  const stat = (path, more = {}) => daemon.json('GET', at(`${box.path}/files/stat`, { path, ...more }));
  await box.sh('mkdir d; printf 12345 > d/file; touch -d @1000000000 d/file; ln -s d/file link; ln -s none nowhere; mkfifo pipe');
  const file = await stat('d/file');
  assert.deepEqual([file.type, file.size, file.mod_time], ['file', 5, '2001-09-09T01:46:40Z']);
  assert.equal(String(file.inode), await box.sh('stat -c %i d/file'));
  assert.deepEqual(await stat('link', { follow: true }), file);
  assert.equal((await stat('link')).type, 'symlink');
  assert.deepEqual([(await stat('d')).type, (await stat('pipe')).type, (await stat('/dev/null')).type, (await stat('/proc')).type], ['directory', 'other', 'other', 'directory']);
  await daemon.refuses(404, /^path: "nowhere"/, 'GET', at(`${box.path}/files/stat`, { path: 'nowhere', follow: true }));
  await daemon.refuses(404, /^path: "none"/, 'GET', at(`${box.path}/files/stat`, { path: 'none' }));
  await box.write('d/file', '54321');
  assert.notEqual((await stat('d/file')).version, file.version);
  await daemon.json('POST', `${box.path}/pause`);
  assert.equal((await stat('d/file')).size, 5);
  assert.equal(await box.status(), 'paused');
});

const entries = (box) => (name, body) => daemon.json('POST', `${box.path}/files/${name}`, body);
const entriesRefused = (box) => (status, about, name, body) => daemon.refuses(status, about, 'POST', `${box.path}/files/${name}`, { body });

leakless(daemon, 'directories are made, and are the user\'s', async () => {
  const box = await daemon.box();
  const [call, refused] = [entries(box), entriesRefused(box)];
  await call('mkdir', { path: 'd' });
  await call('mkdir', { path: '~/made/' });
  await call('mkdir', { path: 'a/b/c', parents: true });
  await call('mkdir', { path: 'a/b/c', parents: true });
  assert.equal(await box.sh('stat -c "%u:%g %a %F" d ~/made a/b/c | uniq'), '1000:1000 755 directory');
  await refused(409, /^path: "d"/, 'mkdir', { path: 'd' });
  await refused(404, /^path: "x\/y/, 'mkdir', { path: 'x/y' });
  await box.write('f', '');
  await refused(400, /^path: "f\/x"/, 'mkdir', { path: 'f/x' });
  await refused(400, /^path: ".*\/f": Not a directory/, 'mkdir', { path: 'f/x', parents: true });
  for (const path of ['.', 'd/..', '/', '/proc/x', '/sys/fs/cgroup/x']) await refused(400, /^path: /, 'mkdir', { path });
});

leakless(daemon, 'files, directories and links are renamed', async () => {
  const box = await daemon.box();
  const [call, refused] = [entries(box), entriesRefused(box)];
  await box.sh('echo a > a; echo b > b; mkdir -p d/sub full/x; ln -s a link; ln -s none nowhere');
  await call('rename', { from: 'a', to: 'd/c' });
  await call('rename', { from: 'b', to: 'd/c' });
  await call('rename', { from: 'd', to: 'e' });
  await call('rename', { from: 'link', to: 'e/link' });
  await call('rename', { from: 'nowhere', to: 'e/nowhere' });
  assert.equal(await box.sh('cat e/c; readlink e/link; readlink e/nowhere; ls'), 'b\na\nnone\ne\nfull');
  await refused(404, /^from: "none"/, 'rename', { from: 'none', to: 'x' });
  await refused(404, /^to: "none\/x"/, 'rename', { from: 'e/c', to: 'none/x' });
  await refused(409, /^to: "full"/, 'rename', { from: 'e', to: 'full' });
  await refused(400, /^to: "full"/, 'rename', { from: 'e/c', to: 'full' });
  await refused(400, /^from: "e"/, 'rename', { from: 'e', to: 'e/sub/e' });
  await refused(400, /^from: "e\/c" would have to be copied/, 'rename', { from: 'e/c', to: '/dev/shm/c' });
  for (const path of ['/proc', '/dev', '/dev/shm']) {
    await refused(409, /^from: .*mounted/, 'rename', { from: path, to: '/moved' });
    await refused(409, /^to: .*mounted/, 'rename', { from: 'e', to: path });
  }
  assert.equal(await box.sh('cat e/c; test -c /dev/null && test -d /proc/self && echo there'), 'b\nthere');
});

leakless(daemon, 'files, links and trees are removed, and what is mounted stays', async () => {
  const box = await daemon.box();
  const [call, refused] = [entries(box), entriesRefused(box)];
  const deep = `${'deep/'.repeat(150)}file`;
  await box.write(deep, 'x');
  await box.sh('mkdir d kept; echo x > kept/file; ln -s ../kept d/link; ln -s kept link; mkfifo d/pipe; echo x > f');
  await refused(400, /^path: "d" is a directory; say recursive/, 'remove', { path: 'd' });
  await call('remove', { path: 'link' });
  await call('remove', { path: 'f', recursive: true });
  await call('remove', { path: 'd', recursive: true });
  await call('remove', { path: 'deep/', recursive: true });
  assert.equal(await box.sh('ls -A; cat kept/file'), 'kept\nx');
  await refused(404, /^path: "f"/, 'remove', { path: 'f' });
  await refused(404, /^path: "none"/, 'remove', { path: 'none', recursive: true });
  for (const path of ['/', '/..', '.', '/proc/1/fd']) await refused(400, /^path: /, 'remove', { path, recursive: true });
  for (const path of ['/proc', '/dev', '/sys', '/dev/shm']) await refused(409, /^path: .*mounted/, 'remove', { path, recursive: true });
  assert.equal(await box.sh('test -c /dev/null && test -d /proc/self && test -d /sys/class && touch /dev/shm/x && echo there'), 'there');
});

// --- confinement: the host's files are the oracle ---

/// A file of the host, of which neither content nor change may pass through a box.
function canary() {
  const file = path.join(daemon.directory, `canary-${crypto.randomUUID()}`);
  const secret = `the host's ${crypto.randomUUID()}`;
  fs.writeFileSync(file, secret, { mode: 0o666 });
  return { file, secret, intact: () => assert.equal(fs.readFileSync(file, 'utf8'), secret) };
}

leakless(daemon, 'no path leads to a file of the host', async () => {
  const box = await daemon.box();
  const { file, secret } = canary();
  const up = '../'.repeat(40);
  for (const name of [file, `${up}${file}`, `/${up}${file}`, `sub/../${up}${file}`, `/proc/1/root${file}`,
    `/proc/self/root${file}`, `/proc/thread-self/cwd/${up}${file}`, `/proc/self/fd/3/${up}${file}`]) {
    const answer = await daemon.ask('GET', at(`${box.path}/files/read`, { path: name }));
    assert.ok([400, 404].includes(answer.status), `${name}: ${answer.status} ${answer.text}`);
    assert.doesNotMatch(answer.text, new RegExp(secret));
  }
});

leakless(daemon, 'a link to a file of the host leads to the box\'s own', async () => {
  const box = await daemon.box();
  await box.sh(`ln -s /etc/shadow absolute; ln -s ${'../'.repeat(40)}etc/shadow relative; ln -s / root; ln -s /etc dir`);
  for (const name of ['absolute', 'relative', 'root/etc/shadow', 'dir/shadow', 'root/../../../etc/shadow']) {
    assert.equal(await box.read(name), 'the shadow of the box\n', name);
  }
});

leakless(daemon, 'writing through a link stays in the box', async () => {
  const box = await daemon.box();
  const host = canary();
  const directory = path.dirname(host.file);
  await box.sh(`ln -s ${host.file} file; ln -s ${directory} dir; ln -s ${'../'.repeat(40)}${directory} up; ln -s / root`);
  for (const name of ['file', `dir/${path.basename(host.file)}`, `up/${path.basename(host.file)}`, `root${host.file}`]) {
    const answer = await daemon.ask('POST', `${box.path}/files/write`, { body: { path: name, content: 'overwritten' } });
    assert.ok(answer.status < 500, `${name}: ${answer.status} ${answer.text}`);
    const sent = await upload(box, [[name, Buffer.from('overwritten')]]);
    assert.ok(sent.status < 500, `${name}: ${sent.status} ${sent.text}`);
  }
  host.intact();
});

leakless(daemon, 'writing through a link to a file of the box writes that file', async () => {
  const box = await daemon.box();
  await box.sh('echo old > target; ln -s target link');
  await box.write('link', 'new');
  assert.equal(await box.sh('cat target; test -L link'), 'new');
});

leakless(daemon, 'no entry of the host is made, moved, removed or seen', async () => {
  const box = await daemon.box();
  const host = canary();
  const directory = path.dirname(host.file);
  const name = path.basename(host.file);
  await box.sh(`ln -s ${host.file} file; ln -s ${directory} dir; ln -s ${'../'.repeat(40)}${directory} up; ln -s / root; echo mine > mine`);
  const before = fs.readdirSync(directory).sort();
  const up = '../'.repeat(40);
  for (const where of [`dir/${name}`, `up/${name}`, `root${host.file}`, `/proc/1/root${host.file}`, `${up}${host.file}`, `/proc/self/cwd/${up}${host.file}`]) {
    const seen = await daemon.ask('GET', at(`${box.path}/files/stat`, { path: where, follow: true }));
    assert.ok([400, 404].includes(seen.status), `${where}: ${seen.text}`);
    for (const [call, body] of [['mkdir', { path: `${where}-made` }], ['rename', { from: where, to: 'taken' }], ['rename', { from: 'mine', to: where }], ['remove', { path: where, recursive: true }]]) {
      const answer = await daemon.ask('POST', `${box.path}/files/${call}`, { body });
      assert.ok([400, 404].includes(answer.status), `${call} ${where}: ${answer.text}`);
    }
  }
  for (const link of ['file', 'dir', 'up', 'root']) await daemon.json('POST', `${box.path}/files/remove`, { path: link, recursive: true });
  assert.equal(await box.sh('ls -A; cat mine'), 'mine\nmine');
  assert.deepEqual(fs.readdirSync(directory).sort(), before);
  host.intact();
});

leakless(daemon, 'a link to itself is refused', async () => {
  const box = await daemon.box();
  await box.sh('ln -s loop loop');
  await daemon.refuses(400, /^path: "loop"/, 'GET', at(`${box.path}/files/read`, { path: 'loop' }));
  await daemon.refuses(400, /^path: "loop/, 'POST', `${box.path}/files/write`, { body: { path: 'loop', content: '' } });
});

leakless(daemon, 'a write beyond the user\'s rights is the daemon\'s to refuse, and harms nothing of the host', async () => {
  const box = await daemon.box();
  const before = fs.readFileSync('/etc/passwd');
  const answer = await daemon.ask('POST', `${box.path}/files/write`, { body: { path: '/etc/passwd', content: 'x' } });
  assert.ok([200, 400].includes(answer.status), answer.text);
  assert.deepEqual(fs.readFileSync('/etc/passwd'), before);
});

leakless(daemon, 'a list or a download of a link to the host\'s directory shows the box\'s', async () => {
  const box = await daemon.box();
  const { file } = canary();
  await box.sh(`ln -s ${path.dirname(file)} dir; ln -s /etc etc`);
  await daemon.refuses(404, /dir/, 'GET', at(`${box.path}/files/list`, { folder: 'dir' }));
  await daemon.refuses(404, /dir/, 'GET', at(`${box.path}/files/download`, { folder: 'dir' }));
  const { files } = await daemon.json('GET', at(`${box.path}/files/list`, { folder: 'etc' }));
  assert.deepEqual(files.map((entry) => entry.name), ['group', 'hostname', 'hosts', 'passwd', 'resolv.conf', 'shadow']);
});

leakless(daemon, 'what could block or act on the kernel is refused, at once', async () => {
  const box = await daemon.box();
  await box.sh('mkfifo pipe; ln -s pipe link-to-pipe; ln -s /dev/zero zero');
  const kernel = ['/proc/1/environ', '/proc/sys/kernel/hostname', '/proc/kmsg', '/sys/class/net/eth0/address'];
  for (const name of ['pipe', 'link-to-pipe', 'zero', '/dev/zero', '/dev/tty', '/dev/pts/ptmx', ...kernel]) {
    await daemon.refuses(400, /^path: /, 'GET', at(`${box.path}/files/read`, { path: name }));
    await daemon.refuses(400, /^folder: /, 'GET', at(`${box.path}/files/download`, { folder: name }));
    await daemon.refuses(400, /^path: /, 'POST', `${box.path}/files/write`, { body: { path: name, content: 'x' } });
  }
  for (const folder of ['/proc', '/sys', '/proc/1/fd', 'pipe']) {
    await daemon.refuses(400, /^folder: /, 'GET', at(`${box.path}/files/list`, { folder }));
  }
});

leakless(daemon, 'a download of a directory with a FIFO and a socket in it ends', async () => {
  const box = await daemon.box();
  await box.sh('mkdir d; mkfifo d/pipe; echo x > d/file');
  const answer = await download(box, 'd');
  assert.equal(answer.status, 200);
  assert.match(execFileSync('tar', ['-t'], { input: answer.bytes, encoding: 'utf8' }), /file/);
});

leakless(daemon, 'names that are no names are refused', async () => {
  const box = await daemon.box();
  for (const name of ['a\u0000b', 'n'.repeat(256), 'n'.repeat(4096), `${'d/'.repeat(2100)}f`]) {
    await daemon.refuses(400, /^path: /, 'GET', at(`${box.path}/files/read`, { path: name }));
    await daemon.refuses(400, /^path: /, 'POST', `${box.path}/files/write`, { body: { path: name, content: 'x' } });
    const sent = await upload(box, [[name.replace('\u0000', '%00'), Buffer.from('x')]]);
    if (name.length > 255) assert.equal(sent.status, 400, sent.text);
  }
  await daemon.refuses(400, /^folder: /, 'GET', at(`${box.path}/files/list`, { folder: 'a\u0000b' }));
});

leakless(daemon, 'names with odd characters are kept', async () => {
  const box = await daemon.box();
  const names = ['with space', 'new\nline', '-dash', 'ä€😀', '"quotes\'', '%2e%2e', '..dots', '*'];
  for (const name of names) await box.write(`odd/${name}`, name);
  const { files } = await daemon.json('GET', at(`${box.path}/files/list`, { folder: 'odd' }));
  assert.deepEqual(files.map((file) => file.name).sort(), names.sort());
  for (const name of names) assert.equal(await box.read(`odd/${name}`), name);
});

leakless(daemon, 'a tree that changes under a file call never leads it out', async () => {
  const box = await daemon.box();
  const { file, secret, intact } = canary();
  const swap = await box.stream(['sh', '-c', `mkdir -p d${path.dirname(file)}; echo up
    while :; do rm -rf x; mkdir x; rmdir x; ln -s ${path.dirname(file)} x; done`]);
  await swap.until('up');
  for (let i = 0; i < 100; ++i) {
    const name = `x/${path.basename(file)}`;
    const [got, put] = await Promise.all([daemon.ask('GET', at(`${box.path}/files/read`, { path: name })),
      daemon.ask('POST', `${box.path}/files/write`, { body: { path: name, content: 'overwritten' } })]);
    assert.doesNotMatch(got.text, new RegExp(secret));
    assert.ok(put.status < 500, put.text);
  }
  swap.abandon();
  intact();
});

leakless(daemon, 'a large file is downloaded whole', async () => {
  const box = await daemon.box();
  await box.sh('yes 0123456789 | head -c 20000000 > large');
  assert.deepEqual((await download(box, 'large')).bytes, Buffer.alloc(20_000_000, '0123456789\n'));
});
