// The mixed load: lanes that each do one operation after the other until the daemon is killed under them.

import assert from 'node:assert/strict';
import { Cut, Gone } from './client.mjs';
import { Run } from './model.mjs';

const kMostRuns = 6; // of a box whose ends were not looked at yet
const kElders = 2; // boxes that stay to the end: some are to have more runs than the daemon remembers

export class Load {
  constructor(client, slots, say) {
    this.client = client;
    this.slots = slots;
    this.say = say;
    this.done = {};
  }

  /// Until the fuse is blown.
  async lane(dice) {
    while (!this.client.fuse.blown) {
      const [name, subject] = this.choose(dice);
      const step = `${name} ${subject.name ?? ''} ${subject.box?.id ?? ''}`;
      this.say(step);
      try {
        await this[name](subject, dice);
        this.say(`  done: ${step}`);
        this.done[name] = (this.done[name] ?? 0) + 1;
      } catch (error) {
        if (error instanceof Cut) return;
        if (!(error instanceof Gone)) throw new Error(`${step}: ${error.message}`, { cause: error });
      }
      this.client.fuse.note('operations');
    }
  }

  choose(dice) {
    const there = this.slots.filter((slot) => slot.state === 'there');
    const free = this.slots.filter((slot) => slot.state === 'free');
    const slot = there.length > 0 ? dice.pick(there) : null;
    if (!slot || (free.length > 0 && dice.chance(0.15 + 0.5 * (free.length / this.slots.length)))) {
      return free.length > 0 ? ['create', dice.pick(free)] : ['list', {}];
    }
    const { box } = slot;
    const looking = { follow: 4, peek: 1, cancel: 1.5 };
    const weights = {
      ...(box.runs.size < kMostRuns && { exec: 4, stream: 5, detach: 4, refused: 0.4 }),
      ...(box.runs.size > 0 && looking),
      ...(this.mortal(slot) && { remove: 1.2, removeAll: 0.15 }), pause: 1.5, nap: 1, resume: 0.7, file: 1, list: 0.5,
    };
    return [dice.weighted(weights), slot];
  }

  mortal(slot) {
    return this.slots.indexOf(slot) >= kElders;
  }

  async create(slot, dice) {
    slot.state = 'making';
    const data = await this.client.json(null, 'POST', '/v2/box', { name: slot.name, labels: ['soak'] }, 201);
    const box = slot.hold(data.id);
    box.paused = false;
    await this.file(slot, dice);
  }

  /// The marker: written once, read ever after.
  async file({ box }, dice) {
    if (box.marker === null) {
      box.marker = { text: `${box.id} ${'x'.repeat(dice.anySize(14))} end`, written: false };
      const body = { path: 'marker', content: box.marker.text };
      await box.awake(() => this.client.json(box, 'POST', `${box.path}/files/write`, body));
      box.marker.written = true;
    } else if (box.marker.written) {
      const { content } = await box.awake(() => this.client.json(box, 'GET', `${box.path}/files/read?path=marker`));
      assert.equal(content, box.marker.text);
    }
  }

  async remove(slot) {
    slot.state = 'ending';
    slot.box.doomed = true;
    await this.client.json(null, 'DELETE', slot.box.path);
    slot.free();
  }

  async removeAll(_, dice) {
    const slots = this.slots.filter((slot) => slot.state === 'there' && this.mortal(slot) && dice.chance(0.5));
    for (const slot of slots) {
      slot.state = 'ending';
      slot.box.doomed = true;
    }
    await this.client.json(null, 'DELETE', '/v2/box', { ids: slots.map((slot) => slot.box.id) });
    for (const slot of slots) slot.free();
  }

  begin(box, dice, options) {
    const run = box.add(new Run(dice, options));
    if (dice.chance(0.12)) run.timeout = dice.range(1, 400);
    run.body = { command: run.command, ...(run.timeout !== null && { timeout: run.timeout }) };
    return run;
  }

  async exec({ box }, dice) {
    const run = this.begin(box, dice, { separate: true });
    const answer = await box.patient(() => box.awake(() => this.client.json(box, 'POST', `${box.path}/exec`, run.body)));
    run.begun = true;
    run.checkPiece(Buffer.from(answer.output));
    if (run.checkExit(answer.exit_code)) {
      assert.equal(answer.output, run.output.toString());
      assert.equal(answer.error ?? '', run.errors.toString());
    }
  }

  async detach({ box }, dice) {
    const separate = dice.chance(0.5);
    const run = this.begin(box, dice, { separate, endless: dice.chance(0.15) });
    const target = `${box.path}/${separate ? 'exec' : 'exec-stream'}`;
    const answer = await box.awake(() => this.client.json(box, 'POST', target, { ...run.body, detach: true }, 202));
    run.begins(answer.run_id);
  }

