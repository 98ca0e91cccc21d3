/**
 * A model that serves: its definition with a session. Runs inputs of any number of askers as one batch, and answers each by
 * itself. Leaves the choice of batches, and what follows a failed run, to the inference machine.
 */
import { isDeepStrictEqual } from "node:util";
import { checkArtifact } from "../../models/card.ts";
import { type Inference, type ModelDefinition, type Row, refused } from "../../models/model.ts";
import { cutRows, stackRows } from "../../models/rows.ts";
import { ConfigurationError, reasonOf } from "../../protocols/errors.ts";
import type { Event } from "../../protocols/event.ts";
import { type ModelDriver, type ModelSession, SESSION_LIMITS, type SessionLimits } from "./driver.ts";

export interface OpenModel {
  /**
   * Answers each input in its place (model M3), in runs of at most the card's `rowsMax`. Rejects as the session does: the
   * fault may then be any row's.
   */
  run(inputs: readonly Event[]): Promise<readonly Inference[]>;
  close(): Promise<void>;
}

/**
 * Opens a session on an artifact that is the card's, and has it answer the card's examples: the first run is slower than
 * the others, and a runtime that calculates otherwise on this machine is found before the first record.
 *
 * Throws `ConfigurationError` for an artifact or an answer that is not the card's, and whatever the driver throws.
 */
export async function openModel(
  definition: ModelDefinition,
  artifact: Uint8Array,
  driver: ModelDriver,
  limits: SessionLimits = SESSION_LIMITS,
): Promise<OpenModel> {
  await checkArtifact(definition.card, artifact);
  const session = await driver.open(artifact, limits);
  try {
    await warmUp(definition, session);
  } catch (error) {
    await session.close();
    throw error;
  }
  return { run: (inputs) => runModel(definition, session, inputs), close: () => session.close() };
}

async function warmUp(definition: ModelDefinition, session: ModelSession): Promise<void> {
  const { name, version, examples } = definition.card;
  const answers = await runModel(
    definition,
    session,
    examples.map(({ input }) => input),
  );
  for (const [at, { result }] of examples.entries()) {
    const answer = answers[at];
    if (answer?.kind === "result" && isDeepStrictEqual(answer.result, result)) continue;
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot serve model ${name} ${version} as it must answer example ${at} of its card with ${JSON.stringify(result)}: current value is ${JSON.stringify(answer)}`,
    );
  }
}

async function runModel(
  { card, prepare, finish }: ModelDefinition,
  session: ModelSession,
  inputs: readonly Event[],
): Promise<readonly Inference[]> {
  const prepared = inputs.map((input) => guarded(() => prepare(input)));
  const rows = prepared.flatMap((one): Row[] => (one.kind === "row" ? [one.row] : []));
  const outputs: Row[] = [];
  for (let at = 0; at < rows.length; at += card.rowsMax) {
    const together = rows.slice(at, at + card.rowsMax);
    outputs.push(...cutRows(card.outputs, await session.run(stackRows(card.inputs, together)), together.length));
  }
  let at = 0;
  return prepared.map((one) => {
    if (one.kind === "refused") return one;
    const output = outputs[at++] as Row;
    return guarded(() => finish(output));
  });
}

/** A throw of the model's code is the fault of the one input. */
function guarded<Outcome>(perform: () => Outcome) {
  try {
    return perform();
  } catch (error) {
    return refused(`Cannot infer as the model's code must not throw: ${reasonOf(error)}`);
  }
}
