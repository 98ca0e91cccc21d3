/**
 * One validation under way: the steps that are left, the first fault and its path. Steps are counted instead of time,
 * so that a verdict is the same on every machine and in every replay.
 *
 *   V1. Work whose size depends on the event takes its steps before it begins.
 *   V2. An event is granted `STEPS_BASE`, and the schema's weight for each of its values and characters: the cost of
 *       every rule of the schema, applied once to each of them. No event is granted more than `STEPS_MAX`.
 *   V3. Once the steps are spent every check answers false, up to the root, and judges nothing more.
 */

/** The most steps of one event, whatever its size and schema: 10 to 40 ms on one core of 2026. */
export const STEPS_MAX = 2_500_000;
export const STEPS_BASE = 1_000;

/** A map with more keys is a hash table to the engine: to list its keys costs ten times as much for each. */
const SMALL_MAP_KEYS = 64;
const LISTED_KEY_STEPS = 36;

/** A check of one schema: answers whether the value passes. A check that answers false has set the run's fault. */
export type Check = (value: unknown, run: Run) => boolean;

/** Properties and items of one value that were looked at by rules beside each other, for `unevaluated...`. */
export interface Evaluated {
  allProperties: boolean;
  readonly properties: Set<string>;
  allItems: boolean;
  /** Items below this index. */
  itemsBelow: number;
  readonly items: Set<number>;
}

export class Run {
  left = STEPS_BASE;
  isSpent = false;
  /** JSON Pointer of the fault, built on the way back to the root. */
  path = "";
  reason = "";
  /** A value that is shown after the reason; undefined for none. */
  detail: unknown;
  /** Filled in while a rule around this one asks what was evaluated; else undefined. */
  evaluated: Evaluated | undefined;
  /** Schema resources that were entered by reference, the outermost first. */
  readonly scope: object[] = [];
  #event: unknown;
  #weight = 0;
  /** Steps granted beyond the base; undefined until they are needed. */
  #granted: number | undefined;
  #keysOf: object | undefined;
  #keys: readonly string[] = [];

  begin(event: unknown, weight: number): void {
    this.left = STEPS_BASE;
    this.isSpent = false;
    this.#event = event;
    this.#weight = weight;
    this.#granted = undefined;
  }

  /** Lets the event go, so that it is not kept alive. */
  end(): void {
    this.#event = undefined;
    this.#keysOf = undefined;
    this.#keys = [];
  }

  /** Whether the keys of a large map are at hand. */
  hasListed(value: object): boolean {
    return this.#keysOf === value;
  }

  /** The keys of a map. To list those of a large map takes steps, once for all rules that stand beside each other. */
  keysOf(value: object): readonly string[] {
    if (this.#keysOf === value) return this.#keys;
    const keys = Object.keys(value);
    if (keys.length <= SMALL_MAP_KEYS) return keys;
    this.#keysOf = value;
    this.#keys = keys;
    this.take(keys.length * LISTED_KEY_STEPS);
    return keys;
  }

  get taken(): number {
    return STEPS_BASE + (this.#granted ?? 0) - this.left;
  }

  /** Takes steps (V1). False once they are spent: the check must then answer false. */
  take(steps: number): boolean {
    this.left -= steps;
    return this.left >= 0 || !this.overdraw();
  }

  /** Called when `left` is below 0; answers whether the steps are spent. Only here an event's size is measured (V2). */
  overdraw(): boolean {
    if (this.isSpent) return true;
    if (this.#granted === undefined) {
      this.#granted = grantOf(this.#event, this.#weight, (map) => this.#listed(map));
      this.left += this.#granted;
      if (this.left >= 0) return false;
    }
    this.isSpent = true;
    this.path = "";
    this.reason = `validation takes more than the ${STEPS_BASE + this.#granted} steps that an event of its size may take`;
    this.detail = undefined;
    return true;
  }

  #listed(map: object): readonly string[] {
    return this.#keysOf === map ? this.#keys : Object.keys(map);
  }

  fail(reason: string, detail?: unknown): false {
    if (this.isSpent) return false;
    this.path = "";
    this.reason = reason;
    this.detail = detail;
    return false;
  }

  /** Puts `part` before the path of the fault, on the way back to the root. */
  below(part: string | number): false {
    const token = typeof part === "number" ? String(part) : part.replaceAll("~", "~0").replaceAll("/", "~1");
    this.path = `/${token}${this.path}`;
    return false;
  }
}

/** Steps beyond the base that an event is granted under a schema of this weight (V2). */
export function grantOf(event: unknown, weight: number, keysOf: KeysOf = Object.keys): number {
  const most = STEPS_MAX - STEPS_BASE;
  return Math.min(most, weight * unitsOf(event, Math.ceil(most / weight), keysOf));
}

type KeysOf = (map: object) => readonly string[];

/** Values, keys and characters, counted up to `most`: the same however the event was encoded. */
export function unitsOf(value: unknown, most: number, keysOf: KeysOf = Object.keys): number {
  let units = 0;
  const visit = (one: unknown): void => {
    if (units >= most) return;
    units += 1;
    if (typeof one === "string") units += one.length;
    if (typeof one !== "object" || one === null) return;
    if (one instanceof Uint8Array) units += one.length;
    else if (Array.isArray(one)) for (const element of one) visit(element);
    else {
      for (const key of keysOf(one)) {
        if (units >= most) return;
        units += key.length;
        visit((one as Readonly<Record<string, unknown>>)[key]);
      }
    }
  };
  visit(value);
  return Math.min(units, most);
}
