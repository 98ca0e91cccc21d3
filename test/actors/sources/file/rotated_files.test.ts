import { test } from "uvu";
import * as assert from "uvu/assert";
import { isNamedAfter, isRotatedName } from "../../../../actors/sources/file/rotated_files.ts";

test("names that rotation gives are known, with the date or number after the ending or before it, compressed or not", () => {
  const rotated =
    "app.log.1 app.log.12.gz app.log-20261201 app.log-2026-12-01T10:00.zst app.log.20261201_10 app-20261201.log app.1.log app.2026-12-01.3.log.gz app_20261201_1200.log app.log.gz";
  for (const name of rotated.split(" ")) assert.ok(isRotatedName(name, "app.log"), name);
});

test("other files of a folder are not taken for rotated ones", () => {
  const others =
    "app.log app.log.bak app.log.1.xz app.log.old app-errors.log app-2.log app2.log application.log other.log.1 app.log.swp app.txt";
  for (const name of others.split(" ")) assert.not.ok(isRotatedName(name, "app.log"), name);
});

test("of two names that rotation gave, the lower number or the later date belongs to the later file", () => {
  assert.ok(isNamedAfter("/var/app.log.1.gz", "/var/app.log.2"));
  assert.not(isNamedAfter("/var/app.log.2", "/var/app.log.1.gz"));
  assert.ok(isNamedAfter("/var/app-20261202.log.gz", "/var/app-20261201.log"));
  assert.ok(isNamedAfter("/var/old/app.log-20261202", "/var/app.log-20261201"));
  assert.not(isNamedAfter("/var/app-20261201.log", "/var/app-20261201.log.gz"));
  for (const other of ["app.log.1", "app-2026120213.log", "app.log-20261202"])
    assert.not(isNamedAfter("/var/app-20261203.log", `/var/${other}`));
});

test.run();
