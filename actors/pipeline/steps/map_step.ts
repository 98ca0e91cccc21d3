/**
 * Makes a new event of expressions: `map: {host: event.host, load: event.cpu * 100}`. With `keep: true` beside it, the
 * event's own fields stay, and the named fields are added or replaced. A field whose value is an absent optional is
 * left out.
 */

import type { Step } from "../step.ts";
import type { ExpressionCompiler } from "./expression.ts";
import { perRecord } from "./per_record.ts";

/** A field of this name is data: an assignment would change the object's prototype. */
const OWN_FIELD = { enumerable: true, configurable: true, writable: true };

export interface MapSettings {
  readonly map: Readonly<Record<string, string>>;
  readonly keep?: boolean;
}

export function mapStep({ map, keep = false }: MapSettings, where: string, compile: ExpressionCompiler): Step {
  const fields = Object.entries(map).map(([name, source]) => [name, compile(source, `${where}.${name}`)] as const);
  return {
    name: "map",
    isDeterministic: true,
    run: perRecord((event, context) => {
      const made: Record<string, unknown> = keep ? { ...event } : {};
      for (const [name, expression] of fields) {
        const value = expression(event, context);
        if (value === undefined) delete made[name];
        else if (name === "__proto__") Object.defineProperty(made, name, { value, ...OWN_FIELD });
        else made[name] = value;
      }
      return [made];
    }),
  };
}
