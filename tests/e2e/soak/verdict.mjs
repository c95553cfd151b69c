// After a kill: the boxes and runs of the next daemon against the model.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { Run } from './model.mjs';

export class Verdict {
  constructor(daemon, load, slots) {
    this.daemon = daemon;
    this.load = load;
    this.slots = slots;
  }

  /// All of it. What the kill had left open is known afterwards.
  async give(dice) {
    const boxes = await this.daemon.json('GET', '/v2/box');
    this.settle(boxes);
    for (const slot of this.slots) {
      if (slot.state !== 'there') continue;
      const data = boxes.find((one) => one.id === slot.box.id);
      this.checkStatus(slot.box, data.status);
      await this.checkRuns(slot.box);
      if (slot.box.paused !== true || dice.chance(0.5)) await this.checkFiles(slot, dice);
    }
    await this.checkHost(boxes);
  }

  /// A box that was acknowledged is there, one that is deleted is not; what was under way has happened, or has not.
  settle(boxes) {
    const left = new Map(boxes.map((data) => [data.name, data]));
    for (const slot of this.slots) {
      const data = left.get(slot.name);
      left.delete(slot.name);
      slot.box?.settle();
      if (slot.state === 'free') assert.equal(data, undefined, `${slot.name} was deleted, and is there`);
      if (slot.state === 'there') assert.equal(data?.id, slot.box.id, `${slot.name} was acknowledged, and is gone`);
      if (slot.state === 'ending' && data) {
        assert.equal(data.id, slot.box.id, `${slot.name} is another`);
        slot.state = 'there';
        slot.box.doomed = false;
      }
      if (slot.state === 'making' && data) slot.hold(data.id);
      if (slot.state !== 'there') slot.free();
    }
    assert.deepEqual([...left.keys()], [], 'boxes that nobody has made');
  }

  checkStatus(box, status) {
    assert.match(status, /^(idle|running|paused)$/, box.id);
    if (box.paused === true) assert.equal(status, 'paused', `${box.id} was paused`);
    if (box.paused === false) assert.notEqual(status, 'paused', `${box.id} was awake`);
    if (status === 'paused') box.paused = true;
  }

  async checkRuns(box) {
    const { runs } = await this.daemon.json('GET', `${box.path}/runs`);
    const listed = new Map();
    for (const record of runs) {
      const tag = Run.tagOf(record.prompt);
      if (tag === undefined) continue; // what was refused
      assert.ok(!listed.has(tag), `${tag} is there twice`);
      listed.set(tag, record);
    }
    const files = path.join(this.daemon.state, 'runs', box.id);
    const ids = new Set(runs.map((record) => record.id));
    for (const file of fs.existsSync(files) ? fs.readdirSync(files) : []) assert.ok(ids.has(path.parse(file).name), `${file}: of no run`);
    for (const tag of listed.keys()) assert.ok(box.runs.has(tag) || box.looked.has(tag), `${tag}: nobody has asked for it`);
    for (const run of box.runs.values()) {
      const record = listed.get(run.tag);
      if (run.begun) assert.ok(record, `${run.tag} was begun, and is not on record`);
      if (run.begun && run.id !== null) assert.equal(record.id, run.id, run.tag);
      if (!record) {
        box.runs.delete(run.tag); // the kill came first
        continue;
      }
      run.id = record.id;
      await this.checkRun(box, run, record.status);
    }
  }

  async checkRun(box, run, status) {
    const output = await this.load.said(box, run, '');
    assert.ok(output.length >= run.seen, `${run.tag}: ${run.seen} bytes of it were read, now ${output.length} are there`);
    run.checkPiece(output);
    if (status === 'running') return; // its end is for later
    const errors = run.separate ? await this.load.said(box, run, '?stream=errors') : Buffer.alloc(0);
    run.checkEnd(await this.daemon.json('GET', `${box.path}/runs/${run.id}`), output, errors);
    box.done(run);
  }

  async checkFiles(slot, dice) {
    const { box } = slot;
    if (!box.marker?.written) box.marker = null; // the kill came first: written again
    await this.load.file(slot, dice);
    const { exit_code, output } = await this.daemon.json('POST', `${box.path}/exec`, { command: ['cat', 'marker'] });
    assert.deepEqual([exit_code, output], [0, box.marker.text]);
  }

  /// Nothing of boxes is on the host but what the list tells of.
  async checkHost(boxes) {
    const { uppers, links, groups } = await this.daemon.census();
    assert.deepEqual(uppers, boxes.map((box) => box.id).sort());
    assert.equal(links, this.daemon.baseline.links + boxes.length);
    assert.deepEqual([...new Set(groups.join('\n').match(/b-\w+/g))].sort(), boxes.map((box) => `b-${box.id}`).sort());
  }
}
