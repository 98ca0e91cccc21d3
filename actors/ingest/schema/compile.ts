/**
 * Compiles a schema of 2020-12 to one check, a function for each of its schemas. The check counts its steps (`run.ts`).
 * Before any event references are resolved, patterns are compiled by RE2, and a schema that refers to itself for the
 * same value is refused.
 */
import type { CompilePattern, LinearPattern } from "../../kernel/linear_pattern.ts";
import { arrayRules } from "./array_rules.ts";
import { combiningRules, withUnevaluated } from "./combining_rules.ts";
import { sizeOf, UNIQUE_ITEM_STEPS } from "./equality.ts";
import { TEXT_FORMATS } from "./formats.ts";
import { isSchemaObject, type JsonSchema, subschemasOf } from "./keywords.ts";
import { DECIMAL_STEPS } from "./numbers.ts";
import { MEMBER_STEPS, objectRules } from "./object_rules.ts";
import { References, type Resource } from "./references.ts";
import { both, passes, passesApart, type RuleContext, refuses } from "./rules.ts";
import type { Check } from "./run.ts";
import { equalityRules, numberRules, textRules, typeRules } from "./value_rules.ts";

export interface CompiledSchema {
  readonly check: Check;
  /** Steps that all rules of the schema cost for one value. */
  readonly weight: number;
}

const RULES = [typeRules, numberRules, textRules, equalityRules, combiningRules, arrayRules, objectRules];

interface Node {
  check: Check | undefined;
  /** Nodes that judge the same value when this one does. */
  readonly beside: Set<Node>;
}

/** Throws `Error` with the reason where the schema cannot be compiled. */
export const compileSchema = (schema: JsonSchema, compilePattern: CompilePattern): CompiledSchema =>
  new SchemaCompiler(schema, compilePattern).compile();

/** Compiles single schemas of a document, or schemas made from its parts, each when it is first asked for. */
export function compileParts(root: JsonSchema, compilePattern: CompilePattern): (part: unknown) => Check {
  const compiler = new SchemaCompiler(root, compilePattern);
  return (part) => compiler.checkOf(part);
}

/** The most RE2 instructions of all patterns of a schema: each takes memory, and time at the start. */
const PATTERNS_INSTRUCTIONS_MAX = 100_000;

class SchemaCompiler {
  readonly #root: JsonSchema;
  readonly #compilePattern: CompilePattern;
  readonly #references: References;
  readonly #nodes = new Map<JsonSchema, Node>();
  readonly #patterns = new Map<string, LinearPattern>();
  /** The targets of dynamic references by anchor. The node stands for all targets of one anchor. */
  readonly #places = new Map<string, { readonly node: Node; readonly checks: Map<object, Check> }>();
  readonly #isCollecting: boolean;
  #weight = 1;
  #instructions = 0;

  constructor(root: JsonSchema, compilePattern: CompilePattern) {
    this.#root = root;
    this.#compilePattern = compilePattern;
    this.#references = new References(root);
    this.#isCollecting = asksWhatWasEvaluated(root);
  }

  compile(): CompiledSchema {
    const root = this.#node(this.#root);
    refuseCircles(this.#nodes.values());
    return { check: checkOf(root), weight: this.#weight };
  }

  #node(schema: JsonSchema): Node {
    const known = this.#nodes.get(schema);
    if (known !== undefined) return known;
    const node: Node = { check: undefined, beside: new Set() };
    this.#nodes.set(schema, node);
    const resource = this.#references.resourceAround(schema);
    const context = this.#contextOf(node, resource);
    this.#weight += weightOf(schema);
    const others = both(RULES.map((rules) => rules(schema, context)));
    const check = withUnevaluated(schema, context, others) ?? passes;
    node.check = resource.root === schema ? this.#entering(resource, check) : check;
    return node;
  }

  #contextOf(node: Node, resource: Resource): RuleContext {
    return {
      isCollecting: this.#isCollecting,
      part: (subschema) => {
        const check = this.checkOf(subschema);
        return this.#isCollecting ? (value, run) => passesApart(check, value, run) : check;
      },
      beside: (subschema) => this.checkOf(subschema, node),
      reference: (reference, isDynamic) => this.#reference(reference, isDynamic, node, resource),
      pattern: (source) => this.#pattern(source),
    };
  }

