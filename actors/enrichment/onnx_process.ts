/**
 * A process that runs one ONNX session: `onnx_driver.ts` starts it, and speaks with it over its channel. ONNX Runtime's
 * `run` blocks its thread, and a fault in its native code ends the process; here neither is the node's.
 */
import { loadDriver } from "../../deps.ts";
import type { Tensor, Tensors } from "../../models/model.ts";
import { reasonOf } from "../../protocols/errors.ts";

export type ToProcess =
  | { readonly type: "open"; readonly artifact: Uint8Array }
  | { readonly type: "run"; readonly inputs: Tensors };

export type FromProcess =
  | { readonly type: "opened" }
  /** `isMissing`: the runtime has no binary for this machine; else the artifact is none that it can run. */
  | { readonly type: "not_opened"; readonly isMissing: boolean; readonly reason: string }
  | { readonly type: "ran"; readonly outputs: Tensors }
  | { readonly type: "failed"; readonly reason: string };

type Onnx = Awaited<ReturnType<typeof loadDriver<"onnxruntime">>>;

/** One thread that waits without spinning: the machine's cores belong to the node. Runs in a row, without an arena that grows. */
const SESSION_OPTIONS = {
  executionProviders: ["cpu"],
  executionMode: "sequential",
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  enableCpuMemArena: false,
  logSeverityLevel: 4,
  extra: { session: { intra_op: { allow_spinning: "0" }, inter_op: { allow_spinning: "0" } } },
} as const;

let runtime: Onnx | undefined;
let session: Awaited<ReturnType<Onnx["InferenceSession"]["create"]>> | undefined;

async function open(artifact: Uint8Array): Promise<FromProcess> {
  try {
    runtime = await loadDriver("onnxruntime");
  } catch (error) {
    return { type: "not_opened", isMissing: true, reason: reasonOf(error) };
  }
  try {
    session = await runtime.InferenceSession.create(artifact, SESSION_OPTIONS);
    return { type: "opened" };
  } catch (error) {
    return { type: "not_opened", isMissing: false, reason: reasonOf(error) };
  }
}

async function run(inputs: Tensors): Promise<FromProcess> {
  try {
    if (runtime === undefined || session === undefined) throw new Error("the session must be open: it is not");
    const { Tensor: OnnxTensor } = runtime;
    const fed = Object.entries(inputs).map(([name, { type, dims, data }]) => {
      return [name, new OnnxTensor(type, data as never, dims)] as const;
    });
    const answers = await session.run(Object.fromEntries(fed));
    return { type: "ran", outputs: Object.fromEntries(Object.entries(answers).map(plain)) };
  } catch (error) {
    return { type: "failed", reason: reasonOf(error) };
  }
}

function plain([name, { type, dims, data }]: [string, { type: string; dims: readonly number[]; data: unknown }]) {
  return [name, { type, dims, data } as Tensor] as const;
}

process.on("message", async (message: ToProcess) => {
  process.send?.(await (message.type === "open" ? open(message.artifact) : run(message.inputs)));
});
/** The node has ended. */
process.on("disconnect", () => process.exit(0));
/** A person's Ctrl-C goes to all processes of the terminal; the node says when a session ends. */
process.on("SIGINT", () => {});
