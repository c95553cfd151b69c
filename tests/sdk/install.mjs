// The official npm client as it is published, installed into the build directory.

import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { skip } from '../e2e/lib/suite.mjs';

const kUnreachable = /\b(EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT)\b/;

/// The path of the client's module. Skips the file where the npm registry cannot be reached.
export function install() {
  const directory = process.env.HUTCH_SDK_DIR ?? skip('needs HUTCH_SDK_DIR, a directory to install the client in');
  fs.mkdirSync(directory, { recursive: true });
  for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
    fs.copyFileSync(fileURLToPath(new URL(name, import.meta.url)), path.join(directory, name));
  }
  const options = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', '--fetch-retries=0'];
  const npm = spawnSync('npm', options, { cwd: directory, encoding: 'utf8' });
  if (npm.error?.code === 'ENOENT') skip('needs npm');
  const [unreachable] = kUnreachable.exec(npm.stderr) ?? [];
  if (npm.status !== 0 && unreachable) skip(`the npm registry cannot be reached (${unreachable})`);
  if (npm.status !== 0) throw new Error(`npm ci: ${npm.stderr}`);
  const installed = path.join(directory, 'node_modules/@upstash/box');
  const { exports } = JSON.parse(fs.readFileSync(path.join(installed, 'package.json'), 'utf8'));
  return path.join(installed, exports['.'].import);
}

/// Ends the connections that fetch keeps for its next calls, which the daemon would hold on to as well.
export function disconnect() {
  const kDispatcher = Symbol.for('undici.globalDispatcher.1'); // where Node's fetch finds them
  const agent = globalThis[kDispatcher];
  if (agent === undefined) return;
  globalThis[kDispatcher] = new agent.constructor();
  return agent.destroy();
}
