// The images that the examples name, by Hutch's own recipes, with the agents' programs in each. They stay in the state
// directory for the next time.

import path from 'node:path';
import { hutch } from '../e2e/lib/command.mjs';
import { debianArchive } from '../e2e/lib/debian.mjs';

const kFrom = { node: 'debian', agents: 'node', python: 'agents', golang: 'agents' };
const kReady = 'ready'; // is there once all are

async function build(daemon, name, from) {
  console.log(`building the image ${name}`);
  const { code, stderr } = await hutch(daemon, ['image', 'build', name, '--from', from]);
  if (code !== 0) throw new Error(`the image ${name}: ${stderr}`);
}

/// The same files under another name, too.
async function call(daemon, name, from) {
  const { text } = await daemon.ask('POST', `/v2/images/${name}/build`, { body: { from, script: 'true' } });
  if (!text.includes('event: image')) throw new Error(`the image ${name}: ${text}`);
}

export async function buildImages(daemon, directory) {
  const { images } = await daemon.json('GET', '/v2/images');
  const known = new Set(images.map(({ name }) => name));
  if (known.has(kReady)) return;
  if (!known.has('debian')) await daemon.import('debian', debianArchive(path.join(directory, 'cache')));
  for (const [name, from] of Object.entries(kFrom)) {
    if (!known.has(name)) await build(daemon, name, from);
  }
  for (const name of ['node', kReady]) await call(daemon, name, 'agents');
}
