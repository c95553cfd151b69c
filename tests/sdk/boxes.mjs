// What the official npm client sends and reads, against a hutchd on TCP: boxes and commands.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { calls, daemon, refuses, sdk } from './client.mjs';

const { Box, EphemeralBox } = sdk;

// --- boxes ---

calls('a box made with no options is ready, and has the defaults the client reads', async () => {
  const box = await Box.create();
  assert.match(box.id, /^\w+$/);
  assert.equal(box.size, 'small');
  assert.equal(box.keepAlive, false);
  assert.deepEqual(box.networkPolicy, { mode: 'allow-all' });
  assert.equal(box.cwd, '/workspace/home');
  assert.deepEqual(await box.getStatus(), { status: 'idle' });
  assert.equal((await box.exec.command('pwd')).result, '/workspace/home\n');
});

calls('name, labels, size, runtime, environment and network policy of a create arrive', async () => {
  const box = await Box.create({
    name: 'worker', labels: ['team-x', 'beta'], size: 'medium', runtime: 'busybox', env: { GREETING: 'a=b c' },
    networkPolicy: { mode: 'allow-all' },
  });
  assert.equal(box.size, 'medium');
  assert.deepEqual(await box.labels.list(), ['team-x', 'beta']);
  assert.equal((await box.exec.command('hostname; echo "$GREETING"')).result, 'worker\na=b c\n');
  const [data] = await Box.list();
  assert.equal(data.id, box.id);
  assert.equal(data.name, 'worker');
  assert.equal(data.runtime, 'busybox');
  for (const key of ['created_at', 'updated_at', 'last_activity_at', 'total_cpu_ns', 'total_compute_cost_usd']) {
    assert.equal(typeof data[key], 'number', key);
  }
});

calls('a box is found by its id and by its name', async () => {
  const { id } = await Box.create({ name: 'found' });
  assert.equal((await Box.get(id)).id, id);
  assert.equal((await Box.get('found')).id, id);
  assert.equal((await Box.getByName('found')).id, id);
});

calls('a list holds all boxes, or those of a label', async () => {
  const a = await Box.create({ labels: ['x', 'team:a'] });
  const b = await Box.create({ labels: ['x'] });
  const ids = async (options) => (await Box.list(options)).map((box) => box.id).sort();
  assert.deepEqual(await ids(), [a.id, b.id].sort());
  assert.deepEqual(await ids({ label: 'x' }), [a.id, b.id].sort());
  assert.deepEqual(await ids({ label: 'team:a' }), [a.id]);
  assert.deepEqual(await ids({ label: 'none' }), []);
});

calls('labels of a living box', async () => {
  const box = await Box.create({ labels: ['first'] });
  assert.deepEqual(await box.labels.add('team:x'), ['first', 'team:x']);
  assert.deepEqual((await Box.list({ label: 'team:x' })).map(({ id }) => id), [box.id]);
  assert.deepEqual(await box.labels.remove('first'), ['team:x']);
  assert.deepEqual(await box.labels.list(), ['team:x']);
  await refuses(400, /^label: /, () => box.labels.add('no blanks'));
  await refuses(404, /"other"/, () => box.labels.remove('other'));
});

calls('variables for all boxes', async () => {
  const box = await Box.create({ env: { OWN: 'own' } });
  await Box.setEnv('SHARED', 'one');
  await Box.setEnv('OWN', 'not this');
  assert.equal((await box.exec.command('echo "$SHARED $OWN"')).result, 'one own\n');
  await Box.setAllEnv({ A: 'a', B: 'b' });
  assert.deepEqual(await Box.listEnv(), { A: '********', B: '********' });
  await Box.deleteEnv('A');
  assert.deepEqual(await Box.listEnv(), { B: '********' });
  assert.equal((await box.exec.command('echo "$SHARED$A$B"')).result, 'b\n');
  await refuses(400, /^key: HOME is reserved/, () => Box.setEnv('HOME', '/'));
  await refuses(404, /"A"/, () => Box.deleteEnv('A'));
  await Box.setAllEnv({});
  assert.deepEqual(await Box.listEnv(), {});
});

