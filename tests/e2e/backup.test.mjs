// docs/backup.md, word for word: its commands, but for the paths, on a daemon with boxes, and their restore elsewhere.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Box } from './lib/box.mjs';
import { Daemon } from './lib/daemon.mjs';
import { LinkMonitor } from './lib/host.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs();
const daemon = suite();
const page = fs.readFileSync(new URL('../../docs/backup.md', import.meta.url), 'utf8');
const commandsOf = (section) => new RegExp(`## ${section}\n.*?\`\`\`sh\n(.*?)\`\`\``, 's').exec(page)[1].trimEnd().split('\n');

/// Does what a section says: what it asks of systemd is done with `its` daemon, the rest is a shell's.
async function follow(section, its, archive) {
  let script = '';
  const run = () => {
    const env = { ...process.env, PATH: `${path.dirname(process.env.HUTCH)}:${process.env.PATH}`, HUTCH_HOST: `unix://${its.socket}` };
    const { status, stdout, stderr } = spawnSync('bash', ['-euc', script], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }); // of a socket it reads bashrc
    assert.equal(status, 0, `${script}\n${stdout}${stderr}`);
    script = '';
    return stdout;
  };
  for (const line of commandsOf(section)) {
    const [, verb] = /^systemctl (stop|start) .*hutchd\.service/.exec(line) ?? [];
    if (verb !== undefined) run();
    if (verb === 'stop' && its.running) await its.end('SIGTERM');
    if (verb === 'start') await its.launch();
    if (verb === undefined) script += `${line.replaceAll('/var/lib/hutch', its.state).replaceAll('/var/lib hutch', `${path.dirname(its.state)} ${path.basename(its.state)}`).replaceAll('/var/lib', path.dirname(its.state)).replaceAll('/root/hutch-backup.tar', archive)}\n`;
  }
  return run();
}

leakless(daemon, 'boxes come back elsewhere as they were, and go on where they were', { timeout: 240_000 }, async () => {
  const archive = path.join(daemon.directory, 'backup.tar');
  const box = await daemon.rootBox({ name: 'web', labels: ['a'], env_vars: { A: 'b' } });
  await box.sh('mkdir d; echo kept > d/file; ln d/file hard; ln -s d/file link; chmod 640 d/file; rm /etc/shadow; head -c 300000 /dev/urandom > random; md5sum random > sum; rm -r /home; mkdir /home');
  const snapshot = await daemon.json('POST', `${box.path}/snapshots`, { name: 'then' }, 201);
  await box.sh('echo later > d/later; mkfifo /tmp/go');
  await daemon.json('PUT', '/v2/box/settings/model-keys/openai', { key: 'a-key' });
  const kept = await daemon.box({ keep_alive: true });
  await kept.sh('echo stays > awake');
  const { run_id: run } = await daemon.json('POST', `${box.path}/exec`, { command: ['sh', '-c', 'echo begun; cat /tmp/go'], detach: true }, 202);
  await follow('Backup', daemon, archive);
  assert.deepEqual([await box.status(), await kept.status()], ['paused', 'idle']);
  await box.sh('echo on > /tmp/go');
  assert.equal((await daemon.ask('GET', `${box.path}/runs/${run}/output?follow=1`)).text, 'begun\non\n');
  await daemon.json('DELETE', '/v2/box/snapshots');
  await daemon.json('DELETE', '/v2/box/settings/model-keys/openai');
  await daemon.removeAll();
  await daemon.settled();
  await daemon.end('SIGTERM'); // the host is lost

  const other = new Daemon({ name: `b${daemon.name.slice(0, 5)}`, images: false });
  other.state = path.join(other.directory, path.basename(daemon.state));
  other.args[other.args.indexOf('--state_dir') + 1] = other.state;
  other.links = new LinkMonitor(other.name);
  try {
    assert.match(await follow('Restore', other, archive), /^web .*paused/m);
    const again = new Box(other, await other.json('GET', '/v2/box/web'));
    assert.deepEqual([again.id, again.data.labels, again.data.status], [box.id, ['a'], 'paused']);
    assert.equal(await again.sh('cat d/file hard link; stat -c "%a %h" d/file; md5sum -c sum; cat d/later; echo $A; ls /etc/shadow 2>&1; ls -A /home'),
      "kept\nkept\nkept\n640 2\nrandom: OK\nlater\nb\nls: /etc/shadow: No such file or directory");
    assert.equal(await new Box(other, await other.json('GET', kept.path)).sh('cat awake'), 'stays');
    const copy = new Box(other, await other.json('POST', '/v2/box/from-snapshot', { snapshot_id: snapshot.id }, 201));
    assert.equal(await copy.sh('ls d; ls /etc/shadow 2>&1 | grep -c "No such"'), 'file\n1');
    assert.deepEqual(await other.json('GET', '/v2/box/settings/model-keys'), { providers: ['openai'] });
    const begun = (await other.json('GET', `${again.path}/runs`)).runs.find(({ id }) => id === run);
    assert.deepEqual([begun.status, (await other.ask('GET', `${again.path}/runs/${run}/output`)).text], ['failed', 'begun\n']);
    assert.equal(await (await other.box()).sh('echo new'), 'new');
  } finally {
    if (other.running) await other.json('DELETE', '/v2/box/snapshots');
    await other.close();
  }
  await daemon.launch();
});
