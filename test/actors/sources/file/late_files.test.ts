/** A program writes on to a file that was rotated: its late bytes come once, with sequences that ascend. */
import { appendFile, open, readFile, rename, truncate, unlink, utimes, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { markAt } from "../../../../actors/sources/file/file_place.ts";
import { LateFiles, NAMELESS_QUIET_MAX_MS } from "../../../../actors/sources/file/late_files.ts";
import { SourceFile } from "../../../../actors/sources/file/source_file.ts";
import type { SourcePosition } from "../../../../actors/sources/source.ts";
import { eventually } from "../../../support/processes/running_node.ts";
import { type Given, Life, lines, numbered, texts, withFolder } from "./file_life.ts";

const isAscending = (given: readonly Given[]): boolean =>
  given.every(({ term, position }, index) => {
    const before = given[index - 1];
    return before === undefined || term > before.term || (term === before.term && position > before.position);
  });

/** A source that has read `line 0` and `line 1`, over a rotation, and `line 2` of the next file. */
async function rotated(path: string, first = lines(0, 2), lastLineAfterMs = 30): Promise<[Life, Given[]]> {
  await writeFile(path, first);
  const life = await Life.begin({ path, format: "lines", lastLineAfterMs });
  const given = first === "" ? (await life.next()).concat() : await life.take(2);
  await rename(path, `${path}.1`);
  await writeFile(path, lines(2, 3));
  given.push(...(await life.take(1)));
  return [life, given];
}

test("F4: lines written to a rotated file after the next was begun come once, and the next is read on where it was left", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path);
    for (const from of [3, 5]) {
      await appendFile(`${path}.1`, lines(from, from + 1));
      given.push(...(await life.take(1)));
      await appendFile(path, lines(from + 1, from + 2));
      given.push(...(await life.take(1)));
    }
    assert.equal(texts(given), numbered(0, 7));
    assert.ok(isAscending(given), JSON.stringify(given));
    assert.is(life.logged.filter((one) => one.includes("writes on to a file that was rotated")).length, 1);
    await life.end();
  }));

test("an empty file that is written to only after it was rotated is read too", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path, "");
    await appendFile(`${path}.1`, lines(3, 4));
    given.push(...(await life.take(1)));
    await appendFile(path, lines(4, 5));
    given.push(...(await life.take(1)));
    assert.equal(texts(given), numbered(2, 5));
    await life.end();
  }));

test("W1: late lines of a file come though it has no name any more, as after logrotate has compressed it", () =>
  withFolder(async (path) => {
    await writeFile(path, "");
    const writer = await open(path, "a");
    try {
      await writer.write(lines(0, 2));
      const life = await Life.begin({ path, format: "lines" });
      const given = await life.take(2);
      await rename(path, `${path}.1`);
      await writeFile(path, lines(2, 3));
      given.push(...(await life.take(1)));
      await writeFile(`${path}.1.gz`, gzipSync(await readFile(`${path}.1`)));
      await unlink(`${path}.1`);
      await writer.write(lines(3, 4));
      given.push(...(await life.take(1)));
      assert.equal(texts(given), numbered(0, 4));
      await life.end();
    } finally {
      await writer.close();
    }
  }));

test("the last line of a rotated file waits for the rest, which its writer still holds", () =>
  withFolder(async (path) => {
    await writeFile(path, `${lines(0, 1)}lin`);
    const life = await Life.begin({ path, format: "lines", lastLineAfterMs: "never" });
    const given = await life.take(1);
    const coming = life.take(2);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(2, 3));
    await life.looks(6);
    await appendFile(`${path}.1`, "e 1\n");
    given.push(...(await coming));
    assert.equal(texts(given), numbered(0, 3));
    await life.end();
  }));

test("if the rest of a rotated file's last line comes after the next file was begun, it is a record of its own, and is reported", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path, `${lines(0, 1)}line`);
    await appendFile(`${path}.1`, " 1\n");
    given.push(...(await life.take(1)));
    assert.equal(texts(given), ["line 0", "line", "line 2", " 1"]);
    assert.is(life.logged.filter((one) => one.includes("the rest of a line")).length, 1);
    await life.end();
  }));

test("a late last line waits for its rest, and is ended once no byte follows", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path, lines(0, 2), 400);
    await appendFile(`${path}.1`, "line");
    const coming = life.take(1);
    await life.looks(3);
    await appendFile(`${path}.1`, " 3");
    given.push(...(await coming));
    assert.equal(texts(given), numbered(0, 4));
    await life.end();
  }));

