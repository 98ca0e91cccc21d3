/** A whole node in this process, on a free port, for tests that come in by the front door. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "uvu";
import WebSocket from "ws";
import { connectWebSocket, Producer, type ProducerOptions } from "../../../protocols/mod.ts";
import { SUBPROTOCOL_MSGPACK, type Subprotocol } from "../../../protocols/wire/frames.ts";
import { checkConfiguration } from "../../../supervisors/configuration/configuration.ts";
import type { Configuration } from "../../../supervisors/configuration/configuration_schema.ts";
import { KNOWN_KINDS } from "../../../supervisors/configuration/known_kinds.ts";
import { createPage } from "../../../supervisors/http/page.ts";
import { type RunningNode, startNode } from "../../../supervisors/node/node.ts";

export interface TestNode extends RunningNode {
  readonly folder: string;
  /** `ws://.../v1/connect`. */
  readonly endpoint: string;
  /** The lines logged so far. */
  readonly logged: readonly string[];
  producer(options: Partial<ProducerOptions> & { readonly producerId: string }, subprotocol?: Subprotocol): Producer;
  /** Stops the node and removes its folder. */
  end(): Promise<readonly string[]>;
}

export interface TestNodeOptions {
  readonly folder?: string;
  readonly port?: number;
  readonly secrets?: Readonly<Record<string, string>>;
}

/** Reads a configuration as the node would; throws with every problem. */
export async function configurationOf(text: string, folder: string, port = 0): Promise<Configuration> {
  const loaded = await checkConfiguration(text, folder, KNOWN_KINDS);
  if (loaded.kind === "refused") throw new Error(JSON.stringify(loaded.problems, undefined, 2));
  const { configuration } = loaded;
  return { ...configuration, node: { ...configuration.node, name: "test", port, data: join(folder, "data") } };
}

/**
 * Starts a node on a configuration in YAML (its log in memory unless it says otherwise) and waits until it is ready.
 */
export async function runningNode(yaml: string, options: TestNodeOptions = {}): Promise<TestNode> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "headrace-test-")));
  const configuration = await configurationOf(yaml, folder, options.port);
  const logged: string[] = [];
  const node = await startNode({
    configuration,
    log: (level, message, fields) => logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    page: createPage(),
    readSecret: async ({ variable = "" }) => options.secrets?.[variable] ?? "",
  });
  try {
    await node.ready;
  } catch (error) {
    await node.stop(5_000);
    throw error;
  }
  const endpoint = `ws://127.0.0.1:${node.port}/v1/connect`;
  return {
    ...node,
    folder,
    endpoint,
    logged,
    producer: (overrides, subprotocol = SUBPROTOCOL_MSGPACK) =>
      new Producer({
        connect: connectWebSocket({ subprotocol, webSocket: WebSocket as never }),
        addresses: [endpoint],
        ...overrides,
      }),
    async end() {
      const left = await node.stop(10_000);
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
      return left;
    },
  };
}

/**
 * A node of its own for each test of a file, so that what one test leaves or breaks reaches no other. The answer stands for the
 * node of the test that runs now.
 */
export function nodeOfEachTest(test: Test, yaml: string, options: TestNodeOptions = {}): TestNode {
  let node: TestNode | undefined;
  test.before.each(async () => {
    node = await runningNode(yaml, options);
  });
  test.after.each(async () => {
    const ended = node;
    node = undefined;
    await ended?.end();
  });
  return new Proxy({} as TestNode, {
    get(_, name) {
      if (node === undefined) throw new Error("Cannot use the node as a test must run: none does");
      return Reflect.get(node, name) as unknown;
    },
  });
}

const EVENTUALLY_WITHIN_MS = 40_000;

/**
 * Waits until `probe` answers a value, and asks again after each turn of the event loop. Rejects where that takes too
 * long, so that the test file reports the failure before its own time is over.
 */
export async function eventually<Value>(probe: () => Promise<Value | undefined> | Value | undefined): Promise<Value> {
  for (const endMs = performance.now() + EVENTUALLY_WITHIN_MS; performance.now() < endMs; ) {
    const value = await probe();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`Cannot go on as within ${EVENTUALLY_WITHIN_MS} ms it must come about: ${probe}`);
}
