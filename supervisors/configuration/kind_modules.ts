/**
 * Loads kinds of sources and sinks that Headrace does not have, from a user's module or an installed package: `type:
 * ./orders_source.ts#orders`, `type: some-package`, `type: some-package#orders`. Without `#` it is the default export.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { loadDriver } from "../../deps.ts";
import { reasonOf } from "../../protocols/errors.ts";
import { type LineAt, type Problem, problemAt } from "./configuration_problem.ts";
import type { KnownKinds, LoadedKind, Raw } from "./configuration_raw.ts";
import type { Options, OwnKinds } from "./configuration_schema.ts";
import { type Section, shapeReasons } from "./kind_shape.ts";

/** The kinds of a configuration: those that are known, and its own. */
export interface FoundKinds {
  readonly kinds: KnownKinds;
  readonly own: OwnKinds;
  readonly problems: readonly Problem[];
}

/** Loads each kind that the configuration names and that is not known. */
export async function loadOwnKinds(raw: Raw, known: KnownKinds, folder: string, at: LineAt): Promise<FoundKinds> {
  const problems: Problem[] = [];
  const schemas = { sources: new Map(known.sources), sinks: new Map(known.sinks) };
  const own = { sources: new Map(), sinks: new Map() };
  for (const section of ["sources", "sinks"] as const) {
    for (const [name, { type }] of Object.entries(raw[section] ?? {})) {
      if (known.load === undefined || typeof type !== "string" || known[section].has(type)) continue;
      const loaded = await known.load(section, type, folder);
      if (loaded.kind === "unknown") continue; // told with the nearest known word
      if (loaded.kind === "refused") problems.push(problemAt(at, [section, name, "type"], loaded.reason));
      else own[section].set(type, loaded.definition);
      schemas[section].set(type, loaded.kind === "loaded" ? loaded.optionsSchema : {});
    }
  }
  return { kinds: { ...known, ...schemas }, own, problems };
}

/** Loads one kind. `unknown` where the type is a plain word and no package of that name is installed. */
export async function loadKind(section: Section, type: string, folder: string): Promise<LoadedKind> {
  const [module = "", name = "default"] = type.split("#");
  const isFile = /^\.{0,2}\//.test(module);
  const place = isFile ? resolve(folder, module) : await packageEntry(module, folder);
  if (place === undefined) {
    const isWord = !type.includes("#") && !/^@|\//.test(module);
    if (isWord) return { kind: "unknown" };
    return refused(`no package ${module} is installed for ${folder}`);
  }
  let exported: unknown;
  try {
    exported = ((await import(pathToFileURL(place).href)) as Readonly<Record<string, unknown>>)[name];
  } catch (error) {
    return refused(`cannot load ${module}: ${reasonOf(error)}`);
  }
  if (exported === undefined) return refused(`${module} must export ${name}: it does not`);
  const reasons = shapeReasons(section, exported);
  if (reasons.length > 0) return refused(`${type} is no kind of ${section}: ${reasons.join("; ")}`);
  const { optionsSchema } = exported as { readonly optionsSchema: Options };
  const unusable = await unusableReason(optionsSchema);
  if (unusable !== undefined) return refused(`${type} is no kind of ${section}: ${unusable}`);
  return { kind: "loaded", definition: exported, optionsSchema };
}

/** The reason why the schema cannot judge options; undefined where it can. */
async function unusableReason(schema: Options): Promise<string | undefined> {
  const { Ajv2020 } = await loadDriver("ajv");
  try {
    new Ajv2020({ strict: false, logger: false }).compile(schema);
    return undefined;
  } catch (error) {
    return `optionsSchema must be a JSON Schema of draft 2020-12: ${reasonOf(error)}`;
  }
}

const refused = (reason: string): LoadedKind => ({ kind: "refused", reason });

/** The file that a package exports under its name, as seen from `folder`; undefined where it is not installed. */
async function packageEntry(specifier: string, folder: string): Promise<string | undefined> {
  if (!/^(@[\w.~-]+\/)?[\w.~-]+(\/[\w./~-]+)?$/.test(specifier)) return undefined;
  const require = createRequire(join(folder, "headrace.yaml"));
  const [, name = "", sub = ""] = /^((?:@[^/]+\/)?[^/]+)(?:\/(.*))?$/.exec(specifier) ?? [];
  for (const modules of require.resolve.paths(specifier) ?? []) {
    const manifest = join(modules, name, "package.json");
    const text = await readFile(manifest, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    const { exports, main } = JSON.parse(text) as { readonly exports?: unknown; readonly main?: string };
    const target = exports === undefined ? sub || main || "index.js" : exportOf(exports, sub === "" ? "." : `./${sub}`);
    return target === undefined ? undefined : join(dirname(manifest), target);
  }
  return undefined;
}

/** Conditions of this program, in the order in which a package lists them. */
const CONDITIONS: ReadonlySet<string> = new Set(["import", "node", "default"]);

/** The target of a package's `exports`: a text, or conditions that hold texts. Patterns with `*` are not looked into. */
function exportOf(exports: unknown, path: string): string | undefined {
  const isByPath =
    typeof exports === "object" && exports !== null && Object.keys(exports).some((key) => key.startsWith("."));
  const found = isByPath ? (exports as Readonly<Record<string, unknown>>)[path] : path === "." ? exports : undefined;
  return targetOf(found);
}

function targetOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return undefined;
  for (const [condition, target] of Object.entries(value)) {
    const found = CONDITIONS.has(condition) ? targetOf(target) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}
