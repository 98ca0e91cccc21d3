/**
 * Runs a function of the user's own module: `call: ./enrich.ts#default`. The function is given (event, context) and
 * answers an event, several, or undefined for none, or a promise of those. A module that exports `snapshot` and
 * `restore` keeps state. Nothing is known about what it does: its pipeline computes once, into an outbox (E13).
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigurationError, RejectedError } from "../../../protocols/errors.ts";
import type { Event } from "../../../protocols/event.ts";
import type { Step, StepContext } from "./step.ts";

type UserFunction = (event: Event, context: StepContext) => unknown;

/** @param folder what a relative path is relative to: the folder of the configuration */
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
  const { snapshot, restore } = module;
  const step: Step = {
    name: "call",
    isDeterministic: false,
    run: async (event, context) => toEvents(await (call as UserFunction)(event, context), where),
  };
  if (typeof snapshot !== "function" || typeof restore !== "function") return step;
  return { ...step, state: { snapshot: () => snapshot(), restore: (value) => restore(value) } };
}

async function load(path: string, where: string, folder: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(resolve(folder, path)).href)) as Record<string, unknown>;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
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
