// Waiting for what gives no event of its own: asked again and again, each time after a whole turn of the event loop or
// a round trip to the daemon, up to a deadline that only a failure reaches.

import { setImmediate } from 'node:timers/promises';

const kDeadlineMs = 15_000;

export async function until(what, holds, deadlineMs = kDeadlineMs) {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const value = await holds();
    if (value) return value;
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await setImmediate();
  }
}
