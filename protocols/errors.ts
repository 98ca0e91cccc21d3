/**
 * Every error that Headrace raises. The class tells the caller's next action; the code tells the cause, and is the same
 * word on the wire, in metrics and in the docs. Messages name the action, the reason and the current value.
 */

/** Codes of {@linkcode RejectedError}: the thing will be refused again. */
export const REJECTED_CODES = [
  "MALFORMED_FRAME",
  "UNKNOWN_FRAME",
  "FRAME_TOO_LARGE",
  "FRAME_TOO_COMPLEX",
  "HELLO_REQUIRED",
  "UNSUPPORTED_PROTOCOL",
  "UNKNOWN_STREAM",
  "UNKNOWN_PARTITION",
  "UNKNOWN_SUBSCRIPTION",
  "UNKNOWN_NODE",
  "UNKNOWN_SCHEMA_VERSION",
  "UNKNOWN_EPOCH",
  "EMPTY_BATCH",
  "BATCH_TOO_LARGE",
  "EVENT_TOO_LARGE",
  "MALFORMED_EVENT",
  "SCHEMA_VIOLATION",
  "VALIDATION_BUDGET",
  "IDEMPOTENCY_KEY_REUSED",
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "ORIGIN_REFUSED",
  "HOST_REFUSED",
  "STEP_FAILED",
  "STATE_FULL",
  "LATE_RECORD",
  "FUTURE_RECORD",
  "SINK_REJECTED",
] as const;

/** Codes of {@linkcode UnavailableError}: try again with backoff. */
export const UNAVAILABLE_CODES = [
  "STORE_UNAVAILABLE",
  "STORE_LOST",
  "STORE_CORRUPT",
  "DISK_FULL",
  "DISK_READ_ONLY",
  "NOT_DURABLE",
  "CONNECTION_LOST",
  "TIMEOUT",
  "STOPPING",
  "NOT_READY",
  "SINK_UNAVAILABLE",
  "SOURCE_UNAVAILABLE",
] as const;

/** Codes of {@linkcode OverloadedError}: wait, then try again. */
export const OVERLOADED_CODES = [
  "OUT_OF_CREDIT",
  "STORE_FULL",
  "TOO_MANY_CONNECTIONS",
  "TOO_MANY_PRODUCERS",
  "TOO_MANY_SUBSCRIPTIONS",
  "QUOTA_EXCEEDED",
  "MAILBOX_FULL",
] as const;

/** Codes of {@linkcode FencedError}: a newer owner or producer has taken over. */
export const FENCED_CODES = [
  "STALE_EPOCH",
  "STALE_GRANT",
  "STALE_LEADER",
  "STORE_CHANGED",
  "NOT_OWNER",
  "PRODUCER_FENCED",
  "STALE_PRODUCER_EPOCH",
  "UNKNOWN_PRODUCER",
  "SEQUENCE_GAP",
] as const;

/** Codes of {@linkcode ConfigurationError}: a person must change something first. */
export const CONFIGURATION_CODES = [
  "INVALID_CONFIGURATION",
  "INVALID_SCHEMA",
  "INCOMPATIBLE_SCHEMA",
  "FORMAT_TOO_NEW",
  "STORE_MISCONFIGURED",
  "DATA_IN_USE",
  "PORT_IN_USE",
  "MISSING_PROGRAM",
] as const;

/** The code of {@linkcode InvariantError}: a fault of Headrace itself. */
export const INVARIANT_CODES = ["INVARIANT_VIOLATED"] as const;

/** One of {@linkcode REJECTED_CODES}. */
export type RejectedCode = (typeof REJECTED_CODES)[number];
/** One of {@linkcode UNAVAILABLE_CODES}. */
export type UnavailableCode = (typeof UNAVAILABLE_CODES)[number];
/** One of {@linkcode OVERLOADED_CODES}. */
export type OverloadedCode = (typeof OVERLOADED_CODES)[number];
/** One of {@linkcode FENCED_CODES}. */
export type FencedCode = (typeof FENCED_CODES)[number];
/** One of {@linkcode CONFIGURATION_CODES}. */
export type ConfigurationCode = (typeof CONFIGURATION_CODES)[number];
/** One of {@linkcode INVARIANT_CODES}. */
export type InvariantCode = (typeof INVARIANT_CODES)[number];

