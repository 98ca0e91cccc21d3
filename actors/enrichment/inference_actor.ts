/**
 * Performs the effects of the inference machine: opens sessions, runs inputs on them, and answers askers. One actor runs one
 * model. An asker sends `asked` by the data lane, and waits for its answer before it asks again.
 */
import type { ModelCard } from "../../models/card.ts";
import { ConfigurationError, reasonOf, UnavailableError } from "../../protocols/errors.ts";
import type { ActorDefinition } from "../kernel/actor.ts";
import { type MachineContext, machineActor, type Shell } from "../kernel/machine_actor.ts";
import { createInference, INFERENCE_LIMITS, stepInference } from "./inference_machine.ts";
import type {
  InferenceEffect,
  InferenceMessage,
  InferenceReport,
  InferenceSettings,
  InferenceState,
} from "./inference_messages.ts";
import type { OpenModel } from "./open_model.ts";

export interface InferenceOptions {
  readonly card: Pick<ModelCard, "name" | "version" | "rowsMax">;
  /** Opens the model on a session of its own. A `ConfigurationError` ends the actor, as a person must act. */
  open(): Promise<OpenModel>;
  observe(report: InferenceReport): void;
  /** Default: `INFERENCE_DEFAULTS`. */
  readonly settings?: Partial<Omit<InferenceSettings, "rowsMax">>;
}

/** Little enough to be gathered while a run is in flight; 4,096 rows wait at most, the batches of a few partitions. */
export const INFERENCE_DEFAULTS = { lingerMs: 2, rowsWaitingMax: 4_096, asksWaitingMax: 256 } as const;

export const inferenceActor = (options: InferenceOptions): ActorDefinition<InferenceMessage> =>
  machineActor<InferenceState, InferenceMessage, InferenceEffect>({
    machine: "inference",
    name: `inference-${options.card.name}-${options.card.version}`,
    life: (context) => new InferenceShell(options, context),
  });

class InferenceShell implements Shell<InferenceState, InferenceMessage, InferenceEffect> {
  readonly machine;
  readonly first = [{ type: "begin" } as const];
  readonly #options: InferenceOptions;
  readonly #context: MachineContext<InferenceMessage>;
  #model: OpenModel | undefined;
  /** Counts openings: a model whose opening was given up is closed once it comes. */
  #opening = 0;

  constructor(options: InferenceOptions, context: MachineContext<InferenceMessage>) {
    this.#options = options;
    this.#context = context;
    const settings = { ...INFERENCE_DEFAULTS, ...options.settings, rowsMax: options.card.rowsMax };
    this.machine = { initial: createInference(settings), step: stepInference };
  }

  perform(effect: InferenceEffect, context: MachineContext<InferenceMessage>): void | Promise<void> {
    switch (effect.type) {
      case "open":
        return this.#open().then(() => context.tell({ type: "opened" }));
      case "run":
        return this.#run(effect.inputs).then((inferences) => context.tell({ type: "ran", inferences }));
      case "answer":
        effect.ask.replyTo.tell(effect.answer);
        return;
      case "linger":
        context.after(effect.delayMs, { type: "linger_due" });
        return;
      case "wait":
        context.after(effect.delayMs, { type: "retry_due" });
        return;
      case "report":
        this.#options.observe(effect.report);
        return;
    }
  }

  deadlineMs({ type }: InferenceEffect): number | undefined {
    if (type === "open") return INFERENCE_LIMITS.openWithinMs;
    return type === "run" ? INFERENCE_LIMITS.runWithinMs : undefined;
  }

  onEffectFailed({ type }: InferenceEffect, error: unknown): InferenceMessage | undefined {
    const reason = reasonOf(error);
    if (type === "run") return { type: "run_failed", reason, isLost: error instanceof UnavailableError };
    if (type !== "open" || error instanceof ConfigurationError) return undefined;
    return { type: "not_opened", reason, random: this.#context.random() };
  }

  async stop({ asks }: InferenceState): Promise<void> {
    for (const { ask } of asks) {
      const reason = "Cannot infer as the model must be running: its actor stops";
      ask.replyTo.tell({ kind: "unavailable", reason, retryAfterMs: INFERENCE_LIMITS.retryFirstMs });
    }
    await this.#close();
  }

  async #open(): Promise<void> {
    await this.#close();
    const opening = this.#opening;
    const model = await this.#options.open();
    if (opening === this.#opening) this.#model = model;
    else await model.close();
  }

  /** Of a session that hangs as well (driver R3). */
  async #close(): Promise<void> {
    this.#opening += 1;
    const model = this.#model;
    this.#model = undefined;
    await model?.close();
  }

  async #run(inputs: Extract<InferenceEffect, { type: "run" }>["inputs"]) {
    if (this.#model !== undefined) return this.#model.run(inputs);
    throw new UnavailableError(
      "NOT_READY",
      `Cannot run model ${this.#options.card.name} as it must be open: it is not`,
    );
  }
}
