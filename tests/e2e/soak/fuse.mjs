// When a daemon is killed: after so many operations, right after so many requests were sent, or after so many bytes of
// answers, and then some turns of the event loop later, which spread the kills over what the daemon does meanwhile.

import { setImmediate } from 'node:timers/promises';

export class Fuse {
  constructor(dice, daemon) {
    this.daemon = daemon;
    this.kind = dice.weighted({ operations: 1, requests: 2, bytes: 1 });
    this.left = this.kind === 'bytes' ? dice.anySize(17) : dice.anySize(6);
    this.turns = dice.chance(0.3) ? 0 : dice.anySize(9);
    this.plan = `${this.left} ${this.kind} and ${this.turns} turns`;
    this.blown = false;
    this.blowing = null;
  }

  note(kind, count = 1) {
    if (kind !== this.kind || this.blowing) return;
    this.left -= count;
    if (this.left <= 0) this.blowing = this.blow();
  }

  /// Not any more: what has failed is to be looked at.
  defuse() {
    this.blowing ??= Promise.resolve();
    this.defused = true;
  }

  async blow() {
    for (let i = 0; i < this.turns; ++i) await setImmediate();
    if (this.defused || !this.daemon.running) return; // by itself: the load says so
    this.blown = true;
    this.daemon.process.kill('SIGKILL');
  }
}

/// A fuse that does not burn, for when nothing is killed.
export const noFuse = { blown: false, note() {} };
