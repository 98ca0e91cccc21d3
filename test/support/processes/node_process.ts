/**
 * A node of a cluster in a process of its own, which all others reach through its own link. A test can kill it, freeze
 * it, end it in order, start it again and cut it off. Signals go to the process that was started here, by its handle.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type LocalProcess, startProcess } from "../../../scripts/console/local_cluster/local_process.ts";
import type { ClusterOverview } from "../../../supervisors/cluster/overview.ts";
import { type LinkProxy, startLinkProxy } from "../clients/link_proxy.ts";
import { freePort } from "../redis/redis_server.ts";
import { headraceArguments } from "./headrace_program.ts";

/** The most starts: a node ends where its store is out of reach, and is started again as an operator would. */
const STARTS_MAX = 20;
const START_AGAIN_AFTER_MS = 500;
const UP_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 20_000;
const ANSWER_WITHIN_MS = 2_000;

export class NodeProcess {
  readonly name: string;
  readonly link: LinkProxy;
  readonly #port: number;
  readonly #folder: string;
  #process: LocalProcess | undefined;
  #isEndExpected = false;
  #isOver = false;
  /** The exit of the process, where the test had not asked for it. */
  readonly endings: string[] = [];

  /** @param yaml the configuration that the nodes share, without `cluster` */
  static async place(name: string, folder: string, yaml: string): Promise<NodeProcess> {
    const port = await freePort();
    const link = await startLinkProxy(port);
    const node = new NodeProcess(name, port, link, folder);
    const own = `node: { logLevel: info }\ncluster: { advertise: "127.0.0.1:${link.port}" }\n`;
    await writeFile(node.#file("yaml"), `${own}${yaml}`);
    return node;
  }

  private constructor(name: string, port: number, link: LinkProxy, folder: string) {
    this.name = name;
    this.link = link;
    this.#port = port;
    this.#folder = folder;
  }

  /** The address for clients, through the link. */
  get endpoint(): string {
    return `ws://127.0.0.1:${this.link.port}/v1/connect`;
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.ending === undefined;
  }

  #file(kind: string): string {
    return join(this.#folder, `${this.name}.${kind}`);
  }

  /** Starts the process; resolves once the node is up. */
  async start(): Promise<void> {
    for (let starts = 1; ; starts += 1) {
      if (this.#isOver) throw new Error(`Cannot start ${this.name} as it is ended for good`);
      if (await this.#startOnce()) return;
      if (starts >= STARTS_MAX) {
        throw new Error(`Cannot go on as ${this.name} must start: it did not ${starts} times\n${await this.#tail()}`);
      }
      await delay(START_AGAIN_AFTER_MS);
    }
  }

  async #startOnce(): Promise<boolean> {
    const started = await startProcess({
      program: process.execPath,
      args: headraceArguments([
        ...["up", "--json", "--until-input-ends", "--config", this.#file("yaml")],
        ...["--name", this.name, "--port", String(this.#port), "--data", this.#file("data")],
      ]),
      logFile: this.#file("log"),
      hasInput: true,
    });
    this.#process = started;
    this.#isEndExpected = true;
    const isUp = await Promise.race([
      started.firstJson.then(() => true),
      started.ended.then(() => false),
      delay(UP_WITHIN_MS, false, { ref: false }),
    ]);
    if (!isUp) {
      await started.stop(0);
      return false;
    }
    this.#isEndExpected = false;
    void started.ended.then((ending) => {
      if (!this.#isEndExpected) this.endings.push(`${this.name} ended with ${ending}`);
    });
    return true;
  }

  async kill(): Promise<void> {
    this.#isEndExpected = true;
    this.#process?.signal("SIGKILL");
    await this.#process?.ended;
  }

  freeze(): void {
    this.#process?.signal("SIGSTOP");
  }

  thaw(): void {
    this.#process?.signal("SIGCONT");
  }

  /** Ends the process in order; answers its exit. */
  async stop(): Promise<string> {
    this.#isEndExpected = true;
    if (!this.isRunning) return "not running";
    await this.#process?.stop(STOP_WITHIN_MS);
    return this.#process?.ending ?? "";
  }

  /** Ends the process at once and for good, whatever its state, and closes its link. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.kill();
    await this.link.close();
  }

  async json<Value>(path: string, method: "GET" | "POST" = "GET"): Promise<Value> {
    const url = `http://127.0.0.1:${this.#port}${path}`;
    const answer = await fetch(url, { method, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    if (!answer.ok) throw new Error(`${this.name} answers ${answer.status} to ${path}: ${await answer.text()}`);
    return (await answer.json()) as Value;
  }

  overview(): Promise<ClusterOverview> {
    return this.json("/v1/cluster");
  }

  async #tail(): Promise<string> {
    return (await this.#process?.tail()) ?? "";
  }
}
