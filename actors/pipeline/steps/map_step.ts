/**
 * Makes a new event of expressions: `map: {host: event.host, load: event.cpu * 100}`. With `keep: true` beside it, the
 * event's own fields stay, and the named fields are added or replaced. A field whose value is an absent optional is
 * left out.
 */
import type { ExpressionCompiler } from "./expression.ts";
import type { Step } from "./step.ts";

export interface MapSettings {
  readonly map: Readonly<Record<string, string>>;
  readonly keep?: boolean;
}

export function mapStep({ map, keep = false }: MapSettings, where: string, compile: ExpressionCompiler): Step {
  const fields = Object.entries(map).map(([name, source]) => [name, compile(source, `${where}.${name}`)] as const);
  return {
    name: "map",
    isDeterministic: true,
    run(event, context) {
      const values = new Map<string, unknown>(keep ? Object.entries(event) : []);
      for (const [name, expression] of fields) {
        const value = expression(event, context);
        if (value === undefined) values.delete(name);
        else values.set(name, value);
      }
      return [Object.fromEntries(values)];
    },
  };
}
