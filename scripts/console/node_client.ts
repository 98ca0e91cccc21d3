/**
 * A command's client of a node: public HTTP reads and WebSocket, with the address and the token from the command line
 * or the environment. The token is read from a file or a variable, never from an argument, which other users could see.
 */
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { isLoopbackHost } from "../../actors/transport/network_address.ts";
import { loadDriver } from "../../deps.ts";
import type { ConnectionState } from "../../protocols/client/connection_state.ts";
import { ConfigurationError, errorFromCode, RejectedError, UnavailableError } from "../../protocols/errors.ts";
import {
  Consumer,
  connectWebSocket,
  Producer,
  type ProducerOptions,
  type WebSocketConstructor,
} from "../../protocols/mod.ts";
import { type StreamDescription, SUBPROTOCOL_MSGPACK } from "../../protocols/wire/frames.ts";
import { readEnvironment } from "../../supervisors/configuration/environment.ts";
import { withoutUser } from "./arguments.ts";
import { fileError, UsageError } from "./exit_codes.ts";
import { remark } from "./output.ts";

const DEFAULT_ADDRESS = "http://127.0.0.1:7070";
const ANSWER_WITHIN_MS = 10_000;
const CLIENT = "headrace-cli";

export interface NodeOptions {
  readonly address?: string;
  readonly tokenFile?: string;
}

/** A partition in the answer of `GET /v1/streams`. */
export interface PartitionStanding {
  readonly partition: number;
  readonly state: string;
  readonly epoch?: number;
  readonly firstOffset?: number;
  readonly endOffset?: number;
  readonly sizeBytes?: number;
  readonly rejected?: number;
}

export interface StreamStanding extends Omit<StreamDescription, "partitions"> {
  readonly name: string;
  readonly partitions: readonly PartitionStanding[];
}

/** A record in the answer of `GET .../records`. */
export interface ReadRecord {
  readonly position: { readonly epoch: number; readonly offset: number };
  readonly event: Readonly<Record<string, unknown>>;
  readonly appendedAtMs: number;
  readonly schemaVersion: number;
  readonly producerId: string;
  readonly sequence: readonly [number, number, number];
  readonly traceparent?: string;
}

export interface ReadPage {
  readonly firstOffset: number;
  readonly endOffset: number;
  readonly records: readonly ReadRecord[];
}

export interface NodeClient {
  /** `http://host:port`. */
  readonly address: string;
  get<Answer>(path: string): Promise<Answer>;
  post<Answer>(path: string, body: unknown): Promise<Answer>;
  remove<Answer>(path: string): Promise<Answer>;
  stream(name: string): Promise<StreamStanding>;
  page(stream: string, partition: number, query: Readonly<Record<string, string | number>>): Promise<ReadPage>;
  /**
   * `onTrouble` is called each time that the node is out of reach or lost, and for a refusal that ended the producer.
   */
  producer(
    options: Omit<ProducerOptions, "connect" | "addresses" | "onState">,
    onTrouble?: (error: Error) => void,
  ): Producer;
  /** `onTrouble` is called each time that the node is out of reach, lost or silent. Subscriptions report a refusal. */
  consumer(onTrouble?: (error: Error) => void): Consumer;
}

export function addNodeOptions(command: Command): Command {
  return command
    .option("-a, --address <url>", `address of a node (also HEADRACE_ADDRESS; default ${DEFAULT_ADDRESS})`)
    .option("--token-file <file>", "file that holds the token (also HEADRACE_TOKEN, the token itself)");
}

/** Reads address and token; connects to nothing yet. */
export async function nodeClient(options: NodeOptions): Promise<NodeClient> {
  const environment = readEnvironment();
  const address = httpAddress(options.address ?? environment.address ?? DEFAULT_ADDRESS);
  const token = options.tokenFile === undefined ? environment.token : await readToken(options.tokenFile);
  const { protocol, hostname } = new URL(address);
  if (token !== undefined && protocol === "http:" && !isLoopbackHost(hostname))
    remark(`the token travels in clear text to ${hostname}: use https`);
  const { WebSocket } = await loadDriver("ws");
  const connect = connectWebSocket({
    subprotocol: SUBPROTOCOL_MSGPACK,
    webSocket: WebSocket as unknown as WebSocketConstructor,
  });
  const addresses = [`${address.replace(/^http/, "ws")}/v1/connect`];
  const shared = { addresses, client: CLIENT, ...(token === undefined ? {} : { token }) };
  const call = <Answer>(path: string, method: string, body?: unknown) =>
    ask<Answer>(address, path, token, method, body);
  const get = <Answer>(path: string) => call<Answer>(path, "GET");
  return {
    address,
    get,
    post: (path, body) => call(path, "POST", body),
    remove: (path) => call(path, "DELETE"),
    stream: (name) => get(`/v1/streams/${encodeURIComponent(name)}`),
    page: (stream, partition, query) => {
      const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
      return get(`/v1/streams/${encodeURIComponent(stream)}/partitions/${partition}/records?${search}`);
    },
    producer: (own, onTrouble) => new Producer({ ...own, ...shared, connect, onState: tellProducerState(onTrouble) }),
    consumer: (onTrouble) => new Consumer({ ...shared, connect, onState: tellConsumerState(onTrouble) }),
  };
}

function httpAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^(https?|wss?):$/.test(url.protocol)) {
    throw new UsageError(`Cannot use ${withoutUser(text)} as an address as it must begin with http:// or https://`);
  }
  return `${url.protocol.replace("ws", "http")}//${url.host}`;
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (error) {
    throw fileError("read the token from", file, error);
  }
}

async function ask<Answer>(
  address: string,
  path: string,
  token: string | undefined,
  method: string,
  body: unknown,
): Promise<Answer> {
  const headers = {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
  const sent = { method, headers, signal, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(`${address}${path}`, sent).catch((error: unknown) => {
    throw unreachable(address, error);
  });
  const text = await response.text();
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch (error) {
    throw new UnavailableError(
      "CONNECTION_LOST",
      `Cannot use ${address} as a Headrace node must answer there: it answered ${response.status} and no JSON`,
      { cause: error },
    );
  }
  if (response.ok) return answer as Answer;
  const { code = "CONNECTION_LOST", message = text } = answer as { readonly code?: string; readonly message?: string };
  // NOT_FOUND comes over HTTP only, if the object of the command does not exist.
  if (code === "NOT_FOUND") throw new UsageError(message);
  throw errorFromCode(code, message);
}

function unreachable(address: string, error: unknown): UnavailableError {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause);
  return new UnavailableError(
    "CONNECTION_LOST",
    `Cannot reach ${address} as a node must be running there: ${reason} (start one with headrace up, or name another with --address)`,
    { cause: error },
  );
}

/**
 * The producer tries again by itself, unless it is refused for good. Silence is not reported, as the node may be slow.
 */
const tellProducerState =
  (onTrouble: (error: Error) => void = () => undefined) =>
  ({ state, lastError }: ConnectionState): void => {
    if (lastError === undefined) return;
    if (state === "silent") remark(`${lastError.message}: waiting`);
    const isRefused = lastError instanceof RejectedError || lastError instanceof ConfigurationError;
    if (state === "waiting" || (state === "closed" && isRefused)) onTrouble(lastError);
  };

/** An error that ends the consumer also ends its subscriptions. So only trouble that may pass is reported here. */
const tellConsumerState =
  (onTrouble: (error: Error) => void = () => undefined) =>
  ({ state, lastError }: ConnectionState): void => {
    if (lastError !== undefined && (state === "silent" || state === "waiting")) onTrouble(lastError);
  };
