/** The options of both clients, and their check before the first connection: options that can never work fail at once. */
import type { Clock } from "../clock.ts";
import type { Connect } from "../connection.ts";
import { ConfigurationError } from "../errors.ts";
import { FIELD_LIMITS } from "../limits.ts";
import type { ConnectionState } from "./connection_state.ts";

/** The options that a producer and a consumer share. */
export interface ClientOptions {
  /** Opens connections, for example {@linkcode connectWebSocket}. */
  readonly connect: Connect;
  /** Addresses of nodes, tried in turn; one at least. The client also connects to the owners that a node names. */
  readonly addresses: readonly string[];
  /**
   * True to connect to `addresses` alone, for example behind a load balancer: a node passes events on to the owners, and
   * reads for the client at the owners.
   */
  readonly forward?: boolean;
  /** The token that a node with authentication asks for: at most 16,384 characters. */
  readonly token?: string;
  /** Name of the program, for the node's logs: at most 256 characters. Default: `headrace-js`. */
  readonly client?: string;
  /** Time and randomness. Default: {@linkcode SYSTEM_CLOCK}. */
  readonly clock?: Clock;
  /** Called once for each change of the connection's state. */
  readonly onState?: (state: ConnectionState) => void;
}

/** Throws `ConfigurationError`. @param about `a producer`, or `a consumer` */
export function checkClientOptions(about: string, { connect, addresses, token, client }: ClientOptions): void {
  if (!Array.isArray(addresses) || addresses.length === 0)
    throw unfit(about, "addresses", "must name at least one node", "an empty list");
  for (const address of addresses) connect.check?.(address);
  checkLength(about, "token", token, FIELD_LIMITS.tokenCharactersMax);
  checkLength(about, "client", client, FIELD_LIMITS.clientCharactersMax);
}

/** Throws `ConfigurationError` for a name that is empty or too long: a log keeps the names with each chain. */
export function checkProducerNames(names: {
  readonly producerId: string;
  readonly instance?: string | undefined;
  readonly stream?: string | undefined;
}): void {
  for (const [field, value] of Object.entries(names)) {
    if (value === "") throw unfit("a producer", field, "must hold at least one character", "an empty text");
    checkLength("a producer", field, value, FIELD_LIMITS.nameCharactersMax);
  }
  if (typeof names.producerId !== "string")
    throw unfit("a producer", "producerId", "must be a text", String(names.producerId));
}

/** The least value of each number, and the greatest where there is one. */
const PRODUCER_NUMBERS = {
  batchEventsMax: [1, undefined],
  batchBytesMax: [1, undefined],
  lingerMs: [0, 2_147_483_647],
  bufferEventsMax: [1, undefined],
  bufferBytesMax: [1, undefined],
  schemaVersion: [0, FIELD_LIMITS.schemaVersionMax],
  producerEpoch: [0, Number.MAX_SAFE_INTEGER],
} as const satisfies Readonly<Record<string, readonly [number, number | undefined]>>;

/** Throws `ConfigurationError` for a number out of range: with a buffer of 0 events, `send` would wait for ever. */
export function checkProducerNumbers(
  numbers: {
    readonly [Name in keyof typeof PRODUCER_NUMBERS]?: number | undefined;
  },
): void {
  for (const [field, [least, greatest = Number.POSITIVE_INFINITY]] of Object.entries(PRODUCER_NUMBERS)) {
    const value = numbers[field as keyof typeof PRODUCER_NUMBERS];
    if (value !== undefined) checkNumber("make a producer", field, value, least, greatest);
  }
}

/** Throws `ConfigurationError`. @param action `make a producer`, or `subscribe` */
export function checkNumber(action: string, field: string, value: number, least: number, greatest: number): void {
  if (value >= least && value <= greatest) return;
  const range = Number.isFinite(greatest) ? `${least} to ${greatest}` : `${least} or more`;
  throw new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot ${action} as ${field} must be ${range}: current value is ${value}`,
  );
}

/** Throws `ConfigurationError` with the length alone: the value may be a secret. */
function checkLength(about: string, field: string, value: string | undefined, charactersMax: number): void {
  if (value === undefined || value.length <= charactersMax) return;
  throw unfit(about, field, `must have at most ${charactersMax} characters`, `${value.length} characters`);
}

const unfit = (about: string, field: string, must: string, current: string): ConfigurationError =>
  new ConfigurationError(
    "INVALID_CONFIGURATION",
    `Cannot make ${about} as ${field} ${must}: current value is ${current}`,
  );
