/**
 * Makes sure that a program which tests need is on the PATH. On Debian and as root it is installed by apt-get, and no
 * service of it is left running. Elsewhere the user is told to install it, and the suites that need it are reported as
 * skipped.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

export interface Program {
  readonly command: string;
  readonly debianPackage: string;
}

export const TEST_PROGRAMS: readonly Program[] = [
  { command: "redis-server", debianPackage: "redis-server" },
  { command: "chromium", debianPackage: "chromium" },
  { command: "openssl", debianPackage: "openssl" },
  { command: "strace", debianPackage: "strace" },
];

const isOnPath = ({ command }: Program): boolean => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;

/** Installs missing programs if possible. Answers the programs that are still missing, each with the reason. */
export function installPrograms(programs: readonly Program[]): readonly string[] {
  const missing = programs.filter((program) => !isOnPath(program));
  if (missing.length === 0) return [];
  const names = missing.map((program) => program.debianPackage);
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) {
    return names.map((name) => `${name} is not installed, and only root on Debian can install it here`);
  }
  console.log(`installing ${names.join(", ")} with apt-get`);
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
    execFileSync("apt-get", ["update", "-qq"], { env, stdio: ["ignore", "ignore", "inherit"] });
    execFileSync("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...names], {
      env,
      stdio: ["ignore", "ignore", "inherit"],
    });
  } catch (error) {
    return names.map((name) => `${name} could not be installed: ${(error as Error).message.split("\n")[0]}`);
  }
  return missing.filter((program) => !isOnPath(program)).map((program) => `${program.command} is still missing`);
}
