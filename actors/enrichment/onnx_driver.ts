/**
 * Runs ONNX artifacts with ONNX Runtime, each session in a process of its own (`onnx_process.ts`). So a run never blocks the
 * node, a run that hangs can be ended, and a fault of the native code takes no more than its session.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Tensors } from "../../models/model.ts";
import { ConfigurationError, UnavailableError } from "../../protocols/errors.ts";
import type { ModelDriver, ModelSession } from "./driver.ts";
import type { FromProcess, ToProcess } from "./onnx_process.ts";

const ENDING = import.meta.url.endsWith(".ts") ? "ts" : "js";
const PROGRAM = fileURLToPath(new URL(`./onnx_process.${ENDING}`, import.meta.url));

/** A session in the middle of a run would not hear that the node has ended. */
const living = new Set<ChildProcess>();
process.on("exit", () => {
  for (const one of living) one.kill("SIGKILL");
});

/** @param program the program of a session; another one for tests alone */
export const onnxDriver = (program: string = PROGRAM): ModelDriver => ({
  async open(artifact, { artifactBytesMax }) {
    if (artifact.byteLength > artifactBytesMax) {
      const reason = `it must be at most ${artifactBytesMax} bytes: current value is ${artifact.byteLength}`;
      throw new ConfigurationError("INVALID_CONFIGURATION", `Cannot open an artifact as ${reason}`);
    }
    const session = new ProcessSession(program);
    try {
      await session.open(artifact);
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  },
});

/** One question at a time, each with its answer (driver R1). */
class ProcessSession implements ModelSession {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  #hasEnded = false;
  #settle: ((answer: FromProcess | UnavailableError) => void) | undefined;

  constructor(program: string) {
    // Tensors stay typed arrays, without a detour over JSON. Why a process cannot start is told to people by its stderr.
    // The node's environment may hold secrets, so the process does not get it.
    this.#process = fork(program, {
      env: {},
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    living.add(this.#process);
    this.#process.on("message", (answer: FromProcess) => this.#settle?.(answer));
    this.#ended = new Promise((resolve) => {
      const end = (why: string) => {
        this.#hasEnded = true;
        living.delete(this.#process);
        this.#settle?.(lost(why));
        resolve();
      };
      this.#process.on("error", (error) => {
        this.#process.kill("SIGKILL"); // it may have started, and be out of reach
        end(error.message);
      });
      this.#process.on("exit", (code, signal) => end(`it ended with ${signal ?? code}`));
    });
  }

  async open(artifact: Uint8Array): Promise<void> {
    const answer = await this.#ask({ type: "open", artifact });
    if (answer.type === "opened") return;
    const reason = "reason" in answer ? answer.reason : answer.type;
    if (answer.type === "not_opened" && answer.isMissing) {
      const must = `the package onnxruntime-node must be installed with a binary for ${process.platform} ${process.arch}`;
      throw new ConfigurationError("MISSING_PROGRAM", `Cannot run ONNX models as ${must}: ${reason}`);
    }
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot open an artifact as ONNX Runtime must take it: ${reason}`,
    );
  }

  async run(inputs: Tensors): Promise<Tensors> {
    const answer = await this.#ask({ type: "run", inputs });
    if (answer.type === "ran") return answer.outputs;
    throw new Error("reason" in answer ? answer.reason : answer.type);
  }

  /** driver R3 */
  close(): Promise<void> {
    this.#process.kill("SIGKILL");
    return this.#ended;
  }

  #ask(message: ToProcess): Promise<FromProcess> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) return reject(lost("it has ended"));
      this.#settle = (answer) => {
        this.#settle = undefined;
        if (answer instanceof UnavailableError) reject(answer);
        else resolve(answer);
      };
      this.#process.send(message, (error) => error !== null && this.#settle?.(lost(error.message)));
    });
  }
}

/** driver R2 */
const lost = (why: string): UnavailableError =>
  new UnavailableError("CONNECTION_LOST", `Cannot run an artifact as its process must go on: ${why}`);