calls('network policies', async () => {
  const box = await Box.create({ networkPolicy: { mode: 'deny-all' } });
  assert.deepEqual(box.networkPolicy, { mode: 'deny-all' });
  const lookup = async () => (await box.exec.command('nslookup example.com')).result.includes('REFUSED');
  assert.ok(await lookup());
  await box.updateNetworkPolicy({ mode: 'custom', deniedCidrs: ['203.0.113.0/24'] });
  assert.ok(!await lookup());
  const custom = { mode: 'custom', allowedCidrs: ['203.0.113.0/24'], deniedCidrs: ['203.0.113.7/32'] };
  await box.updateNetworkPolicy(custom);
  assert.deepEqual((await Box.get(box.id)).networkPolicy, { ...custom, allowedDomains: undefined });
  await refuses(400, /^denied_cidrs: /, () => box.updateNetworkPolicy({ mode: 'custom', deniedCidrs: ['all'] }));
  const byName = { mode: 'custom', allowedDomains: ['example.com', '*.example.net'], allowedCidrs: ['203.0.113.0/24'], deniedCidrs: ['203.0.113.7/32'] };
  await box.updateNetworkPolicy({ ...byName, allowedDomains: ['Example.COM.', '*.example.net', 'example.com'] });
  assert.deepEqual((await Box.get(box.id)).networkPolicy, byName);
  const answered = async (name) => !(await box.exec.command(`nslookup ${name}`)).result.includes('REFUSED');
  assert.deepEqual(await Promise.all(['example.com', 'a.example.net', 'example.net', 'example.org'].map(answered)), [true, true, false, false]);
  await refuses(400, /^allowed_domains: "\*"/, () => box.updateNetworkPolicy({ mode: 'custom', allowedDomains: ['*'] }));
  assert.deepEqual((await Box.create({ networkPolicy: { mode: 'custom', allowedDomains: ['a.example'] } })).networkPolicy, { mode: 'custom', allowedDomains: ['a.example'], allowedCidrs: undefined, deniedCidrs: undefined });
});

calls('boxes are deleted one by one and together', async () => {
  const boxes = await Promise.all(Array.from({ length: 5 }, (_, i) => Box.create({ name: `box-${i}` })));
  const left = async () => (await Box.list()).map((box) => box.name).sort();
  await boxes[0].delete();
  assert.deepEqual(await left(), ['box-1', 'box-2', 'box-3', 'box-4']);
  await Box.delete({ boxIds: boxes[1].id });
  assert.deepEqual(await left(), ['box-2', 'box-3', 'box-4']);
  await Box.delete({ boxIds: [boxes[2].id, 'box-3'] });
  assert.deepEqual(await left(), ['box-4']);
});

calls('the log of a box tells what became of it', async () => {
  const box = await Box.create();
  const logs = await box.logs();
  assert.deepEqual(logs.map(({ timestamp, ...rest }) => rest),
    [{ level: 'info', source: 'system', message: 'created from image busybox' }]);
  assert.ok(Number.isInteger(logs[0].timestamp));
  assert.deepEqual(await box.logs({ limit: 10, offset: 1 }), []);
});

calls('a box is paused, resumed, and woken by a command', async () => {
  const box = await Box.create();
  await box.pause();
  assert.deepEqual(await box.getStatus(), { status: 'paused' });
  await box.resume();
  assert.deepEqual(await box.getStatus(), { status: 'idle' });
  await box.pause();
  assert.equal((await box.exec.command('echo awake')).result, 'awake\n');
  assert.deepEqual(await box.getStatus(), { status: 'idle' });
});

calls('a box that is kept alive has an init command', async () => {
  const box = await Box.create({ keepAlive: true, initCommand: 'echo ready > ready' });
  assert.equal(box.keepAlive, true);
  assert.equal(await box.getInitCommand(), 'echo ready > ready');
  await box.setInitCommand('echo again');
  assert.equal(await box.getInitCommand(), 'echo again');
  await box.deleteInitCommand();
  assert.equal(await box.getInitCommand(), '');
  await assert.rejects(box.pause(), /[Kk]eep-alive/);
});

