/**
 * Reads the named properties of a map and judges each. For schemas of ordinary size this generates code: an access by a
 * name written in the code costs the engine a tenth of an access by a variable, and this runs for each event.
 */
import { has, isInherited } from "./rules.ts";
import type { Check, Run } from "./run.ts";

interface NamedCheck {
  readonly name: string;
  readonly check: Check;
  /** The name of the type, where the schema asks for nothing else. */
  readonly onlyType?: string | undefined;
}

/** The condition for each type, as code: a schema of a type alone calls no function. */
const PASSING: ReadonlyMap<string, string> = new Map([
  ["string", 'typeof p==="string"'],
  ["boolean", 'typeof p==="boolean"'],
  ["number", 'typeof p==="number"&&p-p===0'],
  ["integer", "Number.isInteger(p)"],
]);

/** Answers the number of named properties that the map has, or -1 where one is wrong or missing. */
export type ReadProperties = (value: Readonly<Record<string, unknown>>, run: Run) => number;

/** The most names for which code is generated; for more, a loop goes through the names. */
const WRITTEN_NAMES_MAX = 64;

export function propertiesReader(
  named: readonly NamedCheck[],
  required: readonly string[],
  isCollecting: boolean,
): ReadProperties {
  const names = new Set(named.map(({ name }) => name));
  const needed = required.filter((name) => !names.has(name));
  const plan: readonly Property[] = [
    ...named.map(({ name, check, onlyType }) => ({ name, check, onlyType, isRequired: required.includes(name) })),
    ...needed.map((name) => ({ name, isRequired: true })),
  ];
  const isOrdinary = plan.length <= WRITTEN_NAMES_MAX && !isCollecting && !plan.some(({ name }) => isInherited(name));
  return isOrdinary ? writtenReader(plan) : loopingReader(plan);
}

type Property = Pick<NamedCheck, "name"> & Partial<NamedCheck> & { readonly isRequired: boolean };

const missing = (name: string): string => `must have required property '${name}'`;

function writtenReader(plan: readonly Property[]): ReadProperties {
  const lines = plan.map(({ name, check, onlyType = "", isRequired }, index) => {
    const passing = PASSING.get(onlyType) ?? "false";
    const judge =
      check === undefined ? "" : `known++;if(!(${passing})&&!c${index}(p,run)){run.below(names[${index}]);return -1}`;
    const otherwise = isRequired ? `else{run.fail(missing[${index}]);return -1}` : "";
    return `p=value[${JSON.stringify(name)}];if(p!==undefined){${judge}}${otherwise}`;
  });
  const checks = plan.map((_, index) => `const c${index}=checks[${index}];`).join("");
  // Names are in the code as JSON text, and nothing else of the schema is.
  const make = new Function(
    "checks",
    "names",
    "missing",
    `${checks}return(value,run)=>{if(!run.take(${plan.length}))return -1;let known=0,p;${lines.join("")}return known}`,
  );
  return make(
    plan.map(({ check }) => check),
    plan.map(({ name }) => name),
    plan.map(({ name }) => missing(name)),
  ) as ReadProperties;
}

function loopingReader(plan: readonly Property[]): ReadProperties {
  return (value, run) => {
    if (!run.take(plan.length)) return -1;
    let known = 0;
    for (const { name, check, isRequired } of plan) {
      if (!has(value, name)) {
        if (!isRequired) continue;
        run.fail(missing(name));
        return -1;
      }
      if (check === undefined) continue;
      known += 1;
      if (!check(value[name], run)) {
        run.below(name);
        return -1;
      }
      run.evaluated?.properties.add(name);
    }
    return known;
  };
}
