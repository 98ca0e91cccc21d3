/** Editors, `sed -i` and rsync put another file in the place of the followed one. */
import { execFileSync } from "node:child_process";
import { appendFile, readFile, rename, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { isBackupName } from "../../../../actors/sources/file/replaced_file.ts";
import { Life, lines, numbered, texts, withFolder } from "./file_life.ts";

const isToldAsReadAgain = ({ logged }: Life): boolean => logged.some((one) => one.includes("it is read again"));

for (const [name, backup, lineCount] of [
  ["an editor's backup", "~", 3],
  ["sed -i.bak", ".bak", 3],
  ["a name that says nothing, where 1,024 bytes were read", ".of-anna", 200],
] as const) {
  for (const isRunning of [true, false]) {
    const when = isRunning ? "while it is followed" : "between two lives";
    test(`a file that is kept as ${name} ${when} is read on in the one in its place, which begins with all its bytes`, () =>
      withFolder(async (path) => {
        await writeFile(path, lines(0, lineCount));
        const first = await Life.begin({ path, format: "lines" });
        await first.take(lineCount);
        if (!isRunning) await first.end();
        await rename(path, `${path}${backup}`);
        await writeFile(`${path}.new`, lines(0, lineCount + 1));
        await rename(`${path}.new`, path);
        const life = isRunning ? first : await Life.begin({ path, format: "lines" }, first.resume);
        assert.equal(texts(await life.take(1)), numbered(lineCount, lineCount + 1));
        await appendFile(path, lines(lineCount + 1, lineCount + 2));
        assert.equal(texts(await life.take(1)), numbered(lineCount + 1, lineCount + 2));
        assert.is(life.resume?.generation, 1);
        assert.not(isToldAsReadAgain(life));
        await life.end();
      }));
  }
}

test("a file that sed -i.bak changes after its beginning is read again from its beginning, and this is reported once", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 20));
    const life = await Life.begin({ path, format: "lines" });
    await life.take(20);
    execFileSync("sed", ["-i.bak", "s/line 19/LINE 19/", path]);
    assert.equal(texts(await life.take(20)), [...numbered(0, 19), "LINE 19"]);
    assert.is(life.logged.filter((one) => one.includes("it is read again from its beginning")).length, 1);
    await life.end();
  }));

test("a file that sed -i changes without a backup is read again, and this is reported", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 20));
    const life = await Life.begin({ path, format: "lines" });
    await life.take(20);
    execFileSync("sed", ["-i", "s/line 19/LINE 19/", path]);
    assert.equal(texts(await life.take(20)), [...numbered(0, 19), "LINE 19"]);
    assert.ok(isToldAsReadAgain(life));
    await life.end();
  }));

test("half a line that an editor completes is one line", () =>
  withFolder(async (path) => {
    await writeFile(path, `${lines(0, 1)}li`);
    const life = await Life.begin({ path, format: "lines", lastLineAfterMs: "never" });
    await life.take(1);
    const coming = life.take(1);
    await writeFile(`${path}.new`, lines(0, 2));
    await rename(path, `${path}~`);
    await rename(`${path}.new`, path);
    assert.equal(texts(await coming), ["line 1"]);
    await life.looks(3); // the half in the backup is no late line
    await appendFile(path, lines(2, 3));
    assert.equal(texts(await life.take(1)), ["line 2"]);
    await life.end();
  }));

test("lines that a program writes to the backup of a file come late", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 2));
    const life = await Life.begin({ path, format: "lines" });
    await life.take(2);
    await writeFile(`${path}.new`, await readFile(path));
    await rename(path, `${path}~`);
    await rename(`${path}.new`, path);
    await appendFile(path, lines(2, 3));
    assert.equal(texts(await life.take(1)), ["line 2"]);
    await appendFile(`${path}~`, lines(3, 4));
    assert.equal(texts(await life.take(1)), ["line 3"]);
    await appendFile(path, lines(4, 5));
    assert.equal(texts(await life.take(1)), ["line 4"]);
    await life.end();
  }));

test("a rotated file is no backup, though the next begins with the same columns: both are read from their beginnings", () =>
  withFolder(async (path) => {
    await writeFile(path, "line,n\na,1\n");
    const life = await Life.begin({ path, format: "csv" });
    await life.take(1);
    await rename(path, `${path}.1`);
    await writeFile(path, "line,n\na,1\nb,2\n");
    assert.equal(texts(await life.take(2)), ["a", "b"]);
    assert.not(isToldAsReadAgain(life));
    await life.end();
  }));

test("the names that editors and sed give are backups, and those of rotation are not", () => {
  for (const name of ["a.log~", "a.log.~2~", "a.log.bak", "a.log.BAK", "a.log.orig"]) {
    assert.ok(isBackupName(name, "a.log"), name);
  }
  for (const name of ["a.log", "a.log.1", "a.log.old", "a.log.gz", "b.log~"]) {
    assert.not(isBackupName(name, "a.log"), name);
  }
});

test.run();