  /// To its end, or until so many bytes have come.
  async stream({ box }, dice) {
    const endless = dice.chance(0.15);
    const run = this.begin(box, dice, { endless });
    const most = endless ? 0 : dice.chance(0.5) ? Infinity : dice.anySize(12);
    const response = await box.awake(() => this.client.open('POST', `${box.path}/exec-stream`, run.body));
    if (box.doomed && response.statusCode === 404) throw new Gone();
    assert.equal(response.statusCode, 200);
    if (!response.headers['x-run-id'] && box.doomed) throw new Gone();
    run.begins(response.headers['x-run-id']);
    const said = await box.patient(() => this.gather(run, response, most));
    if (said.length >= most || most === 0) return; // it has gone away
    const final = /event: (\w+)\ndata: (.*)\n\n$/.exec(said.toString());
    assert.ok(final, `${run.tag}: no final event: ${said}`);
    const data = JSON.parse(final[2]);
    if (final[1] === 'error' && box.doomed) throw new Gone();
    assert.equal(final[1], 'exit', `${run.tag}: ${final[2]}`);
    const output = said.subarray(0, said.length - final[0].length);
    run.checkPiece(output);
    if (run.checkExit(data.exit_code)) assert.equal(output.length, run.output.length, run.tag);
  }

  /// What was read before a kill counts: it must be there again after it.
  async gather(run, response, most) {
    const pieces = [];
    let length = 0;
    try {
      if (most === 0) response.destroy();
      else {
        await this.client.read(response, (piece) => {
          pieces.push(piece);
          length += piece.length;
          return length < most;
        });
      }
    } finally {
      run.checkStream(Buffer.concat(pieces));
    }
    return Buffer.concat(pieces);
  }

  async refused({ box }) {
    await box.awake(async () => {
      const answer = await this.client.ask('POST', `${box.path}/exec`, { command: ['no-such-program'], detach: true });
      if (box.doomed && answer.status === 404) throw new Gone();
      assert.equal(answer.status, 400, answer.text);
    });
  }

  async pause(slot) {
    const { box } = slot;
    if (box.waiting > 0) return this.nap(slot);
    return box.asleep(() => this.client.json(box, 'POST', `${box.path}/pause`, {}));
  }

  async resume({ box }) {
    await box.awake(() => this.client.json(box, 'POST', `${box.path}/resume`, {}));
  }

  async nap(slot) {
    await slot.box.asleep(() => this.client.json(slot.box, 'POST', `${slot.box.path}/pause`, {}));
    await this.resume(slot);
  }

  named(box) {
    return [...box.runs.values()].filter((run) => run.id !== null);
  }

  /// The oldest of its runs, to its end.
  async follow(slot) {
    const run = this.named(slot.box).find((one) => !one.endless || one.cancelled || one.timeout !== null);
    if (run) await slot.box.patient(() => this.look(slot, run));
  }

  async look(slot, run) {
    const { box } = slot;
    await this.resume(slot); // or it would never end
    const output = await this.said(box, run, '?follow=1');
    const errors = run.separate ? await this.said(box, run, '?stream=errors') : Buffer.alloc(0);
    const record = await this.client.json(box, 'GET', `${box.path}/runs/${run.id}`);
    run.checkEnd(record, output, errors);
    box.done(run);
  }

  async said(box, run, query) {
    const response = await this.client.open('GET', `${box.path}/runs/${run.id}/output${query}`);
    const pieces = [];
    await this.client.read(response, (piece) => pieces.push(piece));
    const bytes = Buffer.concat(pieces);
    if (box.doomed) throw new Gone(); // at its end all of it goes
    assert.equal(response.statusCode, 200, `${run.tag}: ${bytes}`);
    return bytes;
  }

  /// What it has said so far: at least as much as was read of it before.
  async peek({ box }) {
    const run = this.named(box)[0];
    if (!run) return;
    const { seen } = run;
    const output = await this.said(box, run, '');
    assert.ok(output.length >= seen, `${run.tag}: ${seen} bytes were read of it once, now ${output.length} are there`);
    run.checkPiece(output);
  }

  async cancel({ box }, dice) {
    const runs = this.named(box).filter((one) => !one.cancelled);
    if (runs.length === 0) return;
    const run = runs.find((one) => one.endless) ?? dice.pick(runs);
    await this.end(box, run);
  }

  async end(box, run) {
    run.cancelAsked = true;
    const answer = await box.patient(() => box.awake(() => this.client.ask('POST', `${box.path}/runs/${run.id}/cancel`, {})));
    if (box.doomed) throw new Gone();
    if (answer.status === 200) {
      run.cancelled = true;
      return;
    }
    box.paused = undefined; // what has ended is left alone, and its box too
    assert.match(answer.text, run.endless && run.timeout === null ? /has ended \(cancelled\)/ : /has ended/);
  }

  async list() {
    const boxes = await this.client.json(null, 'GET', '/v2/box');
    for (const { name } of boxes) assert.ok(this.slots.some((slot) => slot.name === name), name);
  }
}
