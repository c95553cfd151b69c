// Answers in frames: one byte of kind, four of length, the piece.

import assert from 'node:assert/strict';

/// What is in the frames of an answer: both streams, and the end.
export function unframed(bytes) {
  const told = { 0: '', 1: '', 2: '' };
  for (let at = 0; at < bytes.length;) {
    const [kind, length] = [bytes[at], bytes.readUInt32BE(at + 1)];
    const piece = bytes.subarray(at + 5, at + 5 + length).toString();
    at += 5 + length;
    if (kind !== 3) {
      told[kind] += piece;
      continue;
    }
    assert.equal(at, bytes.length, 'the end is last');
    return { output: told[1], errors: told[2], end: JSON.parse(piece) };
  }
  assert.fail('there is no end');
}
