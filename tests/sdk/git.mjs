// Git, as the client asks for it; what there is to see without a server. e2e/git has one.

import assert from 'node:assert/strict';
import { calls, refuses, sdk } from './client.mjs';

const { Box } = sdk;

calls('git: every call of the client', async () => {
  const box = await Box.create({ runtime: 'git', git: { userName: 'Jane', token: 'ghp_0123456789' } });
  await box.git.exec({ args: ['init', '--quiet', '--bare', '--initial-branch=main', 'origin'] });
  await refuses(409, /not a git repository/, () => box.git.status());
  await box.exec.command('mkdir work');
  await box.cd('work');
  await box.git.clone({ repo: '/workspace/home/origin' }); // it names where it is, which is where the clone goes
  await box.files.write({ path: 'README', content: 'one\n' });
  assert.equal(await box.git.status(), '?? README\n');
  const { sha, message } = await box.git.commit({ message: 'first', authorName: 'John', authorEmail: 'john@example.com' });
  assert.equal(message, 'first');
  assert.equal((await box.git.exec({ args: ['log', '-1', '--format=%H %an %cn'] })).output, `${sha} John Jane\n`);
  await box.git.push({ branch: 'main' });
  await box.git.push();
  await refuses(409, /^branch: "feature" is neither here/, () => box.git.checkout({ branch: 'feature' }));
  await box.git.exec({ args: ['branch', 'feature'] });
  await box.git.checkout({ branch: 'feature' });
  await box.files.write({ path: 'README', content: 'two\n' });
  assert.match(await box.git.diff(), /-one\n\+two\n/);
  assert.deepEqual(await box.git.updateConfig({ userEmail: 'jane@example.com' }), { git_user_name: 'Jane', git_user_email: 'jane@example.com' });
  await refuses(409, /^origin: /, () => box.git.createPR({ title: 't' }));
  await refuses(400, /^branch: /, () => box.git.checkout({ branch: '-f' }));
});

calls('git: an image without it says so', async () => {
  const box = await Box.create();
  await refuses(409, /image "busybox" has no git/, () => box.git.status());
});