  checkOf(subschema: unknown, beside?: Node): Check {
    if (subschema === false) return refuses;
    if (!isSchemaObject(subschema)) return passes;
    const node = this.#node(subschema);
    beside?.beside.add(node);
    return checkOf(node);
  }

  #reference(reference: string, isDynamic: boolean, from: Node, resource: Resource): Check {
    const target = this.#references.resolve(reference, resource);
    const check = this.checkOf(target.schema, from);
    const entered = target.resource === resource ? check : this.#entering(target.resource, check);
    const anchor = reference.split("#")[1] ?? "";
    const isAnchored = isSchemaObject(target.schema) && target.schema.$dynamicAnchor === anchor;
    if (!isDynamic || !isAnchored || !this.#references.isDynamic)
      return (value, run) => run.take(1) && entered(value, run);
    const places = this.#placesOf(anchor, from);
    return (value, run) => {
      if (!run.take(1 + run.scope.length)) return false;
      const outermost = run.scope.find((one) => places.has(one));
      const found = outermost === undefined ? undefined : places.get(outermost);
      return (found ?? entered)(value, run);
    };
  }

  /** The targets that dynamic references to an anchor may lead to, found once for all of them. */
  #placesOf(anchor: string, from: Node): ReadonlyMap<object, Check> {
    const known = this.#places.get(anchor) ?? { node: { check: passes, beside: new Set() }, checks: new Map() };
    from.beside.add(known.node);
    if (this.#places.has(anchor)) return known.checks; // still being filled, where a target holds such a reference
    this.#places.set(anchor, known);
    for (const [candidate, schema] of this.#references.dynamicAnchors(anchor)) {
      known.checks.set(candidate, this.#entering(candidate, this.checkOf(schema, known.node)));
    }
    return known.checks;
  }

  /** Keeps the scope in which dynamic references are looked up. */
  #entering(resource: Resource, check: Check): Check {
    if (!this.#references.isDynamic) return check;
    return (value, run) => {
      run.scope.push(resource);
      const isMatch = check(value, run);
      run.scope.pop();
      return isMatch;
    };
  }

  #pattern(source: string): LinearPattern {
    const known = this.#patterns.get(source);
    if (known !== undefined) return known;
    const pattern = this.#compilePattern(source);
    this.#patterns.set(source, pattern);
    this.#instructions += pattern.stepsOfOne;
    if (this.#instructions > PATTERNS_INSTRUCTIONS_MAX) {
      throw new Error(`all its patterns together must compile to at most ${PATTERNS_INSTRUCTIONS_MAX} instructions`);
    }
    this.#weight += pattern.stepsOfOne;
    return pattern;
  }
}

/** The check of a node; looked up for each event where the node is still being compiled, around its own reference. */
const checkOf = (node: Node): Check => node.check ?? ((value, run) => (node.check ?? passes)(value, run));

/** Steps of a schema's own rules: 1 for each keyword and each element that it holds, and the size of allowed values. */
function weightOf(schema: JsonSchema): number {
  let weight = 1 + sizeOf(schema.enum) + sizeOf(schema.const);
  if (schema.multipleOf !== undefined) weight += DECIMAL_STEPS;
  if (schema.uniqueItems === true) weight += UNIQUE_ITEM_STEPS;
  if ((schema.propertyNames ?? schema.patternProperties ?? schema.additionalProperties) !== undefined)
    weight += MEMBER_STEPS;
  weight += TEXT_FORMATS.get(String(schema.format))?.steps ?? 0;
  for (const value of Object.values(schema)) {
    weight += 1;
    if (typeof value === "object" && value !== null) weight += Object.keys(value).length;
  }
  return weight;
}

const asksWhatWasEvaluated = (schema: unknown): boolean =>
  isSchemaObject(schema) &&
  (schema.unevaluatedItems !== undefined ||
    schema.unevaluatedProperties !== undefined ||
    subschemasOf(schema).some(asksWhatWasEvaluated));

/** Throws `Error` for a circle of schemas that judge the same value: its check would never end. */
function refuseCircles(nodes: Iterable<Node>): void {
  const done = new Set<Node>();
  const open = new Set<Node>();
  const visit = (node: Node): void => {
    if (done.has(node)) return;
    if (open.has(node)) throw new Error("a schema must not refer to itself for the same value: it would never end");
    open.add(node);
    for (const next of node.beside) visit(next);
    open.delete(node);
    done.add(node);
  };
  for (const node of nodes) visit(node);
}
