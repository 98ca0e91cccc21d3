#!/usr/bin/env node
/** The program `headrace`. Each of its commands has a file under `commands/`. */
import { loadDriver } from "../deps.ts";
import { addBackup } from "./commands/backup.ts";
import { addCluster } from "./commands/cluster.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addInspect } from "./commands/inspect.ts";
import { addLint } from "./commands/lint.ts";
import { addProduce } from "./commands/produce.ts";
import { addRecover } from "./commands/recover.ts";
import { addReplay } from "./commands/replay.ts";
import { addRestore } from "./commands/restore.ts";
import { addStreams } from "./commands/streams.ts";
import { addTail } from "./commands/tail.ts";
import { addTest } from "./commands/test.ts";
import { addUp } from "./commands/up.ts";
import { EXIT, exitCodeOf } from "./console/exit_codes.ts";
import { complain, outliveReader, printAsideWhole } from "./console/output.ts";

const COMMANDS = [
  addUp,
  addProduce,
  addTail,
  addStreams,
  addInspect,
  addReplay,
  addCluster,
  addLint,
  addTest,
  addDoctor,
  addBackup,
  addRestore,
  addRecover,
];

const { Command, CommanderError } = await loadDriver("commander");
const program = new Command("headrace")
  .description("Exactly-once event ingestion: from a WebSocket producer to a sink.")
  .configureOutput({ writeErr: printAsideWhole })
  .showHelpAfterError("(see --help)")
  .configureHelp({ sortSubcommands: true })
  .addHelpText("after", "\nWithout a command a node is started (up). Exit codes: docs/operations.md")
  .exitOverride();
for (const add of COMMANDS) add(program);

outliveReader();
try {
  await program.parseAsync(process.argv.length > 2 ? process.argv : [...process.argv, "up"]);
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  else {
    complain(error);
    process.exitCode = exitCodeOf(error);
  }
}
