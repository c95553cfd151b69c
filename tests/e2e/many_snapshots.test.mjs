// Thousands of snapshots: the daemon starts with them, lists, books and deletes them, and nobody waits for that.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { Clock } from './lib/clock.mjs';
import { leakless, needs, suite } from './lib/suite.mjs';
import { until } from './lib/until.mjs';

needs('python3');
const kMany = 5000;
const clock = new Clock();
const daemon = suite({ env: clock.env });

const kProgram = 'import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); rows = db.execute(sys.argv[2]).fetchall(); db.commit(); print(rows[0][0] if rows else "")';
const sql = (text) => execFileSync('python3', ['-c', kProgram, `${daemon.state}/hutch.db`, text], { encoding: 'utf8' }).trim();

leakless(daemon, 'a start, a list, a full hour and a deletion of thousands', async () => {
  const box = await daemon.box();
  await box.sh('echo kept > file');
  const { id } = await daemon.json('POST', `${box.path}/snapshots`, { name: 'the first' }, 201);
  await box.remove();
  await daemon.end('SIGTERM');
  assert.equal(sql('SELECT env FROM snapshots'), '', 'sealed with its place, it cannot be copied');
  sql(`INSERT INTO snapshots SELECT printf('s%013d', n), printf('copy %d', n), box, box_name, image, layers, size, env, bytes, booked_ms,
    created_ms + n, measured, customer, nesting FROM snapshots, (WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${kMany}) SELECT n FROM c)`);
  await daemon.launch();

  const { snapshots } = await daemon.json('GET', '/v2/box/snapshots');
  assert.equal(snapshots.length, kMany + 1);
  assert.deepEqual([snapshots[0].id, snapshots.at(-1).name], [id, `copy ${kMany}`], 'in order');
  assert.equal((await daemon.json('GET', '/v2/df')).holders.filter(({ kind }) => kind === 'snapshot').length, kMany + 1);

  const hour = Math.ceil(clock.now() / 3600) * 3600;
  await clock.pass(hour - clock.now(), daemon);
  await until('all of them are booked', () => sql(`SELECT min(booked_ms) >= ${hour * 1000} FROM snapshots`) === '1');
  const { text } = await daemon.ask('GET', '/metrics');
  assert.ok(Number(/^hutch_loop_longest_turn_seconds (.*)$/m.exec(text)[1]) < 0.1, text);

  assert.deepEqual(await daemon.json('DELETE', '/v2/box/snapshots', {}), { deleted: kMany + 1 });
  assert.equal(sql('SELECT count(*) FROM snapshots'), '0');
});
