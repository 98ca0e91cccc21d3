import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { LmdbStore } from "../../../../actors/log/embedded/lmdb_store.ts";
import { rejection } from "../../../conformance/log/log_suite.ts";

test("D1: a commit with a write that LMDB cannot make writes nothing, and the store stays ready", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-store-"));
  const store = await LmdbStore.open(folder);
  try {
    const value = Uint8Array.of(1);
    const { committed } = store.commit(
      new Map([
        ["first", value],
        ["x".repeat(2_000), value],
        ["last", value],
      ]),
    );
    assert.match((await rejection(committed)).message, /may have at most 1978 bytes: current value is 2000/);
    await store.commit(new Map([["x".repeat(1_978), value]])).committed;
    assert.equal([store.get("first"), store.get("last")], [undefined, undefined]);
    assert.equal(store.state(), { kind: "ready" });
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
});

test.run();
