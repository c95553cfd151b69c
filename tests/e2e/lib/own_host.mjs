// A Debian with a systemd of its own (own_host.sh), for what is about a whole host.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as host from './host.mjs';

const kScript = fileURLToPath(new URL('own_host.sh', import.meta.url));
const kEnv = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LC_ALL: 'C.UTF-8', DEBIAN_FRONTEND: 'noninteractive' };
const kBooted = '[Service]\nType=oneshot\nExecStart=/bin/sh -c "echo >/booted"\n';

export class OwnHost {
  /// `root`: its files, systemd among them; `name`: of its control groups.
  constructor(root, name) {
    this.root = root;
    this.name = name;
  }

  path(name) {
    return path.join(this.root, name);
  }

  /// Up when its multi-user.target begins.
  async boot() {
    await host.sweep(this.name);
    const units = this.path('etc/systemd/system');
    fs.writeFileSync(path.join(units, 'booted.service'), kBooted);
    fs.mkdirSync(path.join(units, 'multi-user.target.wants'), { recursive: true });
    fs.symlinkSync('../booted.service', path.join(units, 'multi-user.target.wants/booted.service'));
    await once(spawn('mkfifo', [this.path('booted')]), 'exit');
    this.outer = spawn(kScript, [this.name, this.root], { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    this.outer.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
    this.ended = once(this.outer, 'exit');
    const ended = this.ended.then(([code, signal]) => assert.fail(`systemd ended: ${code ?? signal}: ${said}`));
    const booted = fs.promises.readFile(this.path('booted'));
    try {
      await Promise.race([booted, ended]);
    } catch (error) {
      fs.writeFileSync(this.path('booted'), ''); // who reads it would wait for ever
      throw error;
    }
    this.init = this.child();
  }

  /// The host's number of its systemd; 0: it is not there yet.
  child() {
    const { pid } = this.outer;
    return Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
  }

  /// How a command ends there.
  run(...words) {
    return new Promise((resolve) => {
      const args = ['--target', String(this.init), '--mount', '--pid', '--net', '--ipc', '--uts', '--', ...words];
      execFile('nsenter', args, { env: kEnv, cwd: '/' }, (error, stdout, stderr) => resolve({ code: error?.code ?? 0, stdout, stderr }));
    });
  }

  /// What it says, when it must succeed.
  async must(...words) {
    const { code, stdout, stderr } = await this.run(...words);
    assert.equal(code, 0, `${words.join(' ')}: ${stdout}${stderr}`);
    return stdout.trimEnd();
  }

  /// With all that runs there, and its groups.
  async close() {
    if (this.outer === undefined) return;
    if (this.outer.exitCode === null && this.outer.signalCode === null) process.kill(this.child() || this.outer.pid, 'SIGKILL');
    await this.ended;
    await host.sweep(this.name);
  }
}
