import { execFileSync } from "node:child_process";
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openInside, pathInside } from "../../../scripts/console/foreign_path.ts";
import { headrace } from "../../support/processes/headrace_command.ts";

const root = await mkdtemp(join(tmpdir(), "headrace-paths-"));
const folder = join(root, "backup");
await mkdir(folder);
await writeFile(join(root, "outside"), "not of the backup");
const failure = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => "no error",
    (error: Error) => `${error.name}: ${error.message}`,
  );

test("a name stays in the folder, however it is spelled", () => {
  assert.is(pathInside(folder, "orders-0.records.ndjson"), join(folder, "orders-0.records.ndjson"));
  for (const name of [
    "../outside",
    "/etc/passwd",
    "a/../../b",
    "a//b",
    "a/",
    "a\\b",
    "..",
    ".",
    "",
    ".hidden",
    "a\0b",
    "C:x",
    "-x",
    7,
    undefined,
    null,
  ])
    assert.throws(() => pathInside(folder, name), /letters, digits/, String(name));
});

test("links, pipes and folders are refused without waiting", async () => {
  await symlink("../outside", join(folder, "link"));
  await mkdir(join(folder, "inner"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  await writeFile(join(folder, "plain"), "x");
  await writeFile(join(folder, "inner", "deep"), "x");
  await symlink("..", join(folder, "out"));
  await link(join(folder, "plain"), join(folder, "second-name"));
  for (const name of ["link", "inner", "pipe", "out/outside"])
    assert.match(await failure(openInside(folder, name)), /^DataError: .* must be a plain file/, name);
  for (const name of ["plain", "second-name", "inner/deep"]) await (await openInside(folder, name)).close();
  assert.match(await failure(openInside(folder, "absent")), /^FileError/);
});

test("restore reads no file outside the backup's folder, whatever its manifest names", async () => {
  const manifest = (path: unknown) => ({
    ...{ formatVersion: 1, id: "x", createdAt: "y", node: "z", streams: { orders: { partitions: 1 } } },
    files: [{ path, stream: "orders", partition: 0, channel: "records", records: 1, sha256: "0" }],
  });
  await symlink("../outside", join(folder, "orders-0.records.ndjson"));
  for (const path of ["../outside", join(root, "outside"), "orders-0.records.ndjson", 7]) {
    await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest(path)));
    const { code, stderr } = await headrace(["restore", folder, "--verify-only"]);
    assert.is(code, 65, `${path}: ${stderr}`);
    assert.not.match(stderr, /must have the checksum|bug/, String(path));
  }
  await rm(join(folder, "manifest.json"));
  await writeFile(join(root, "manifest"), JSON.stringify(manifest("plain")));
  await symlink("../manifest", join(folder, "manifest.json"));
  assert.match((await headrace(["restore", folder, "--verify-only"])).stderr, /must be a plain file: it is a link/);
});

test.after(() => rm(root, { recursive: true, force: true }));

test.run();
