// Runs the rows of tests/compatibility/*.rows, each in a box made for it, and writes docs/compatibility.md.
//
// A row begins with "## PROGRAM"; its lines "# does:", "# needs:" (packages), "# create:" (options), "# version:" (a command)
// and "# why:" (the reason, where it is known not to work) say about it, and what follows is run by the box's bash, which
// must end with 0. Rows that are not run keep the line they have.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const kHere = path.dirname(new URL(import.meta.url).pathname);
const kPage = path.join(kHere, '../../docs/compatibility.md');
const kImage = 'compatibility'; // the default image with apt's lists, which every row would fetch anew
const kMinutes = 10;
const kFailed = 'failed: ';
// As `grep -q`, but it reads to the end, so that it ends no writer before it by SIGPIPE.
const kSays = 'says() { grep -c "$@" >/dev/null; }';

function hutch(args, input) {
  const { status, stdout, stderr, error } = spawnSync(process.env.HUTCH, args, { encoding: 'utf8', input, timeout: (kMinutes + 1) * 60_000, maxBuffer: 1 << 28 });
  return { status, stdout: stdout ?? '', text: `${stdout ?? ''}${stderr ?? ''}${error ? error.message : ''}` };
}

function must(args, input) {
  const { status, text } = hutch(args, input);
  if (status === 0) return;
  console.error(`compatibility: hutch ${args.join(' ')}: ${text}`);
  process.exit(1);
}

/// [{group, name, does, needs, create, version, why, script}] of a file, whose first line is "# GROUP".
function rowsOf(file) {
  const [head, ...rows] = fs.readFileSync(file, 'utf8').split(/^## /m);
  const group = head.split('\n')[0].slice(2);
  return rows.map((text) => {
    const [name, ...lines] = text.split('\n');
    const said = Object.fromEntries(lines.map((line) => /^# (\w+): (.*)/.exec(line)).filter(Boolean).map(([, key, value]) => [key, value]));
    return { group, name, ...said, script: lines.filter((line) => !/^# \w+: /.test(line)).join('\n') };
  });
}

const oneLine = (text) => text.replaceAll('|', '\\|').replace(/\s+/g, ' ').trim();

/// The first number with a point in what a program says of its version; else all of it.
const versionIn = (text) => /\d+\.[\w.+~-]*\w/.exec(text)?.[0] ?? oneLine(text).slice(0, 60);

/// What a script said last, and the command that failed.
function complaint(text) {
  const lines = text.trimEnd().split('\n').filter((line) => line.trim() !== '');
  const command = lines.at(-1)?.startsWith(kFailed) ? lines.pop().slice(kFailed.length) : '';
  return oneLine(`${(lines.at(-1) ?? 'it said nothing').slice(0, 160)}${command && ` (\`${command.slice(0, 80)}\`)`}`);
}

// eslint-disable-next-line no-control-regex
const plain = (text) => text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '').replace(/[\x00-\x08\x0b-\x1f]/g, '');

/// What the box said in `script`, which had `kMinutes` for it.
function inBox(box, script) {
  const watched = `${kSays}\ntrap 'echo "${kFailed}$BASH_COMMAND" >&2' ERR\n${script}`;
  const { status, text } = hutch(['exec', box, '--', 'timeout', String(kMinutes * 60), 'bash', '-euo', 'pipefail', '-c', watched]);
  const said = plain(text);
  return { ended: status === 124 ? `it takes longer than ${kMinutes} minutes here` : status === 0 ? null : complaint(said), said };
}

function run(row) {
  const box = 'compatibility-row';
  hutch(['rm', '--force', box]);
  must(['create', box, '--image', kImage, ...(row.create?.split(' ') ?? [])]);
  try {
    const install = `sudo DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends ${row.needs} 2>&1`;
    const steps = [...(row.needs ? [install] : []), row.script];
    let failed = null;
    let said = '';
    for (const step of steps) {
      ({ ended: failed, said } = inBox(box, step));
      if (failed !== null) break;
    }
    const version = row.version ? versionIn(inBox(box, row.version).said.trim().split('\n')[0]) : '';
    if (failed !== null && process.env.VERBOSE) console.log(said);
    return { version, failed: failed === null ? null : (row.why ?? failed) };
  } finally {
    hutch(['rm', '--force', box]);
  }
}

const lineOf = (row, { version, failed }) => `| ${row.name} | ${version} | ${oneLine(row.does ?? '')} | ${failed === null ? 'works' : `**does not work**: ${oneLine(failed)}`} |`;

/// The lines that the page has, by program.
function earlierLines() {
  if (!fs.existsSync(kPage)) return {};
  const lines = fs.readFileSync(kPage, 'utf8').split('\n').filter((line) => /^\| .* \|$/.test(line));
  return Object.fromEntries(lines.map((line) => [line.split(' | ')[0].slice(2), line]));
}

function write(rows, lines) {
  const works = rows.filter((row) => lines[row.name]?.endsWith('| works |')).length;
  const told = rows.filter((row) => lines[row.name] !== undefined);
  const groups = [...new Set(told.map((row) => row.group))];
  const tables = groups.map((group) => `## ${group}\n| program | version | what was done | result |\n|---|---|---|---|\n${
    told.filter((row) => row.group === group).map((row) => lines[row.name]).join('\n')}\n`);
  fs.writeFileSync(kPage, `# What runs in a box
Written by \`scripts/compatibility\`, which runs each row's script (\`tests/compatibility/\`) in a box made for it from the default
image, with what a create without options gives, unless the row says otherwise. Last on Linux ${os.release().split('-')[0]}: ${works} of ${told.length} work.

${tables.join('\n')}`);
}

const all = fs.readdirSync(kHere).filter((name) => name.endsWith('.rows')).sort().flatMap((name) => rowsOf(path.join(kHere, name)));
const names = process.argv.slice(2);
for (const name of names) {
  if (all.some((row) => row.name === name)) continue;
  console.error(`compatibility: no row is called "${name}"; there are: ${all.map((row) => row.name).join(', ')}`);
  process.exit(2);
}
if (hutch(['image', 'inspect', kImage]).status !== 0) {
  const recipe = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'compatibility-')), 'recipe.sh');
  fs.writeFileSync(recipe, 'apt-get update -q\n');
  must(['image', 'build', kImage, '-f', recipe]);
  fs.rmSync(path.dirname(recipe), { recursive: true });
}
const lines = earlierLines();
for (const row of all.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const begun = Date.now();
  const result = run(row);
  lines[row.name] = lineOf(row, result);
  console.log(`${lines[row.name]} ${Math.round((Date.now() - begun) / 1000)} s`);
  write(all, lines);
}
