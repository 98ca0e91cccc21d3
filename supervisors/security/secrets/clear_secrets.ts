/** Finds secrets in clear text in a configuration, which every reader of the file sees. Pure. */
import { type LineAt, type Problem, problemAt } from "../../configuration/configuration_problem.ts";

type Path = readonly (string | number)[];

const SECTIONS: readonly unknown[] = ["log", "sources", "sinks", "security"];
const SECRET_NAME =
  /(^|[-_.])(pass(word|wd|phrase)?|secrets?|tokens?|api[-_]?keys?|authorization|cookie|credentials?|access[-_]?keys?|private[-_]?keys?|signature|sig)$|(password|secret|token|apikey|accesskey)$/i;
/** The beginnings of tokens of well-known services, and of signed tokens. */
const TOKEN_START = /^(ghp_|gho_|github_pat_|glpat-|xox[abprs]-|sk-|sk_live_|AKIA[0-9A-Z]{12}|eyJ[\w-]+\.[\w-]+\.)/;
/** A random part of a path, with letters and digits mixed, such as the end of a webhook's address. */
const TOKEN_LIKE_PART = /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_-]{20,}$/;
const ADVICE = `write $${"{NAME}"}, valueEnv or valueFile in its place`;

/** Whether options, headers and parameters of this name hold secrets. */
export const isSecretName = (name: string): boolean => SECRET_NAME.test(name);

/** @param value the configuration as written, before variables and files were put into its texts */
export function clearSecrets(value: unknown, lineAt: LineAt): readonly Problem[] {
  return reasonsIn(value, []).map(([path, reason]) => problemAt(lineAt, path, `${reason}: ${ADVICE}`));
}

function reasonsIn(value: unknown, path: Path): readonly (readonly [Path, string])[] {
  if (path.length > 0 && !SECTIONS.includes(path[0])) return [];
  if (typeof value === "string") {
    const reason = value.includes("${") ? undefined : reasonFor(value, String(path.at(-1)));
    return reason === undefined ? [] : [[path, reason]];
  }
  if (typeof value !== "object" || value === null) return [];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return entries.flatMap(([key, item]) => reasonsIn(item, [...path, key]));
}

function reasonFor(text: string, name: string): string | undefined {
  if (/^value(Env|File)$|(File|Env)$/.test(name) || text === "") return undefined;
  if (isSecretName(name)) return `${name} holds a secret in clear text`;
  if (TOKEN_START.test(text) || /^(Bearer|Basic) +\S/i.test(text)) return `${name} holds a token in clear text`;
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.password !== "") return `${name} holds a password in clear text`;
  if ([...url.searchParams.keys()].some((key) => SECRET_NAME.test(key)))
    return `${name} holds a secret in its query in clear text`;
  if (url.pathname.split("/").some((part) => TOKEN_LIKE_PART.test(part)))
    return `${name} holds a token in its path in clear text`;
  return undefined;
}
