import { test } from "uvu";
import * as assert from "uvu/assert";
import type { StoreState } from "../../../../actors/log/log.ts";
import { StoreHealth } from "../../../../actors/log/rules/store_health.ts";

const READY: StoreState = { kind: "ready" };
const away = (code: "STORE_UNAVAILABLE" | "TIMEOUT", reason: string): StoreState => ({
  kind: "unavailable",
  code,
  reason,
});

test("listeners hear of a change of kind or code, and not of a new reason alone", () => {
  const health = new StoreHealth(READY);
  const heard: StoreState[] = [];
  health.onChange((state) => heard.push(state));
  const states = [away("TIMEOUT", "a"), away("TIMEOUT", "b"), away("STORE_UNAVAILABLE", "c"), READY, READY];
  for (const state of states) health.change(state);
  assert.equal(heard, [away("TIMEOUT", "a"), away("STORE_UNAVAILABLE", "c"), READY]);
  health.change(away("TIMEOUT", "d"));
  health.change(away("TIMEOUT", "e"));
  assert.equal(health.state, away("TIMEOUT", "e"), "the newest reason is kept");
});

test("an unavailable store is tried again until it is ready, and not after the log is closed", async () => {
  let attempts = 0;
  let onAttempt: () => void = () => undefined;
  const attempted = () => new Promise<void>((resolve) => (onAttempt = resolve));
  const keepAlive = setInterval(() => undefined, 1_000); // the attempts alone do not keep a process
  const health = new StoreHealth(READY, {
    everyMs: 1,
    attempt: () => {
      attempts += 1;
      onAttempt();
    },
  });
  health.change(away("TIMEOUT", "a"));
  await attempted();
  await attempted();
  health.change(READY);
  const before = attempts;
  for (let waits = 0; waits < 5; waits += 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(attempts, before, "a ready store is not tried");
  health.close();
  health.change(away("TIMEOUT", "b"));
  for (let waits = 0; waits < 5; waits += 1) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.is(attempts, before, "a closed log tries no more");
  clearInterval(keepAlive);
});

test.run();
