/** Finds the files beside a followed file, and tells which of them rotation may have made. */
import type { Dirent } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { FileTroubleError, ifThere, overFile } from "./file_trouble.ts";
import { type FileStanding, standingOf } from "./source_file.ts";

export interface Sibling extends Pick<FileStanding, "inode" | "modifiedNs" | "bornMs"> {
  readonly path: string;
  /** Whether rotation may have given the name: a number or a date was added. */
  readonly isRotated: boolean;
  /** Whether the name begins with the whole name of the followed file. */
  readonly isNear: boolean;
}

/** Most names looked at in a folder and in those directly below. Names of rotation come first. */
const SIBLINGS_MAX = 10_000;
/** Most listings. A dangling link looks like a file that was just renamed, and would be looked for without end. */
const LOOKS = 3;

/** Regular files beside `path`, and beside its link's target, oldest first. The file at `path` is left out. */
export async function siblingsOf(path: string): Promise<readonly Sibling[]> {
  for (let look = 1; ; look += 1) {
    const { siblings, isMoved } = await lookBeside(path);
    if (!isMoved || look === LOOKS) return siblings;
  }
}

async function lookBeside(path: string): Promise<{ readonly siblings: readonly Sibling[]; readonly isMoved: boolean }> {
  const own = resolve(path);
  const target = (await orNull(overFile(path, realpath(path)))) ?? own;
  const candidates = await candidatesBeside(new Set([own, target]));
  const current = (await orNull(standingOf(path)))?.inode;
  const nearFirst = [...candidates].sort(([, left], [, right]) => rank(right) - rank(left));
  const found = new Map<string, Sibling>();
  const inodes = new Map<string, string>();
  let isMoved = false;
  for (const [at, about] of nearFirst.slice(0, SIBLINGS_MAX)) {
    const standing = await orNull(ifThere(standingOf(at)));
    isMoved ||= standing === undefined && at !== own;
    if (standing === undefined || standing === null) continue;
    inodes.set(at, standing.inode);
    if (standing.inode !== current && !found.has(standing.inode)) {
      found.set(standing.inode, { path: at, ...about, ...standing });
    }
  }
  isMoved ||= !(await isAsFound(new Set([own, target]), candidates, inodes));
  return { siblings: [...found.values()].sort(byAge), isMoved };
}

interface Candidate {
  readonly isRotated: boolean;
  readonly isNear: boolean;
}

async function candidatesBeside(bases: ReadonlySet<string>): Promise<ReadonlyMap<string, Candidate>> {
  const candidates = new Map<string, Candidate>();
  for (const base of bases) {
    const of = basename(base);
    for (const at of await pathsIn(dirname(base))) {
      const known = candidates.get(at);
      const isRotated = isRotatedName(basename(at), of) || known?.isRotated === true;
      const isNear = isRotated || basename(at).startsWith(of) || known?.isNear === true;
      candidates.set(at, { isRotated, isNear });
    }
  }
  return candidates;
}

/** Whether the names of rotation still lead to the same files. If not, the listing may have missed a renamed file. */
async function isAsFound(
  bases: ReadonlySet<string>,
  candidates: ReadonlyMap<string, Candidate>,
  inodes: ReadonlyMap<string, string>,
): Promise<boolean> {
  for (const [at, { isRotated }] of await candidatesBeside(bases)) {
    if (!isRotated) continue;
    if (!candidates.has(at)) return false;
    const inode = inodes.get(at);
    if (inode !== undefined && (await orNull(standingOf(at)))?.inode !== inode) return false;
  }
  return true;
}

const rank = ({ isRotated, isNear }: Candidate): number => Number(isRotated) + Number(isNear);

/** The paths in a folder and in the folders directly below it. */
async function pathsIn(folder: string): Promise<readonly string[]> {
  const entries = await entriesOf(folder);
  const paths: string[] = [];
  for (const entry of entries) {
    const at = join(folder, entry.name);
    if (!entry.isDirectory()) paths.push(at);
    else for (const below of await entriesOf(at)) if (!below.isDirectory()) paths.push(join(at, below.name));
    if (paths.length >= SIBLINGS_MAX * 2) break;
  }
  return paths;
}

const entriesOf = async (folder: string): Promise<readonly Dirent[]> =>
  (await orNull(overFile(folder, readdir(folder, { withFileTypes: true })))) ?? [];

/** Null if the work fails: a file that cannot be looked at cannot be read either. */
const orNull = <Value>(work: Promise<Value>): Promise<Value | null> =>
  work.catch((error: unknown) => {
    if (error instanceof FileTroubleError) return null;
    throw error;
  });

export const COMPRESSED = /\.(gz|gzip|zst|zstd)$/;
const ADDED = /^[._-]\d[\dTZ:._-]*$/;
/** The least number of digits in a date. Fewer digits between a name and its ending may number other files. */
const DATE_DIGITS = 6;

/** `app.log.1`, `app.log-20261201`, `app-20261201.log` or `app.1.log`, also with an ending of compression. */
export function isRotatedName(name: string, base: string): boolean {
  const plain = name.replace(COMPRESSED, "");
  if (plain === base) return plain !== name;
  if (plain.startsWith(base)) return ADDED.test(plain.slice(base.length));
  const ending = extname(base);
  const stem = base.slice(0, base.length - ending.length);
  if (ending === "" || !plain.startsWith(stem) || !plain.endsWith(ending)) return false;
  const added = plain.slice(stem.length, plain.length - ending.length);
  return ADDED.test(added) && (added.startsWith(".") || added.replace(/\D/g, "").length >= DATE_DIGITS);
}

/** Older files first. For equal times (one tick of the clock), a higher number or an earlier date is older. */
function byAge(left: Sibling, right: Sibling): number {
  if (left.modifiedNs !== right.modifiedNs) return left.modifiedNs < right.modifiedNs ? -1 : 1;
  const [leftNumber, rightNumber] = [numberOf(left.path), numberOf(right.path)];
  if (leftNumber !== undefined && rightNumber !== undefined) return rightNumber - leftNumber;
  return left.path < right.path ? -1 : 1;
}

const DATED = /^(\D*)(\d[\dTZ:._-]*)(\D*)$/;

/** Whether the names alone show that one file was rotated after the other, by a lower number or a later date. */
export function isNamedAfter(one: string, other: string): boolean {
  const [oneNumber, otherNumber] = [numberOf(one), numberOf(other)];
  if (oneNumber !== undefined && otherNumber !== undefined) return oneNumber < otherNumber;
  const [oneDate, otherDate] = [one, other].map((path) => DATED.exec(basename(path).replace(COMPRESSED, "")));
  if (oneNumber !== otherNumber || oneDate == null || otherDate == null) return false;
  const isAlike =
    oneDate[1] === otherDate[1] && oneDate[3] === otherDate[3] && oneDate[2]?.length === otherDate[2]?.length;
  return isAlike && (oneDate[2] ?? "") > (otherDate[2] ?? "");
}

function numberOf(path: string): number | undefined {
  const found = /\.(\d{1,4})(\.[a-z]+)*$/.exec(path);
  return found === null ? undefined : Number(found[1]);
}
