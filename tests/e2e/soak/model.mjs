// What must be true of the boxes and their runs, whatever became of the daemon that was asked.

import assert from 'node:assert/strict';

let runs = 0;
/// How the last part of a stream begins. Nothing that a run says has an e in it.
const kEvent = Buffer.from('event: ');

/// One command: what it will say and how it will end is known before it is asked for.
export class Run {
  constructor(dice, { endless = false, separate = false } = {}) {
    this.tag = `run-${++runs}`;
    this.separate = separate;
    this.endless = endless;
    this.code = dice.range(0, 99);
    this.id = null;
    this.begun = false; // an answer has said so
    this.timeout = null;
    this.cancelAsked = false;
    this.cancelled = false;
    this.seen = 0; // bytes of output that were read
    const bulk = !endless && dice.chance(0.12);
    const script = bulk ? this.sequence(dice.anySize(18)) : this.lines(dice);
    this.command = ['sh', '-c', `: ${this.tag}; ${script}; ${endless ? 'sleep 1000' : `exit ${this.code}`}`];
  }

  static tagOf(prompt) {
    return /: (run-\d+);/.exec(prompt)?.[1];
  }

  sequence(last) {
    this.output = Buffer.from(`${Array.from({ length: last }, (_, i) => i + 1).join('\n')}\n`);
    this.errors = Buffer.alloc(0);
    return `seq 1 ${last}`;
  }

  lines(dice) {
    const pause = dice.chance(0.4) ? 0 : dice.range(1, 80) / 1000;
    const count = pause === 0 ? dice.range(0, 4) : dice.range(1, 25);
    const [out, err] = [[], []];
    for (let i = 0; i < count; ++i) {
      out.push(`${this.tag} says ${i}\n`);
      if (i % 3 === 0) (this.separate ? err : out).push(`${this.tag} complains of ${i}\n`);
    }
    this.output = Buffer.from(out.join(''));
    this.errors = Buffer.from(err.join(''));
    const body = [`echo ${this.tag} says $i`, `[ $((i % 3)) = 1 -o $((i % 3)) = 2 ] || echo ${this.tag} complains of $i >&2`,
      'i=$((i + 1))', ...(pause > 0 ? [`sleep ${pause}`] : [])];
    return `i=0; while [ $i -lt ${count} ]; do ${body.join('; ')}; done`;
  }

  begins(id) {
    assert.match(id, /^\w+$/, this.tag);
    this.id = id;
    this.begun = true;
  }

  /// What was read at `offset`: nothing else than what it says there.
  checkPiece(piece, offset = 0) {
    assert.ok(this.output.subarray(offset, offset + piece.length).equals(piece),
      `${this.tag}: from byte ${offset} on it must say\n${this.output.subarray(offset)}\nnot\n${piece}`);
    this.seen = Math.max(this.seen, offset + piece.length);
  }

  /// The same of a stream: an event comes last, right after what was said, which may have stopped in the middle of a line
  /// (killed at its timeout, its box deleted). Whoever goes away may have read a part of the event.
  checkStream(bytes) {
    const whole = bytes.indexOf(kEvent);
    const part = [...kEvent.keys()].reverse().find((length) => bytes.subarray(bytes.length - length).equals(kEvent.subarray(0, length)));
    this.checkPiece(bytes.subarray(0, whole >= 0 ? whole : bytes.length - part));
  }

  /// How its client was told it ended: {exit_code}.
  checkExit(code) {
    const killed = code === 137 && (this.timeout !== null || this.cancelAsked);
    assert.ok(killed || (!this.endless && code === this.code), `${this.tag}: exit code ${code}`);
    return !killed;
  }

  /// Its record after its end, and all that is kept of what it said.
  checkEnd(record, output, errors) {
    const told = `${this.tag} (${this.command[2]}): ${JSON.stringify(record)}\n${output}`;
    assert.notEqual(record.status, 'running', told);
    if (!this.begun && record.exit_code === null) {
      assert.match(record.error_message, /before the command was started/, told);
      assert.equal(output.length, 0, told);
      return;
    }
    this.checkPiece(output);
    assert.ok(this.errors.subarray(0, errors.length).equals(errors), `${told}\n${errors}`);
    const killed = record.exit_code === 137;
    const timedOut = this.timeout !== null && record.error_message === `killed at its timeout of ${this.timeout} ms`;
    const cancelled = this.cancelled || (this.cancelAsked && record.status === 'cancelled');
    assert.ok(killed ? timedOut || cancelled : !this.endless && record.exit_code === this.code, told);
    const ended = record.exit_code === 0 && !timedOut ? 'completed' : 'failed';
    assert.equal(record.status, cancelled ? 'cancelled' : ended, told);
    if (killed) return;
    assert.equal(output.length, this.output.length, told);
    assert.equal(errors.length, this.errors.length, `${told}\n${errors}`);
  }
}

/// A box that is there.
export class Box {
  constructor(id) {
    this.id = id;
    this.path = `/v2/box/${id}`;
    this.marker = null; // {text, written}
    this.paused = undefined; // not known
    this.doomed = false; // somebody has asked for its end
    this.runs = new Map(); // by tag: those whose end is still to be looked at
    this.looked = new Set(); // tags of those whose end was right
    this.wakes = 0; // asked for, ever
    this.waking = 0; // under way
    this.pauses = 0;
    this.pausing = 0;
    this.waiting = 0; // operations that end only when a command goes on
  }

  /// Work that wakes it.
  async awake(work) {
    const { pauses, pausing } = this;
    ++this.wakes;
    ++this.waking;
    this.paused = undefined;
    try {
      const answer = await work();
      if (pausing === 0 && this.pauses === pauses) this.paused = false;
      return answer;
    } finally {
      --this.waking;
    }
  }

  async asleep(work) {
    const { wakes, waking } = this;
    ++this.pauses;
    ++this.pausing;
    this.paused = undefined;
    try {
      await work();
      if (waking === 0 && this.wakes === wakes) this.paused = true;
    } finally {
      --this.pausing;
    }
  }

  /// Work that ends only when a command goes on.
  async patient(work) {
    ++this.waiting;
    try {
      return await work();
    } finally {
      --this.waiting;
    }
  }

  add(run) {
    this.runs.set(run.tag, run);
    return run;
  }

  done(run) {
    this.runs.delete(run.tag);
    this.looked.add(run.tag);
  }

  /// After a kill: what was under way is no more.
  settle() {
    this.waking = this.pausing = this.waiting = 0;
  }
}

/// A name that one box at a time has.
export class Slot {
  constructor(number) {
    this.name = `slot-${number}`;
    this.state = 'free'; // making, there, ending: asked for and not answered
    this.box = null;
  }

  hold(id) {
    this.state = 'there';
    this.box = new Box(id);
    return this.box;
  }

  free() {
    this.state = 'free';
    this.box = null;
  }
}
