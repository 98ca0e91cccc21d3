// biome-ignore-all lint/suspicious/noTemplateCurlyInString: a configuration names variables this way
/**
 * Puts variables and files into the texts of a configuration: `${NAME}` in every text, `$${` for the characters `${`
 * themselves, and `{ valueEnv: NAME }` or `{ valueFile: path }` in the place of a text of the log, a source or a sink.
 * Values put in are secrets, and are hidden from then on.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type LineAt, type Problem, problemAt } from "../../configuration/configuration_problem.ts";
import type { HiddenTexts } from "./hidden_texts.ts";

export interface Expansion {
  readonly variable: (name: string) => string | undefined;
  /** The folder in which relative paths of files begin. */
  readonly folder: string;
  readonly lineAt: LineAt;
  readonly hidden: HiddenTexts;
}

export interface Expanded {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** JSON Pointers to the texts that variables or files have filled, in part or whole. */
  readonly filled: ReadonlySet<string>;
}

type Path = readonly (string | number)[];

/** Sections in which a map may stand for a text. */
const SECTIONS_WITH_SECRETS: readonly unknown[] = ["log", "sources", "sinks"];
const PLACE = /\$\$\{|\$\{([^}]*)(\}?)/g;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SECRET_CHARACTERS_MAX = 65_536;

export async function expandTexts(value: unknown, expansion: Expansion): Promise<Expanded> {
  const walk = new Walk(expansion);
  const expanded = await walk.expand(value, []);
  const problems = walk.problems.sort((left, right) => left.line - right.line);
  return { value: expanded, problems, filled: walk.filled };
}

class Walk {
  readonly #expansion: Expansion;
  readonly problems: Problem[] = [];
  readonly filled = new Set<string>();

  constructor(expansion: Expansion) {
    this.#expansion = expansion;
  }

  async expand(value: unknown, path: Path): Promise<unknown> {
    if (typeof value === "string") return this.#text(value, path);
    if (Array.isArray(value)) return Promise.all(value.map((item, at) => this.expand(item, [...path, at])));
    if (typeof value !== "object" || value === null) return value;
    const source = secretSource(value, path);
    if (source !== undefined) return await this.#secret(source, path);
    const entries = Object.entries(value).map(async ([key, item]) => [key, await this.expand(item, [...path, key])]);
    return Object.fromEntries(await Promise.all(entries));
  }

  #text(text: string, path: Path): string {
    if (!text.includes("${")) {
      if (isAddress(text) && SECTIONS_WITH_SECRETS.includes(path[0])) this.#expansion.hidden.addAddress(text);
      return text;
    }
    const values: string[] = [];
    const expanded = text.replace(PLACE, (place: string, name: string | undefined, end: string) => {
      if (name === undefined) return "${";
      const value = this.#variable(name, end, path);
      if (value !== undefined) values.push(value);
      return value ?? place;
    });
    this.#hide(expanded, values, path);
    return expanded;
  }

  #variable(name: string, end: string, path: Path): string | undefined {
    if (end === "" || !VARIABLE_NAME.test(name)) {
      this.#problem(
        path,
        `\${ must begin the name of a variable, such as \${NAME}: write $\${ for the characters themselves`,
      );
      return undefined;
    }
    const value = this.#expansion.variable(name);
    if (value === undefined) this.#problem(path, `variable ${name} must be set: it is not`);
    return value;
  }

  async #secret({ kind, name }: SecretSource, path: Path): Promise<string> {
    const found =
      kind === "valueEnv"
        ? this.#variable(name, "}", path)
        : await this.#file(resolve(this.#expansion.folder, name), path);
    const value = found?.replace(/\r?\n$/, "") ?? "";
    if (found !== undefined && (value === "" || value.length > SECRET_CHARACTERS_MAX))
      this.#problem(
        path,
        `${kind} ${name} must hold 1 to ${SECRET_CHARACTERS_MAX} characters: it holds ${value.length}`,
      );
    this.#hide(value, [value], path);
    return value;
  }

  async #file(file: string, path: Path): Promise<string | undefined> {
    try {
      return await readFile(file, "utf8");
    } catch (error) {
      this.#problem(path, `valueFile cannot be read: ${(error as Error).message}`);
      return undefined;
    }
  }

  #hide(text: string, values: readonly string[], path: Path): void {
    const { hidden } = this.#expansion;
    this.filled.add(`/${path.join("/")}`);
    if (isAddress(text)) hidden.addAddress(text, values);
    else for (const value of values) hidden.add(value);
  }

  #problem(path: Path, reason: string): void {
    this.problems.push(problemAt(this.#expansion.lineAt, path, reason));
  }
}

interface SecretSource {
  readonly kind: "valueEnv" | "valueFile";
  readonly name: string;
}

/** A map of exactly one of the two keys, where a text may stand. */
function secretSource(value: object, path: Path): SecretSource | undefined {
  if (!SECTIONS_WITH_SECRETS.includes(path[0])) return undefined;
  const [entry, ...others] = Object.entries(value);
  if (entry === undefined || others.length > 0) return undefined;
  const [kind, name] = entry;
  return (kind === "valueEnv" || kind === "valueFile") && typeof name === "string" ? { kind, name } : undefined;
}

/** `https://host/...`, `redis://host`, and no other text with a colon in it. */
function isAddress(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(text) && URL.canParse(text) && new URL(text).host !== "";
}
