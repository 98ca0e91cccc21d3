#!/usr/bin/env node
/** The command `headrace`: what a person runs. Each command lives in a file of its own under `commands/`. */
import { loadDriver } from "../deps.ts";
import { HeadraceError } from "../protocols/errors.ts";
import { addUp } from "./commands/up.ts";

/** Exit codes that scripts can use (after sysexits.h). */
const EXIT_USAGE = 64;
const EXIT_UNAVAILABLE = 69;
const EXIT_SOFTWARE = 70;
const EXIT_CONFIGURATION = 78;

const { Command } = await loadDriver("commander");
const program = new Command("headrace")
  .description("Exactly-once event ingestion: from a WebSocket producer to a sink.")
  .showHelpAfterError("(see --help)")
  .configureHelp({ sortSubcommands: true })
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : EXIT_USAGE));
addUp(program);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

function explain(error: unknown): number {
  if (!(error instanceof HeadraceError)) {
    console.error(error);
    return EXIT_SOFTWARE;
  }
  console.error(`headrace: ${error.code}: ${error.message}`);
  switch (error.name) {
    case "ConfigurationError":
      return EXIT_CONFIGURATION;
    case "UnavailableError":
    case "OverloadedError":
      return EXIT_UNAVAILABLE;
    case "RejectedError":
      return EXIT_USAGE;
    default:
      return EXIT_SOFTWARE;
  }
}
