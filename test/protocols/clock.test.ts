import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { backoffMs, lengthenedMs, pause, shortenedMs } from "../../protocols/clock.ts";

test("a delay doubles with each try, from the first to the longest, however many tries there are", () => {
  assert.equal(
    [0, 1, 2, 3, 4, 5, 1_000].map((tries) => backoffMs(tries, 100, 2_000)),
    [100, 200, 400, 800, 1_600, 2_000, 2_000],
  );
});

test("jitter takes off, or adds, at most one half of a delay", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 1e6, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (delay, random) => {
        const [shorter, longer] = [shortenedMs(delay, random), lengthenedMs(delay, random)];
        assert.ok(shorter >= delay / 2 && shorter <= delay);
        assert.ok(longer >= delay && longer <= delay * 1.5);
      },
    ),
  );
});

test("a pause ends at its time, or at once where its signal is or becomes aborted", async () => {
  await pause(1);
  await pause(1, new AbortController().signal);
  const hour = 3_600_000;
  await pause(hour, AbortSignal.abort());
  const stop = new AbortController();
  const paused = pause(hour, stop.signal);
  stop.abort();
  await paused;
});

test.run();
