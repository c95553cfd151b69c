// Images and snapshots to a registry: what is there is not sent again.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { complains, hutch } from './lib/command.mjs';
import { Before, Registry } from './lib/registry.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs('docker-registry', 'skopeo');
const daemon = suite();

async function withRegistry(work) {
  const registry = new Registry(fs.mkdtempSync('/var/tmp/hutch-push-'));
  await registry.open();
  const before = new Before(registry);
  await before.open();
  try {
    await work(registry, before);
  } finally {
    before.close();
    await registry.close();
    fs.rmSync(registry.directory, { recursive: true, force: true });
    await daemon.removeAll();
    await daemon.json('DELETE', '/v2/box/snapshots', {});
  }
}

const inspect = (reference) => JSON.parse(execFileSync('skopeo', ['inspect', '--tls-verify=false', `docker://${reference}`], { encoding: 'utf8' }));
/// Of what was asked since the last call, what sends something.
function sending(before) {
  const calls = before.seen.filter(({ method }) => method !== 'GET' && method !== 'HEAD').map(({ method, url }) => `${method} ${url}`);
  before.seen = [];
  return calls;
}

leakless(daemon, 'a snapshot goes to a registry, as skopeo finds it there, and again by one look', async () => {
  await withRegistry(async (registry, before) => {
    const box = await daemon.box({ name: 'pushed', env_vars: { SIZE: 'large' } });
    await box.sh('echo one > one');
    await daemon.json('POST', `${box.path}/snapshots`, { name: 'one' }, 201);
    const reference = `${before.host}/team/app:one`;
    const first = await hutch(daemon, ['snapshot', 'push', 'pushed', 'one', reference, '--json']);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(JSON.parse(first.stdout).reference, reference);
    const there = inspect(`${registry.host}/team/app:one`);
    assert.equal(there.Layers.length, 2);
    assert.ok(there.Env.includes('SIZE=large'));
    sending(before);
    const again = await hutch(daemon, ['snapshot', 'push', 'pushed', 'one', reference]);
    assert.deepEqual([again.code, again.stderr], [0, '']);
    assert.equal(again.stdout, `${reference}@${there.Digest}\n`);
    assert.deepEqual(sending(before), []);
  });
});

leakless(daemon, 'of a further snapshot the layer alone that is new is sent', async () => {
  await withRegistry(async (registry, before) => {
    const box = await daemon.box({ name: 'grows' });
    for (const name of ['one', 'two']) {
      await box.sh(`echo ${name} > ${name}`);
      await daemon.json('POST', `${box.path}/snapshots`, { name }, 201);
      before.seen = [];
      const { code, stderr } = await hutch(daemon, ['snapshot', 'push', 'grows', name, `${before.host}/grows:${name}`]);
      assert.equal(code, 0, stderr);
      const lines = stderr.trimEnd().split('\n');
      assert.equal(lines.filter((line) => /: sent, /.test(line)).length, name === 'one' ? 2 : 1, stderr);
      assert.equal(sending(before).filter((call) => call.startsWith('PATCH')).length, name === 'one' ? 2 : 1);
    }
    const layout = path.join(registry.directory, 'back');
    execFileSync('skopeo', ['copy', '--quiet', '--src-tls-verify=false', `docker://${registry.host}/grows:two`, `oci:${layout}:it`]); // verifies each digest
  });
});

leakless(daemon, 'an image goes by a name, and what cannot be is said', async () => {
  await withRegistry(async (registry, before) => {
    const { code, stderr } = await hutch(daemon, ['image', 'push', 'busybox', `${before.host}/busybox`]);
    assert.equal(code, 0, stderr);
    assert.equal(inspect(`${registry.host}/busybox:latest`).Layers.length, 1);
    await complains(daemon, 1, /REFERENCE: .*digest/, ['image', 'push', 'busybox', `${before.host}/busybox@sha256:${'a'.repeat(64)}`]);
    await complains(daemon, 1, /REFERENCE: is missing, as .*busybox.* was not pulled; say where to/, ['image', 'push', 'busybox']);
    await complains(daemon, 1, /no image is called/, ['image', 'push', 'none', `${before.host}/none`]);
  });
});
