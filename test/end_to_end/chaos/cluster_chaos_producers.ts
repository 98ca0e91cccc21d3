/** The producers of the cluster's chaos, each a process of its own, and their output. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Problem, Told } from "../../support/checker.ts";
import type { StreamHistory } from "./cluster_chaos_history.ts";
import type { ProducerPlan } from "./cluster_chaos_producer.ts";

const PROGRAM = fileURLToPath(new URL("./cluster_chaos_producer.ts", import.meta.url));

export class ProducerProcess {
  readonly #id: string;
  readonly #histories: ReadonlyMap<string, StreamHistory>;
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** The messages that a producer got beyond acknowledgements and verdicts. */
  readonly #doubts: string[] = [];

  static async start(
    plan: ProducerPlan,
    folder: string,
    histories: readonly StreamHistory[],
  ): Promise<ProducerProcess> {
    const log = openSync(join(folder, `${plan.id}.log`), "a");
    // A group of its own, so that Ctrl-C at the terminal reaches only us.
    const child = spawn(process.execPath, ["--import", "tsx", PROGRAM, JSON.stringify(plan)], {
      detached: true,
      stdio: ["pipe", "pipe", log],
    });
    closeSync(log);
    await once(child, "spawn");
    return new ProducerProcess(plan.id, child, histories);
  }

  private constructor(id: string, child: ChildProcess, histories: readonly StreamHistory[]) {
    this.#id = id;
    this.#child = child;
    this.#histories = new Map(histories.map((history) => [history.stream, history]));
    child.stdin?.on("error", () => undefined); // it has ended, which is told apart
    const lines = createInterface({ input: child.stdout! });
    lines.on("line", (line) => this.#hear(line.split(" ")));
    this.#ended = Promise.all([once(lines, "close"), once(child, "exit")]);
  }

  #hear([what, stream = "", partition = "", first = "", second = "", code = ""]: readonly string[]): void {
    const history = this.#histories.get(stream);
    if (history === undefined) return;
    const id = `${this.#id}-${first}`;
    if (what === "sent") {
      history.sent.push({ id, producer: this.#id, partition: Number(partition), order: Number(first) });
    }
    if (what === "told") history.told.set(id, second as Told);
    if (what === "told" && second === "in_doubt")
      this.#doubts.push(`${id} of ${stream}/${partition} is in doubt: ${code}`);
    if (what === "lost") {
      const range = { from: Number(first), to: Number(second) };
      history.lost.push({ producer: this.#id, partition: Number(partition), ...range });
    }
  }

  /** Ends the producer once all its events are settled. Answers the faults found. */
  async finish(): Promise<Problem | undefined> {
    this.#child.stdin?.end();
    await this.#ended;
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== 0) return { kind: "untold", detail: `${this.#id} ended with ${signalCode ?? exitCode}` };
    const [first] = this.#doubts;
    return first === undefined ? undefined : { kind: "untold", detail: `${this.#doubts.length} in doubt: ${first}` };
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
