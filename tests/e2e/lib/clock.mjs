// Time that a test moves on: a hutchd with this environment has clocks that run ahead of the host's (../clock.cpp).

import fs from 'node:fs';
import { after } from 'node:test';
import { skip } from './suite.mjs';

/// One that was just launched has looked at what it has to do, before it is another time. Time passes for one that dies of it, too.
async function begun(daemon) {
  if (daemon.running) await daemon.ask('GET', '/v2').catch(() => {});
}

export class Clock {
  constructor() {
    if (!fs.existsSync(process.env.TEST_CLOCK ?? '')) skip('needs TEST_CLOCK, the library to preload');
    this.file = `/var/tmp/hutch-clock-${process.pid}`;
    this.ahead = 0;
    this.set = 0; // what the time of day is ahead besides
    this.write();
    after(() => {
      for (const file of [this.file, `${this.file}.set`]) fs.rmSync(file, { force: true });
    });
    this.env = { LD_PRELOAD: process.env.TEST_CLOCK, HUTCH_CLOCK: this.file };
  }

  write() {
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64LE(BigInt(this.ahead));
    bytes.writeBigInt64LE(BigInt(this.set), 8);
    const file = fs.openSync(this.file, fs.existsSync(this.file) ? 'r+' : 'w+'); // the same file: the daemon has it mapped
    fs.writeSync(file, bytes, 0, bytes.length, 0);
    fs.closeSync(file);
  }

  /// Seconds since 1970, for the daemon.
  now() {
    return Math.floor(Date.now() / 1000) + this.ahead + this.set;
  }

  /// Somebody sets the time of day, by so many seconds; the time that has passed is the same.
  async setBy(seconds, daemon) {
    await begun(daemon);
    this.set += seconds;
    this.write();
    if (!daemon.running) return;
    fs.writeFileSync(`${this.file}.set`, 'x');
    for (let turn = 0; turn < 2; ++turn) await daemon.ask('GET', '/v2');
  }

  /// So many seconds pass, and the daemon, if it runs, has looked at its clock. What is due then has begun.
  async pass(seconds, daemon) {
    await begun(daemon);
    this.ahead += seconds;
    this.write();
    if (!daemon.running) return;
    for (let turn = 0; turn < 2; ++turn) await daemon.ask('GET', '/v2'); // the turn after this one's is over too
  }
}
