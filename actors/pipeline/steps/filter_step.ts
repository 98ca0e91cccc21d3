/** Keeps the records for which an expression is true: `filter: event.cpu > 0.8`. */
import { RejectedError } from "../../../protocols/errors.ts";
import type { Step } from "../step.ts";
import type { ExpressionCompiler } from "./expression.ts";
import { perRecord } from "./per_record.ts";

const NOTHING: readonly never[] = [];

export function filterStep(source: string, where: string, compile: ExpressionCompiler): Step {
  const expression = compile(source, where);
  return {
    name: "filter",
    isDeterministic: true,
    run: perRecord((event, context) => {
      const isKept = expression(event, context);
      if (typeof isKept !== "boolean") {
        throw new RejectedError(
          "STEP_FAILED",
          `Cannot filter as ${where} must be true or false: current value is ${isKept}`,
        );
      }
      return isKept ? [event] : NOTHING;
    }),
  };
}
