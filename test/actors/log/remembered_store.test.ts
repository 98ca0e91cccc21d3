import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { rememberedStore, rememberStore, STORE_ID_FILE } from "../../../actors/log/remembered_store.ts";

test("a folder remembers the id that was stored last, and none before the first", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-remembered-"));
  assert.is(rememberedStore(folder), undefined);
  assert.is(rememberedStore(join(folder, "missing")), undefined);
  await rememberStore(folder, "one");
  await rememberStore(folder, "two");
  assert.is(rememberedStore(folder), "two");
  assert.equal(await readdir(folder), [STORE_ID_FILE], "the temporary file is gone");
  await writeFile(join(folder, "file"), "");
  assert.is(rememberedStore(join(folder, "file")), undefined);
  await rm(folder, { recursive: true });
});

test("the nodes of one machine that share a data folder can remember the same store at once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-remembered-"));
  await Promise.all(Array.from({ length: 20 }, () => rememberStore(folder, "shared")));
  assert.is(rememberedStore(folder), "shared");
  assert.equal(await readdir(folder), [STORE_ID_FILE]);
  await rm(folder, { recursive: true });
});

test("an id that cannot be read is an error, not a folder without an id", async () => {
  const folder = await mkdtemp(join(tmpdir(), "headrace-remembered-"));
  await mkdir(join(folder, STORE_ID_FILE));
  assert.throws(() => rememberedStore(folder), /must be readable: EISDIR/);
  await rm(folder, { recursive: true });
});

test.run();
