/**
 * Runs a function of the user's own module: `call: ./enrich.ts#default`. The function is given (event, context) and
 * answers an event, several, or undefined for none, or a promise of those. A step that keeps state is named
 * `./count.ts#create`: `create({stream, partition})` answers `{run, snapshot, restore}`, one instance for each
 * partition. The function may do anything, so its pipeline computes once, into an outbox (E13). It is given a copy of the
 * event, as other pipelines and sinks share the event itself.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigurationError, RejectedError, reasonOf } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import type { PartitionReference } from "../../../protocols/position.ts";
import { ownCopy } from "../../../protocols/values/own_copy.ts";
import type { Step, StepContext, StepInstance } from "../step.ts";
import { perRecord } from "./per_record.ts";

type UserFunction = (event: Event, context: StepContext) => unknown;

export async function callStep(reference: string, where: string, folder: string): Promise<Step> {
  const [path = "", exportName = "default"] = reference.split("#");
  const module = await load(path, where, folder);
  const call = module[exportName];
  if (typeof call !== "function") {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot use ${where} as ${path} must export the function '${exportName}': current value is ${typeof call}`,
    );
  }
  const step: Step = {
    name: "call",
    isDeterministic: false,
    run: perRecord(async (event, context) => toEvents(await (call as UserFunction)(ownCopy(event), context), where)),
  };
  if (exportName !== "create") return step;
  return { ...step, instantiate: (partition) => instanceOf((call as Create)(partition), where) };
}

interface UserInstance {
  run(event: Event, context: StepContext): unknown;
  snapshot?(): unknown;
  restore?(snapshot: unknown): void;
}

type Create = (partition: PartitionReference) => UserInstance;

function instanceOf(instance: UserInstance, where: string): StepInstance {
  if (typeof instance?.run !== "function") {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot use ${where} as create must answer an object with run: current value is ${typeof instance}`,
    );
  }
  return {
    run: perRecord(async (event, context) => toEvents(await instance.run(ownCopy(event), context), where)),
    snapshot: () => instance.snapshot?.() ?? null,
    restore: (snapshot) => instance.restore?.(snapshot),
  };
}

async function load(path: string, where: string, folder: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(resolve(folder, path)).href)) as Record<string, unknown>;
  } catch (error) {
    const reason = reasonOf(error);
    throw new ConfigurationError("INVALID_CONFIGURATION", `Cannot load ${where}: ${reason}: current value is ${path}`, {
      cause: error,
    });
  }
}

function toEvents(answer: unknown, where: string): readonly Event[] {
  if (answer === undefined) return [];
  const events = Array.isArray(answer) ? answer : [answer];
  for (const event of events) {
    if (typeof event === "object" && event !== null && !Array.isArray(event)) continue;
    throw new RejectedError(
      "STEP_FAILED",
      `Cannot take the answer of ${where} as it must be an event: current value is ${event}`,
    );
  }
  return events as Event[];
}
