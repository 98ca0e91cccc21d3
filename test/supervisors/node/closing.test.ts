import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Closer, closeAll } from "../../../supervisors/node/closing.ts";

const TIMEOUT_MS = 10_000;

test("parts end in the reverse order of their start, each after the one before it", async () => {
  const seen: string[] = [];
  const part = (what: string): Closer => ({
    what,
    close: async () => {
      seen.push(`${what} begins`);
      await Promise.resolve();
      seen.push(`${what} ends`);
    },
  });
  assert.equal(await closeAll([part("log"), part("http")], TIMEOUT_MS), []);
  assert.equal(seen, ["http begins", "http ends", "log begins", "log ends"]);
});

test("a part that fails is named with its reason, and the parts before it end all the same", async () => {
  const closed: string[] = [];
  const left = await closeAll(
    [
      { what: "log", close: async () => closed.push("log") },
      { what: "sources", close: () => Promise.reject(new Error("the file is gone")) },
    ],
    TIMEOUT_MS,
  );
  assert.equal(left, ["sources: the file is gone"]);
  assert.equal(closed, ["log"]);
});

test("a part that does not end in time is named, and the parts before it are still told to end", async () => {
  const closed: string[] = [];
  const left = await closeAll(
    [
      { what: "log", close: async () => closed.push("log") },
      { what: "deliveries", close: () => new Promise(() => undefined) },
    ],
    0,
  );
  assert.equal(left, ["deliveries: still under way"]);
  assert.equal(closed, ["log"]);
});

test.run();
