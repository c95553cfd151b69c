// Completion as somebody meets it who presses Tab: in bash, zsh and fish, on a terminal.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { json, output, Terminal } from './lib/command.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';

needs('script', 'bash');
const daemon = suite();
const run = (...args) => output(daemon, args);
const have = (program) => process.env.PATH.split(':').some((directory) => fs.existsSync(path.join(directory, program)));

/// What is typed, with Tab where the arrow stands, and the words that hutch is then called with.
const kTyped = {
  'hutch im→': 'image',
  'hutch image b→': 'image build',
  'hutch image build gol→': 'image build golang',
  'hutch inspect we→': 'inspect web',
  'hutch df we→': 'df web',
  'hutch ls --la→web': 'ls --label web',
  'hutch create --image busybox-→': 'create --image busybox-root',
  'hutch create --size sm→': 'create --size small',
  'hutch rollback web cl→': 'rollback web clean',
  'hutch create --snapshot c→x': 'create --snapshot clean x',
  'hutch help image im→': 'help image import',
  'hutch network web deny→': 'network web deny-all',
  'hutch network wh→': 'network why',
  'hutch network log we→': 'network log web',
  'hutch cp web:/etc/hostn→.': 'cp web:/etc/hostname .',
  'hutch cp web:/works→ho→x .': 'cp web:/workspace/home/x .',
  'hutch cp we→/etc/hosts .': 'cp web:/etc/hosts .',
  'hutch cp ./here-→web:': 'cp ./here-it-is web:',
  'hutch cp sub→fi→web:': 'cp sub/file web:',
  'hutch cp wi→web:': ['cp', 'with space', 'web:'],
};

/// How each is started, with nobody's settings, how it says that the command is only to be shown, and how completion is
/// loaded into it.
const kShells = {
  bash: {
    command: 'bash --norc --noprofile -i',
    shown: 'hutch() { if [[ $1 == __complete ]]; then command hutch "$@"; else (IFS="|"; echo "<$*>"); fi; }',
    load: 'source <(hutch completion bash)',
  },
  zsh: {
    command: 'zsh -f -i',
    shown: 'hutch() { if [[ $1 == __complete ]]; then command hutch "$@"; else print -r -- "<${(j:|:)@}>"; fi; }',
    load: 'autoload -U compinit; compinit -u -D; source <(hutch completion zsh)',
  },
  fish: {
    command: 'fish --no-config --interactive',
    shown: 'function hutch; if test "$argv[1]" = __complete; command hutch $argv; else; echo "<"(string join "|" -- $argv)">"; end; end',
    load: 'hutch completion fish | source',
  },
};

function openShell({ command, shown, load }) {
  const directory = path.dirname(process.env.HUTCH);
  const shell = new Terminal(daemon, [], { shell: command, cwd: workDirectory(), env: { TERM: 'dumb', PATH: `${directory}:${process.env.PATH}`, HOME: daemon.directory, PS1: '$ ' } });
  shell.type(`${load.replace(/hutch completion/, 'command hutch completion')}\n${shown}\necho rea"dy"\n`);
  return shell;
}

function workDirectory() {
  const directory = path.join(daemon.directory, 'work');
  fs.mkdirSync(path.join(directory, 'sub'), { recursive: true });
  for (const name of ['here-it-is', 'sub/file', 'with space']) fs.writeFileSync(path.join(directory, name), '');
  return directory;
}

async function assertCompletes(how) {
  await daemon.box({ name: 'web' });
  await run('snapshot', 'create', 'web', 'clean');
  const shell = openShell(how);
  try {
    await shell.until(/^ready\r/m);
    for (const [typed, words] of Object.entries(kTyped)) {
      shell.output = '';
      shell.type(`${typed.replaceAll('→', '\t')}\n`);
      await shell.until(/<.*>\r/);
      assert.deepEqual(/<(.*)>\r/.exec(shell.output)[1].split('|'), Array.isArray(words) ? words : words.split(' '), typed);
    }
  } finally {
    shell.child.kill(); // and its shell with the terminal
    await shell.closed;
  }
  await daemon.json('DELETE', '/v2/box/snapshots', {});
}

for (const [name, how] of Object.entries(kShells)) {
  leakless(daemon, `${name} completes commands, options, boxes, snapshots, images and files`, { skip: !have(name) && `no ${name} here` }, () => assertCompletes(how));
}

// As packages install it.
leakless(daemon, 'zsh finds the completion in its own directories', { skip: !have('zsh') && 'no zsh here' }, async () => {
  const directory = path.join(daemon.directory, 'functions');
  fs.mkdirSync(directory);
  fs.writeFileSync(path.join(directory, '_hutch'), await run('completion', 'zsh'));
  await assertCompletes({ ...kShells.zsh, load: `fpath=(${directory} $fpath); autoload -U compinit; compinit -u -D` });
});

leakless(daemon, 'completion knows runs, recipes, and the files of a box', async () => {
  await daemon.box({ name: 'web' });
  await run('exec', 'web', '--', 'true');
  const { runs: [{ id }] } = await json(daemon, ['runs', 'web']);
  const offered = async (...words) => (await run('__complete', ...words)).split('\n').filter(Boolean).sort();
  assert.deepEqual(await offered('attach', 'web', ''), [`${id}\ttrue`]);
  assert.deepEqual(await offered('cp', 'web:/etc/host'), ['web:/etc/hostname\t', 'web:/etc/hosts\t']);
  assert.deepEqual(await offered('cp', 'web:/work'), ['web:/workspace/\t']);
  assert.deepEqual(await offered('cp', 'w'), [':files', 'web:\tidle']);
  assert.deepEqual(await offered('image', 'build', 'r'), ['ruby\t', 'rust\t']);
  assert.deepEqual(await offered('exec', 'web', 'l'), [':files'], 'what follows the box is its command\'s');
  assert.deepEqual(await offered('--host', 'unix:///nowhere', 'rm', ''), []);
});