calls('an ephemeral box knows when it ends', async () => {
  const box = await EphemeralBox.create({ ttl: 3600 });
  assert.ok(Math.abs(box.expiresAt - Date.now() / 1000 - 3600) <= 60);
  assert.equal((await box.exec.command('echo short')).result, 'short\n');
  await box.delete();
});

// --- commands ---

calls('a command\'s output, error output and exit code are told apart', async () => {
  const box = await Box.create();
  const good = await box.exec.command('echo out; echo warning >&2');
  assert.deepEqual([good.status, good.exitCode, good.result, good.stdout, good.stderr],
    ['completed', 0, 'out\n', 'out\n', 'warning\n']);
  const bad = await box.exec.command('echo out; echo reason >&2; exit 7');
  assert.deepEqual([bad.status, bad.exitCode, bad.result, bad.stdout, bad.stderr],
    ['failed', 7, 'reason\n', 'out\n', 'reason\n']);
  const missing = await box.exec.command('no-such-program');
  assert.equal(missing.exitCode, 127);
  assert.match(missing.result, /not found/);
});

calls('cd decides where commands run, inside and outside of the work directory', async () => {
  const box = await Box.create();
  await box.exec.command('mkdir -p deep/er');
  await box.cd('deep/er');
  assert.equal((await box.exec.command('pwd')).stdout, '/workspace/home/deep/er\n');
  await box.cd('/etc');
  assert.equal((await box.exec.command('pwd')).stdout, '/etc\n');
  await assert.rejects(box.cd('/nowhere'), /cd: \/nowhere: No such file or directory/);
  assert.equal(box.cwd, '/etc');
});

calls('a stream brings each piece as it is written, and the exit at the end', async () => {
  const box = await Box.create();
  await box.exec.command('mkfifo gate');
  const run = await box.exec.stream('echo first; read line < gate; echo "$line" >&2; exit 3');
  const chunks = [];
  for await (const chunk of run) {
    chunks.push(chunk);
    // The command cannot end before this is done: what has arrived was streamed.
    if (chunks.length === 1) await box.exec.command('echo second > gate');
  }
  const { cpuNs, ...exit } = chunks.pop();
  assert.deepEqual(chunks, [{ type: 'output', data: 'first\n' }, { type: 'output', data: 'second\n' }]);
  assert.deepEqual(exit, { type: 'exit', exitCode: 3 });
  assert.ok(cpuNs > 0);
  assert.deepEqual([run.status, run.exitCode, run.result], ['failed', 3, 'first\nsecond\n']);
});

calls('a long stream arrives whole', async () => {
  const box = await Box.create();
  const run = await box.exec.stream('seq 1 1000000');
  let size = 0;
  for await (const chunk of run) if (chunk.type === 'output') size += chunk.data.length;
  assert.equal(size, 6888896);
  assert.ok(run.result.endsWith('\n999999\n1000000\n'));
  assert.equal(run.exitCode, 0);
});

calls('a client that leaves a stream does not decide the fate of the command', async () => {
  const box = await Box.create();
  await box.exec.command('mkfifo gate done');
  const run = await box.exec.stream('echo up; read line < gate; echo "$line" > done');
  for await (const chunk of run) {
    assert.equal(chunk.data, 'up\n');
    break;
  }
  assert.equal(run.status, 'detached');
  assert.equal((await box.exec.command('echo still here > gate; cat done')).stdout, 'still here\n');
});

calls('many boxes at the same time do not mix up their answers', async () => {
  const outputs = await Promise.all(Array.from({ length: 12 }, async (_, i) => {
    const box = await Box.create({ env: { NUMBER: String(i) } });
    return (await box.exec.command('echo $NUMBER')).stdout;
  }));
  assert.deepEqual(outputs, Array.from({ length: 12 }, (_, i) => `${i}\n`));
});

