/**
 * The exit codes of the command, and the code of each error. They follow sysexits.h, so that scripts can tell a bad
 * argument from a node that is out of reach. A test compares them with the table in docs/operations.md.
 */
import { HeadraceError, reasonOf } from "../../protocols/errors.ts";

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 64,
  data: 65,
  noInput: 66,
  unavailable: 69,
  software: 70,
  output: 74,
  leftUndone: 75,
  forbidden: 77,
  configuration: 78,
  interrupted: 130,
} as const;

export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: "Done.",
  failed: "`test` or `doctor` found something wrong, or `inspect` found nothing.",
  usage: "A bad argument: an unknown command, option, stream or partition.",
  data: "Done, but some events were rejected, or a backup is damaged.",
  noInput: "An input file cannot be read.",
  unavailable:
    "The node, the store behind it, a program that is needed, or a target of `lint --connect`, is away or not ready: try again.",
  software: "A bug of Headrace: please report it.",
  output: "What the command prints cannot be written: its disk is full, perhaps.",
  leftUndone: "Ended with work left, which is told: events in doubt, or a drain cut short.",
  forbidden: "The token is missing or does not allow this.",
  configuration: "The configuration is not valid, or contradicts what is found.",
  interrupted: "Ended by Ctrl-C.",
};

/** The command line asks for something impossible. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A file that the command was given cannot be read or written. */
export class FileError extends Error {
  override readonly name = "FileError";
}

/** Data that was read is not valid. */
export class DataError extends Error {
  override readonly name = "DataError";
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof FileError) return EXIT.noInput;
  if (error instanceof DataError) return EXIT.data;
  if (!(error instanceof HeadraceError)) return EXIT.software;
  switch (error.name) {
    case "ConfigurationError":
      return error.code === "MISSING_PROGRAM" ? EXIT.unavailable : EXIT.configuration;
    case "UnavailableError":
    case "OverloadedError":
      return EXIT.unavailable;
    case "FencedError":
      return EXIT.leftUndone;
    case "RejectedError":
      return error.code === "FORBIDDEN" || error.code === "UNAUTHENTICATED" ? EXIT.forbidden : EXIT.usage;
    default:
      return EXIT.software;
  }
}

/** The lines that explain an error to a person. Only a bug of Headrace gets a stack. */
export function explain(error: unknown): readonly string[] {
  if (error instanceof UsageError || error instanceof FileError || error instanceof DataError) {
    return [`headrace: ${error.message}`];
  }
  if (error instanceof HeadraceError && error.name !== "InvariantError") {
    // The problems of a configuration have a line each. The message of a node is one line, whatever it holds.
    const message = error.name === "ConfigurationError" ? error.message.split("\n") : [error.message];
    const advice = error.code === "STORE_LOST" ? ["headrace: see headrace recover --help"] : [];
    return [`headrace: ${error.code}: ${message[0]}`, ...message.slice(1), ...advice];
  }
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return ["headrace: this is a bug of Headrace, please report it", ...detail.split("\n")];
}

/** Turns a failed call of the file system into an error with the action and the path. */
export const fileError = (action: string, path: string, error: unknown): FileError =>
  new FileError(`Cannot ${action} ${path}: ${reasonOf(error)}`, {
    cause: error,
  });
