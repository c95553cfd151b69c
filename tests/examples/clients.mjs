// Published versions of the npm client, each installed by itself with a copy of the examples beside it.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

const kDeadlineMs = 300_000; // an example that hangs
const kTools = ['tsx@4', 'zod@3']; // what the examples' own package has for its development

const run = (program, args, cwd) => execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/// The directory of the examples, as they were published.
export function fetchExamples(directory, source, commit) {
  const clone = path.join(directory, 'source');
  run('git', ['clone', '--quiet', source, clone]);
  run('git', ['-C', clone, '-c', 'advice.detachedHead=false', 'checkout', '--quiet', commit]);
  return path.join(clone, 'packages/sdk/examples');
}

// The client as published, and beside it the one export that most examples import and no published version has.
const kBridge = `export * from 'published';
export const Runtime = { Node: 'node', Python: 'python', Golang: 'golang', Ruby: 'ruby', Rust: 'rust' };
`;

export class Client {
  /// `bridged`: with the export that the examples miss.
  constructor(directory, version, examples, { bridged = false } = {}) {
    this.bridged = bridged;
    this.version = bridged ? `${version}+` : version;
    this.directory = path.join(directory, this.version);
    fs.mkdirSync(this.directory);
    fs.writeFileSync(path.join(this.directory, 'package.json'), '{ "private": true }\n');
    const name = bridged ? 'published@npm:@upstash/box' : '@upstash/box';
    run('npm', ['install', '--silent', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', `${name}@${version}`, ...kTools], this.directory);
    if (bridged) this.bridge();
    fs.cpSync(examples, path.join(this.directory, 'examples'), { recursive: true });
  }

  bridge() {
    const directory = path.join(this.directory, 'node_modules/@upstash/box');
    fs.mkdirSync(directory, { recursive: true });
    fs.writeFileSync(path.join(directory, 'package.json'), '{ "name": "@upstash/box", "type": "module", "exports": "./index.js" }\n');
    fs.writeFileSync(path.join(directory, 'index.js'), kBridge);
  }

  /// Puts files that an example reads where it is run.
  give(files = {}) {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(this.directory, 'examples', name);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, content);
    }
  }

  /// Runs an example to its end: { code, output }.
  async run(name, env) {
    const child = spawn(path.join(this.directory, 'node_modules/.bin/tsx'), [`${name}.ts`],
      { cwd: path.join(this.directory, 'examples'), env: { ...process.env, ...env }, timeout: kDeadlineMs, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text; });
    const [code, signal] = await once(child, 'close');
    return { code: signal ? `not over after ${kDeadlineMs / 1000} s` : code, output };
  }
}