test("W4: after a restart late lines come from where the rotated file was left", () =>
  withFolder(async (path) => {
    const [first, given] = await rotated(path);
    await first.end();
    await rename(`${path}.1`, `${path}.2`);
    await appendFile(`${path}.2`, lines(3, 4));
    const life = await Life.begin({ path, format: "lines" }, first.resume);
    given.push(...(await life.take(1)));
    await appendFile(path, lines(4, 5));
    given.push(...(await life.take(1)));
    assert.equal(texts(given), numbered(0, 5));
    assert.ok(isAscending(given), JSON.stringify(given));
    await life.end();
  }));

test("W4: after a restart late lines of an empty file come once, also after further rotations", () =>
  withFolder(async (path) => {
    const [first] = await rotated(path, "");
    await first.end();
    await rename(`${path}.1`, `${path}.2`);
    await rename(path, `${path}.1`);
    await writeFile(path, "");
    await appendFile(`${path}.2`, lines(3, 4));
    const second = await Life.begin({ path, format: "lines" }, first.resume);
    const given = await second.take(1);
    await second.looks(3);
    await second.end();
    const third = await Life.begin({ path, format: "lines" }, second.resume);
    await appendFile(`${path}.2`, lines(4, 5));
    given.push(...(await third.take(1)));
    await appendFile(path, lines(5, 6));
    given.push(...(await third.take(1)));
    assert.equal(texts(given), numbered(3, 6));
    assert.ok(isAscending(given), JSON.stringify(given));
    await third.end();
  }));

test("W4: if the file system does not tell when files were made, late lines of an empty file come once or never", () =>
  withFolder(async (path) => {
    const [first] = await rotated(path, "");
    await first.end();
    const unborn = (place: Record<string, unknown>) => ({ ...place, bornMs: 0 });
    const { before = [], ...place } = first.resume as { before?: Record<string, unknown>[] };
    await appendFile(`${path}.1`, lines(3, 4));
    await appendFile(path, lines(4, 5));
    const life = await Life.begin({ path, format: "lines" }, { ...unborn(place), before: before.map(unborn) } as never);
    const given = await life.take(1);
    await rename(path, `${path}.2`);
    await writeFile(path, lines(5, 6));
    while (!texts(given).includes("line 5")) given.push(...(await life.next()));
    assert.equal(
      texts(given).filter((text) => text !== "line 3"),
      numbered(4, 6),
    );
    assert.ok(texts(given).filter((text) => text === "line 3").length <= 1);
    await life.end();
  }));

test("a file that was written to late and compressed between two lives is read on from where it was left", () =>
  withFolder(async (path) => {
    const padded = (from: number, to: number) => numbered(from, to).map((line) => `${line} ${".".repeat(600)}`);
    const text = (from: number, to: number) =>
      padded(from, to)
        .map((line) => `${line}\n`)
        .join("");
    const [first] = await rotated(path, text(0, 2));
    await first.end();
    await rename(path, `${path}.1.new`);
    await appendFile(`${path}.1`, text(3, 4));
    await writeFile(`${path}.2.gz`, gzipSync(await readFile(`${path}.1`)));
    await rename(`${path}.1.new`, `${path}.1`);
    await writeFile(path, lines(4, 5));
    const life = await Life.begin({ path, format: "lines" }, first.resume);
    assert.equal(texts(await life.take(2)).toSorted(), ["line 4", ...padded(3, 4)].toSorted());
    await life.end();
  }));

test("late lines come before those that the program wrote to the next file afterwards", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path);
    const coming = life.take(2);
    await life.looks(2);
    await appendFile(`${path}.1`, lines(3, 4));
    await appendFile(path, lines(4, 5));
    given.push(...(await coming));
    assert.equal(texts(given), numbered(0, 5));
    await life.end();
  }));

test("a file that is written to late, after the next was rotated too, hides no file between", () =>
  withFolder(async (path) => {
    await writeFile(path, lines(0, 1));
    const first = await Life.begin({ path, format: "lines" });
    await first.take(1);
    await first.end();
    await rename(path, `${path}.2`);
    await writeFile(`${path}.1`, lines(2, 3));
    await writeFile(path, lines(3, 4));
    const newest = Date.now() / 1_000 + 2;
    await appendFile(`${path}.2`, lines(1, 2));
    await utimes(`${path}.2`, newest, newest);
    const life = await Life.begin({ path, format: "lines" }, first.resume);
    assert.equal(texts(await life.take(3)), numbered(1, 4));
    await life.end();
  }));

