/**
 * Tries the sinks and sources of a configuration against their real targets, for `lint --connect` and `doctor`. Kinds
 * without a live check are left out. Writes no record.
 */
import { reasonOf } from "../../protocols/errors.ts";
import type { Configuration } from "../../supervisors/configuration/configuration_schema.ts";
import { sinkOf, sourceOf } from "../../supervisors/configuration/kinds.ts";

/** Milliseconds for one target, however many are tried beside it. */
export const TARGET_WITHIN_MS = 10_000;

export interface TargetFinding {
  readonly section: "sinks" | "sources";
  readonly name: string;
  readonly type: string;
  /** Why the target is not fit for records; absent where it is. */
  readonly reason?: string;
}

export async function tryTargets(
  configuration: Configuration,
  withinMs = TARGET_WITHIN_MS,
): Promise<readonly TargetFinding[]> {
  const tries = [...sinkTries(configuration), ...sourceTries(configuration)];
  return Promise.all(
    tries.map(async ({ section, name, type, run }) => {
      const reason = await failureWithin(run, withinMs);
      const finding = { section, name, type } as const;
      return reason === undefined ? finding : { ...finding, reason: configuration.hidden.hide(reason) };
    }),
  );
}

interface TargetTry extends TargetFinding {
  run(signal: AbortSignal): Promise<void>;
}

const quiet = { nowMs: () => Date.now(), log: () => {} };

function sinkTries(configuration: Configuration): TargetTry[] {
  const { sinks, node } = configuration;
  return Object.entries(sinks).flatMap(([name, { type, options }]): TargetTry[] => {
    const definition = sinkOf(configuration, type);
    if (definition?.test === undefined) return [];
    const context = { ...quiet, folder: node.data, name };
    const run = async (signal: AbortSignal) =>
      definition.test?.(options as never, context, { signal, progressed: () => {} });
    return [{ section: "sinks", name, type, run }];
  });
}

function sourceTries(configuration: Configuration): TargetTry[] {
  return Object.entries(configuration.sources).flatMap(([name, { type, options }]): TargetTry[] => {
    const definition = sourceOf(configuration, type);
    if (definition?.test === undefined) return [];
    const context = { ...quiet, name, trouble: () => {} };
    const run = async () => definition.test?.(options as never, context);
    return [{ section: "sources", name, type, run }];
  });
}

/** The reason for which a check failed, or was not done in time. */
async function failureWithin(run: TargetTry["run"], withinMs: number): Promise<string | undefined> {
  const late = `no answer within ${withinMs} ms`;
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deadline = new Promise<string>((resolve) => {
    timer = setTimeout(() => {
      resolve(late);
      controller.abort(new Error(late));
    }, withinMs);
  });
  try {
    return await Promise.race([run(controller.signal).then(() => undefined, reasonOf), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
