/** The command for Debian's chromium, headless, with the flags that root needs. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const EXECUTABLE = ["chromium", "chromium-browser"]
  .flatMap((name) => (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)))
  .find((path) => existsSync(path));

/** Ends the test file with a message where no chromium is installed to check `what` in. */
export function skipWithoutChromium(what: string): void {
  if (EXECUTABLE !== undefined) return;
  console.log(`SKIPPED: ${what} in chromium, and there is none on the PATH`);
  process.exit(77);
}

export function launchChromium(): Promise<Browser> {
  return chromium.launch({
    ...(EXECUTABLE === undefined ? {} : { executablePath: EXECUTABLE }),
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      "--disable-dev-shm-usage",
    ],
  });
}