test("a restart at any place stored while late lines are read gives the same records the same sequences", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path);
    const stored: (readonly [SourcePosition | undefined, number])[] = [];
    await appendFile(`${path}.1`, lines(3, 5));
    await appendFile(path, lines(5, 6));
    while (given.length < 6) {
      stored.push([life.resume, given.length]);
      given.push(...(await life.next()));
    }
    await life.end();
    for (const [resume, count] of stored) {
      const again = await Life.begin({ path, format: "lines" }, resume);
      const rest = await again.take(6 - count);
      assert.equal(texts([...rest]).toSorted(), texts(given.slice(count)).toSorted());
      assert.ok(isAscending([...given.slice(0, count), ...rest]), JSON.stringify([given, rest]));
      await again.end();
    }
  }));

test("a rotated file that is removed while its late lines are read is reported, and the next file is read on", () =>
  withFolder(async (path) => {
    const [first] = await rotated(path);
    await appendFile(`${path}.1`, lines(3, 4));
    while (first.resume?.backTo === undefined) await first.next();
    const { resume } = first;
    await first.end();
    await unlink(`${path}.1`);
    await appendFile(path, lines(4, 5));
    const life = await Life.begin({ path, format: "lines" }, resume);
    assert.equal(texts(await life.take(1)), ["line 4"]);
    assert.ok(life.logged.some((one) => one.startsWith("error: bytes of a file that is gone")));
    await life.end();
  }));

test("W2: a rotated file that is emptied or holds other bytes is looked at no more, and reported; the next file is read on", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path);
    await truncate(`${path}.1`, 0);
    await appendFile(`${path}.1`, "other bytes, more of them than before\n");
    const coming = life.take(1);
    await eventually(() => (life.logged.some((one) => one.includes("looked at no more")) ? true : undefined));
    await appendFile(path, lines(3, 4));
    given.push(...(await coming));
    assert.equal(texts(given), numbered(0, 4));
    await life.end();
  }));

test("a file that lies at the path again, as after a link was switched back, is read on where it was left", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path);
    await rename(path, `${path}.2`);
    await appendFile(`${path}.1`, lines(3, 4));
    await rename(`${path}.1`, path);
    given.push(...(await life.take(1)));
    await appendFile(path, lines(4, 5));
    given.push(...(await life.take(1)));
    assert.equal(texts(given), numbered(0, 5));
    await life.end();
  }));

test("W5: a file that is looked at, and a compressed copy with its late bytes, cannot be the next file; another file can", () =>
  withFolder(async (path) => {
    const { signal } = new AbortController();
    const opened = async (name: string, bytes: string | Buffer) => {
      await writeFile(name, bytes);
      return SourceFile.open(name, signal);
    };
    const file = await opened(path, lines(0, 1));
    const late = new LateFiles(() => assert.unreachable());
    await late.keep(file, { inode: file.inode, offset: 7, mark: await markAt(file, 7) });
    await appendFile(path, lines(1, 2));
    const copy = await opened(`${path}.1.gz`, gzipSync(lines(0, 2)));
    const next = await opened(`${path}.2.gz`, gzipSync(`${lines(0, 1)}other`));
    assert.equal(await Promise.all([file, copy, next].map((one) => late.covers(one))), [true, true, false]);
    for (const one of [file, copy, next]) await one.close();
  }));

test("W5: a compressed copy with late bytes, which appears as the next file is rotated too, is not read as a file of its own", () =>
  withFolder(async (path) => {
    const [life, given] = await rotated(path);
    await appendFile(`${path}.1`, lines(3, 4));
    await writeFile(`${path}.2.gz`, gzipSync(await readFile(`${path}.1`)));
    await unlink(`${path}.1`);
    await rename(path, `${path}.1`);
    await writeFile(path, lines(4, 5));
    given.push(...(await life.take(2)));
    await appendFile(path, lines(5, 6));
    given.push(...(await life.take(1)));
    assert.equal(texts(given).sort(), numbered(0, 6));
    await life.end();
  }));

test("W3: a file without a name is closed after five quiet minutes, one with a name is not", () =>
  withFolder(async (path) => {
    for (const isUnlinked of [true, false]) {
      await writeFile(path, lines(0, 1));
      const file = await SourceFile.open(path, new AbortController().signal);
      const told: string[] = [];
      const late = new LateFiles((_, reason) => told.push(reason));
      await late.keep(file, { inode: file.inode, offset: 7, mark: await markAt(file, 7) });
      if (isUnlinked) await unlink(path);
      assert.is(await late.grown(NAMELESS_QUIET_MAX_MS - 1), undefined);
      assert.is(await late.grown(1), undefined);
      assert.is(late.take(file.inode), isUnlinked ? undefined : file);
      assert.equal(told, isUnlinked ? ["it has no name and was quiet for 300 s"] : []);
      await file.close();
    }
  }));

test.run();