// --- errors ---

calls('a wrong key, and none, are refused', async () => {
  await refuses(401, /X-Box-Api-Key: the key is not known/, () => Box.create({ apiKey: 'x'.repeat(32) }));
  await refuses(401, /X-Box-Api-Key: the key is not known/, () => Box.list({ apiKey: `${daemon.key}0` }));
  const answer = await fetch(`${daemon.url}/v2/box`);
  assert.equal(answer.status, 401);
  assert.match((await answer.json()).error, /X-Box-Api-Key: send your API key/);
});

calls('a box that is not there is an error that names it', async () => {
  await refuses(404, /"nobody"/, () => Box.get('nobody'));
  const box = await Box.create();
  await box.delete();
  await refuses(404, new RegExp(box.id), () => box.getStatus());
  await refuses(404, new RegExp(box.id), () => box.exec.command('true'));
  await refuses(404, new RegExp(box.id), () => box.exec.stream('true'));
  await refuses(404, new RegExp(box.id), () => Box.delete({ boxIds: [box.id] }));
});

calls('what a create must not say is refused by the name of the field', async () => {
  await Box.create({ name: 'taken' });
  await refuses(409, /^name: .*"taken"/, () => Box.create({ name: 'taken' }));
  await refuses(400, /^name: /, () => Box.create({ name: 'no/slash' }));
  await refuses(400, /^labels: /, () => Box.create({ labels: ['no blanks'] }));
  await refuses(400, /^size: /, () => Box.create({ size: 'huge' }));
  await refuses(400, /^runtime: .*"cobol"/, () => Box.create({ runtime: 'cobol' }));
  await refuses(400, /^env_vars: HOME/, () => Box.create({ env: { HOME: '/' } }));
  assert.equal((await Box.list()).length, 1);
});

calls('runs are listed newest first', async () => {
  const box = await Box.create();
  await box.exec.command('echo one');
  await box.exec.command('exit 3');
  const [second, first, ...others] = await box.listRuns();
  assert.deepEqual(others, []);
  assert.deepEqual([first.status, second.status], ['completed', 'failed']);
  assert.ok(first.prompt.endsWith('echo one'), first.prompt);
  assert.deepEqual([first.box_id, first.type], [box.id, 'shell']);
});

calls('snapshots are taken, listed, restored and deleted', async () => {
  const box = await Box.create({ env: { A: 'b' } });
  await box.exec.command('echo kept > file');
  const snapshot = await box.snapshot({ name: 'now' });
  assert.deepEqual([snapshot.name, snapshot.box_id, snapshot.status], ['now', box.id, 'ready']);
  assert.deepEqual((await box.listSnapshots()).map(({ id }) => id), [snapshot.id]);
  await box.exec.command('rm file');
  const copy = await Box.fromSnapshot(snapshot.id, { name: 'copy', labels: ['from'] });
  assert.equal((await copy.exec.command('cat file; echo $A')).result, 'kept\nb\n');
  const brief = await EphemeralBox.fromSnapshot(snapshot.id, { ttl: 60 });
  assert.equal((await brief.exec.command('cat file')).result, 'kept\n');
  await brief.delete();
  const second = await copy.snapshot({ name: 'second' });
  await box.deleteSnapshot(snapshot.id);
  await refuses(404, /no snapshot/, () => Box.fromSnapshot(snapshot.id));
  assert.deepEqual(await Box.deleteSnapshots({ snapshotIds: second.id }), { deleted: 1 });
  assert.deepEqual(await Box.deleteSnapshots(), { deleted: 0 });
});

calls('code without its program says which image has it', async () => {
  const box = await Box.create();
  await refuses(400, /^language: js needs the program node/, () => box.exec.code({ code: '1', lang: 'js' }));
});

