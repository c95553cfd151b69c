// An image with programs of the names of the agents', which say what they were started with.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const kEnds = {
  claude: ['{"type":"result","result":"fine","session_id":"s","usage":{}}'],
  codex: ['{"type":"item.completed","item":{"type":"agent_message","text":"fine"}}', '{"type":"turn.completed","usage":{}}'],
  opencode: ['{"type":"text","part":{"text":"fine"}}', '{"type":"step_finish","part":{"reason":"stop"}}'],
};

// An argument may hold line feeds: NUL ends each. /workspace/home/says is what a test has it say instead.
const program = (ends) => `#!/bin/sh
cd /workspace/home
printf '%s\\0' "$@" > args
cat /proc/self/environ > env
cat > input
if [ -e says ]; then . ./says; exit; fi
${ends.map((line) => `echo '${line}'`).join('\n')}
`;

/// The archive of an image with them besides what `archive` has.
export function agentImage(directory, archive) {
  const root = path.join(directory, 'agent-root');
  fs.mkdirSync(root);
  execFileSync('tar', ['-C', root, '-xf', archive]);
  for (const [name, ends] of Object.entries(kEnds)) fs.writeFileSync(path.join(root, 'bin', name), program(ends), { mode: 0o755 });
  const made = path.join(directory, 'agent.tar');
  execFileSync('tar', ['-C', root, '--owner=0', '--group=0', '--numeric-owner', '-cf', made, '.']);
  fs.rmSync(root, { recursive: true });
  return made;
}

/// What the program was started with the last time.
export async function started(box) {
  const words = (text) => text.split('\0').slice(0, -1);
  const env = words(await box.read('env')).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]);
  return { args: words(await box.read('args')), env: Object.fromEntries(env), input: await box.read('input') };
}