/** The closed union of all codes. */
export type ErrorCode =
  | RejectedCode
  | UnavailableCode
  | OverloadedCode
  | FencedCode
  | ConfigurationCode
  | InvariantCode;

/** The base of all Headrace errors, each with a code of the closed union. */
export abstract class HeadraceError extends Error {
  abstract readonly code: ErrorCode;
}

abstract class CodedError<Code extends ErrorCode> extends HeadraceError {
  readonly code: Code;
  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The thing was refused and will be refused again: set it aside and never retry it. */
export class RejectedError extends CodedError<RejectedCode> {
  override readonly name = "RejectedError";
}

/** Something needed is out of reach: retry with backoff. */
export class UnavailableError extends CodedError<UnavailableCode> {
  override readonly name = "UnavailableError";
}

/** A bound is reached: wait `retryAfterMs`, or for credit, then try again. */
export class OverloadedError extends CodedError<OverloadedCode> {
  override readonly name = "OverloadedError";
  readonly retryAfterMs: number;
  constructor(code: OverloadedCode, message: string, retryAfterMs: number, options?: ErrorOptions) {
    super(code, message, options);
    this.retryAfterMs = retryAfterMs;
  }
}

/** A newer owner or producer has taken over: stop, and ask for the owner of now. */
export class FencedError extends CodedError<FencedCode> {
  override readonly name = "FencedError";
}

/** The configuration cannot work: refuse to start, as a person must change something first. */
export class ConfigurationError extends CodedError<ConfigurationCode> {
  override readonly name = "ConfigurationError";
}

/** A fault of Headrace itself: crash, and let the supervisor decide. */
export class InvariantError extends HeadraceError {
  override readonly name = "InvariantError";
  readonly code: InvariantCode = "INVARIANT_VIOLATED";
}

/** Throws {@linkcode InvariantError} unless `condition` holds. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

const CONSTRUCTORS: ReadonlyArray<readonly [readonly string[], (code: string, message: string) => HeadraceError]> = [
  [REJECTED_CODES, (code, message) => new RejectedError(code as RejectedCode, message)],
  [UNAVAILABLE_CODES, (code, message) => new UnavailableError(code as UnavailableCode, message)],
  [FENCED_CODES, (code, message) => new FencedError(code as FencedCode, message)],
  [CONFIGURATION_CODES, (code, message) => new ConfigurationError(code as ConfigurationCode, message)],
  [INVARIANT_CODES, (_code, message) => new InvariantError(message)],
];

/**
 * The error for a code that came over the wire. An unknown code becomes an `UnavailableError`, so that the caller tries
 * again.
 *
 * @param retryAfterMs for an `OverloadedError`; 1,000 where absent
 */
export function errorFromCode(code: string, message: string, retryAfterMs = 1_000): HeadraceError {
  if ((OVERLOADED_CODES as readonly string[]).includes(code)) {
    return new OverloadedError(code as OverloadedCode, message, retryAfterMs);
  }
  for (const [codes, make] of CONSTRUCTORS) if (codes.includes(code)) return make(code, message);
  return new UnavailableError("CONNECTION_LOST", `${code}: ${message}`);
}

/** The text of whatever was thrown. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What was thrown by a call to a store or another node, as an error with a code. @param action as in "Cannot claim s/0 as the log must answer" */
export function asHeadraceError(error: unknown, action: string): HeadraceError {
  if (error instanceof HeadraceError) return error;
  return new UnavailableError("STORE_UNAVAILABLE", `${action}: ${reasonOf(error)}`, { cause: error });
}