calls('code runs by the image\'s own program, whole or as it comes', async () => {
  const box = await Box.create({ runtime: 'git' });
  const run = await box.exec.code({ code: 'console.log(6 * 7); console.error("aside")', lang: 'js' });
  assert.deepEqual([run.status, run.result, run.stderr], ['completed', '42\n', 'aside\n']);
  assert.ok(Array.isArray(await run.logs()));
  assert.deepEqual([(await box.exec.code({ code: 'process.exit(3)', lang: 'js' })).exitCode], [3]);
  let text = '';
  for await (const chunk of await box.exec.streamCode({ code: 'console.log("one"); console.log("two")', lang: 'js' })) text += chunk.data ?? '';
  assert.equal(text, 'one\ntwo\n');
});

calls('an ephemeral box has commands, files, code and snapshots', async () => {
  const box = await EphemeralBox.create({ runtime: 'git', ttl: 600 });
  assert.deepEqual(await box.getStatus(), { status: 'idle' });
  await box.exec.command('mkdir sub');
  await box.cd('sub');
  await box.files.write({ path: 'a', content: 'x' });
  assert.equal(await box.files.read('a'), 'x');
  assert.deepEqual((await box.files.list()).map(({ name }) => name), ['a']);
  const local = fs.mkdtempSync('/var/tmp/hutch-sdk-ephemeral-');
  try {
    fs.writeFileSync(`${local}/up`, 'up');
    await box.files.upload([{ path: `${local}/up`, destination: '/workspace/home/sub/up' }]);
    const before = process.cwd();
    process.chdir(local);
    await box.files.download({ folder: '/workspace/home/sub' }).finally(() => process.chdir(before));
  } finally {
    fs.rmSync(local, { recursive: true });
  }
  assert.equal((await box.exec.code({ code: 'console.log(1)', lang: 'js' })).result, '1\n');
  for await (const chunk of await box.exec.stream('echo s')) if (chunk.type === 'output') assert.equal(chunk.data, 's\n');
  for await (const chunk of await box.exec.streamCode({ code: 'console.log(2)', lang: 'js' })) if (chunk.type === 'output') assert.equal(chunk.data, '2\n');
  const { id } = await box.snapshot({ name: 'e' });
  assert.deepEqual((await box.listSnapshots()).map((snapshot) => snapshot.id), [id]);
  await box.deleteSnapshot(id);
  assert.deepEqual(await EphemeralBox.deleteSnapshots(), { deleted: 0 });
  const named = await EphemeralBox.create({ name: 'brief' });
  assert.equal((await EphemeralBox.getByName('brief')).id, named.id);
  await EphemeralBox.delete({ boxIds: [named.id] });
});

calls('a key of its own is a customer of its own', async () => {
  const { key: apiKey } = await daemon.json('POST', '/v2/keys', { name: 'alice' }, 201);
  const box = await Box.create({ name: 'web', apiKey });
  assert.equal((await box.exec.command('echo mine')).result, 'mine\n');
  assert.deepEqual(await Box.list(), []);
  await refuses(404, new RegExp(box.id), () => Box.get(box.id));
  await refuses(404, new RegExp(box.id), () => Box.delete({ boxIds: box.id }));
  await Box.delete({ boxIds: box.id, apiKey });
  await daemon.json('DELETE', '/v2/keys/alice');
});

calls('headers are attached from creation on, and never told', async () => {
  const box = await Box.create({ attachHeaders: { 'example.org': { 'X-Token': 'not-told' } } });
  const told = await daemon.json('GET', `/v2/box/${box.id}/config/attach-headers`);
  assert.deepEqual(told, { attach_headers: { 'example.org': { 'X-Token': '********' } } });
  await refuses(400, /^attach_headers: "Example\.org": write it in lower case/, () => Box.create({ attachHeaders: { 'Example.org': { A: 'b' } } }));
});

calls('what is not built yet says so', async () => {
  const box = await Box.create();
  const unbuilt = [
  ];
  for (const call of unbuilt) await refuses(501, /^(GET|POST|PUT|DELETE) \/v2\/box\S*: .*no such call yet$/, call);
});
