import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readManifest, verifyFile, writeManifest } from "../../../../scripts/console/records/backup_format.ts";

/** A manifest of format 1 as it was written: every later release must restore from it. */
const MANIFEST_1 = `{
  "formatVersion": 1,
  "id": "b-1",
  "createdAt": "2026-11-25T12:00:00.000Z",
  "node": "n1",
  "streams": {
    "orders": {
      "partitions": 2,
      "key": "/id",
      "schemaVersions": [
        1
      ]
    }
  },
  "files": [
    {
      "path": "orders/0/records.ndjson",
      "stream": "orders",
      "partition": 0,
      "channel": "records",
      "firstOffset": 0,
      "endOffset": 3,
      "records": 3,
      "sizeBytes": 12,
      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
  ]
}
`;

async function inFolder(run: (folder: string, manifest: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "headrace-backup-"));
  try {
    await run(folder, join(folder, "manifest.json"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a backup is written and read in format 1", () =>
  inFolder(async (folder, path) => {
    await writeFile(path, MANIFEST_1);
    const { formatVersion, ...rest } = await readManifest(folder);
    assert.is(formatVersion, 1);
    assert.equal(rest, Object.fromEntries(Object.entries(JSON.parse(MANIFEST_1)).slice(1)));
    await writeManifest(folder, rest);
    assert.is(await readFile(path, "utf8"), MANIFEST_1);
    const [file] = rest.files;
    assert.ok(file);
    await writeFile(join(folder, "part"), "");
    await verifyFile(folder, { ...file, path: "part" });
  }));

test("a backup of a newer format is refused", () =>
  inFolder(async (folder, path) => {
    await writeFile(path, MANIFEST_1.replace('"formatVersion": 1', '"formatVersion": 2'));
    const message = await readManifest(folder).then(
      () => "it was read",
      (error: Error) => error.message,
    );
    assert.match(message, /format version must be 1: current value is 2/);
  }));

test.run();
