/** The doctor's checks of this machine: programs, the data folder, the disk, and the limits of a process. */
import { execFileSync } from "node:child_process";
import { constants } from "node:fs";
import { access, readFile, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type DriverName, loadDriver } from "../../../deps.ts";
import { reasonOf } from "../../../protocols/errors.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import { readEnvironment } from "../../../supervisors/configuration/environment.ts";
import { sizeText } from "../output.ts";

export interface Check {
  readonly name: string;
  readonly verdict: "ok" | "warn" | "fail";
  readonly detail: string;
  /** How to mend the problem. */
  readonly advice?: string;
}

const NODE_MAJOR_MIN = 20;
/** Least free space: with less, a busy node fills the disk within the hour. */
const FREE_BYTES_MIN = 1_073_741_824;
/** Open files for segments and the store, beside one for each connection. */
const OPEN_FILES_MARGIN = 256;

export async function checkMachine(configuration: Configuration | undefined): Promise<readonly Check[]> {
  const usesRedis = configuration?.log.type === "redis";
  return [
    checkRuntime(),
    await checkDriver("lmdb", configuration?.log.type === "lmdb", "the embedded log"),
    await checkDriver("redis", usesRedis, "the log in Redis"),
    checkProgram("redis-server", ["--version"], "needed for a cluster on this machine and for the tests"),
    checkProgram("chromium", ["--version"], "needed for the tests of the page only"),
    ...(configuration === undefined ? [] : await checkDataFolder(configuration)),
    ...(await checkOpenFiles(configuration?.limits.connectionsMax ?? 0)),
  ];
}

function checkRuntime(): Check {
  const name = "runtime";
  const detail = `Node ${process.versions.node}`;
  if (Number(process.versions.node.split(".")[0]) >= NODE_MAJOR_MIN) return { name, verdict: "ok", detail };
  return { name, verdict: "fail", detail, advice: `install Node ${NODE_MAJOR_MIN} or newer` };
}

async function checkDriver(driver: DriverName, isNeeded: boolean, purpose: string): Promise<Check> {
  const name = `package ${driver}`;
  try {
    await loadDriver(driver);
    return { name, verdict: "ok", detail: "can be loaded" };
  } catch (error) {
    const detail = `cannot be loaded (${purpose}): ${error instanceof Error ? error.message.split("\n")[0] : error}`;
    return { name, verdict: isNeeded ? "fail" : "warn", detail, advice: "run npm ci again on this machine" };
  }
}

function checkProgram(program: string, args: readonly string[], purpose: string): Check {
  try {
    const output = execFileSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 10_000,
    });
    return { name: program, verdict: "ok", detail: output.trim().split("\n")[0] ?? "" };
  } catch (error) {
    const isAbsent = (error as NodeJS.ErrnoException).code === "ENOENT";
    const detail = `${isAbsent ? "not installed" : "does not run"}: ${purpose}`;
    return { name: program, verdict: "warn", detail, advice: `apt-get install ${program}` };
  }
}

async function checkDataFolder(configuration: Configuration): Promise<readonly Check[]> {
  const folder = resolve(configuration.folder, readEnvironment().data ?? configuration.node.data);
  const name = "data folder";
  const existing = await nearestExisting(folder);
  try {
    await access(existing, constants.W_OK);
  } catch (error) {
    const detail = `${folder} cannot be written: ${reasonOf(error)}`;
    return [{ name, verdict: "fail", detail, advice: "change its owner, or choose another with node.data or --data" }];
  }
  const { bavail, bsize } = await statfs(existing);
  const freeBytes = bavail * bsize;
  const space: Check = { name: "free disk", verdict: "ok", detail: `${sizeText(freeBytes)} at ${existing}` };
  const isLow = freeBytes < FREE_BYTES_MIN;
  return [
    { name, verdict: "ok", detail: `${folder} can be written${existing === folder ? "" : ", once it is made"}` },
    isLow ? { ...space, verdict: "warn", advice: "free some, or lower the retention of your streams" } : space,
  ];
}

async function nearestExisting(path: string): Promise<string> {
  try {
    await access(path, constants.F_OK);
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(path) === path) return path;
    return await nearestExisting(dirname(path));
  }
}

/** Checks the limit of open files on Linux, where a file holds it. Other systems are not checked. */
async function checkOpenFiles(connectionsMax: number): Promise<readonly Check[]> {
  if (process.platform !== "linux") return [];
  const limits = await readFile("/proc/self/limits", "utf8");
  const hard = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(limits)?.[2] ?? "unlimited";
  const name = "open files";
  const needed = connectionsMax + OPEN_FILES_MARGIN;
  // Node raises its own limit to the hard one.
  if (hard === "unlimited" || Number(hard) >= needed) return [{ name, verdict: "ok", detail: `at most ${hard}` }];
  const detail = `at most ${hard}: too few for limits.connectionsMax ${connectionsMax}`;
  return [
    { name, verdict: "warn", detail, advice: `raise the limit (ulimit -Hn ${needed}) or lower limits.connectionsMax` },
  ];
}
