import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { markAt } from "../../../../actors/sources/file/file_place.ts";
import { SourceFile } from "../../../../actors/sources/file/source_file.ts";
import { FileText, type TextOptions } from "../../../../actors/sources/records/file_text.ts";

const OPTIONS: TextOptions = { format: "lines", values: "text", recordBytesMax: 1_000, warn: () => undefined };

async function withFile(text: string, work: (file: SourceFile) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-text-"));
  const path = join(folder, "app.log");
  await writeFile(path, text);
  const file = await SourceFile.open(path, new AbortController().signal);
  try {
    await work(file);
  } finally {
    await file.close();
    await rm(folder, { recursive: true });
  }
}

test("a text is opened at a place if its file holds the bytes before that place", () =>
  withFile("one\ntwo\n", async (file) => {
    const text = await FileText.open(file, OPTIONS, { offset: 4, mark: await markAt(file, 4) });
    const records = await text?.next();
    assert.equal(Array.isArray(records) && records.map(({ position }) => position), [4]);
  }));

for (const [name, rewrite] of [
  ["emptied", (path: string) => truncate(path, 0)],
  ["written anew", (path: string) => writeFile(path, "six\nten\n")],
] as const) {
  test(`T3: a file that was ${name} after it was found is not opened at a place in its former bytes`, () =>
    withFile("one\ntwo\n", async (file) => {
      const mark = await markAt(file, 4);
      await rewrite(file.path);
      assert.is(await FileText.open(file, OPTIONS, { offset: 4, mark }), undefined);
    }));
}

test("a file that is emptied after its last line was found is not opened at that line", () =>
  withFile("one\ntwo", async (file) => {
    await truncate(file.path, 0);
    assert.is(await FileText.open(file, OPTIONS, { offset: 4 }), undefined);
  }));

test.run();
