/**
 * Hides secrets in every text that leaves the node for a person. A secret is a value that came from a variable or a
 * file, or the part of an address after its host. Pure.
 */

/** Fewest characters of a hidden value: shorter ones occur in ordinary words. */
const HIDDEN_CHARACTERS_MIN = 4;
/** Fewest characters of a hidden token behind a scheme, and of a secret that the end of a text cut off. */
const PART_CHARACTERS_MIN = 8;
/** A value of the header Authorization: a scheme (RFC 9110, 11.1) and its token. */
const SCHEME_AND_TOKEN = /^[\w!#$%&'*+.^`|~-]+[ \t]+(\S+)$/;
/** Fewest characters of a path or query that is hidden in any text: shorter ones occur in ordinary words. */
const LOCATION_CHARACTERS_MIN = 16;
export const HIDDEN = "[hidden]";

export class HiddenTexts {
  readonly #shownAs = new Map<string, string>();
  /** Longest first, so that a secret that holds another one is hidden whole. */
  #ordered: readonly (readonly [text: string, shown: string])[] = [];

  /** A value that came from a variable or a file. */
  add(value: string, shown = HIDDEN): void {
    for (const text of textsOf(value)) {
      for (const form of [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)]) {
        if (form.length >= HIDDEN_CHARACTERS_MIN && form !== shown) this.#shownAs.set(form, shown);
      }
    }
    this.#ordered = [...this.#shownAs].sort(([left], [right]) => right.length - left.length);
  }

  /** An address, whose scheme and host stay readable. @param values the secrets that were put into it */
  addAddress(text: string, values: readonly string[] = []): void {
    const url = new URL(text);
    const location = `${url.pathname}${url.search}`;
    const origin = `${url.protocol}//${url.host}`;
    const password = decoded(url.password);
    if (location.length > 1 || url.username !== "" || password !== "") {
      this.add(text, `${origin}/${HIDDEN}`);
      this.add(url.href, `${origin}/${HIDDEN}`);
    }
    if (location.length > 1) this.add(`${url.host}${location}`, `${url.host}/${HIDDEN}`);
    if (location.length >= LOCATION_CHARACTERS_MIN) this.add(location, `/${HIDDEN}`);
    if (url.username !== "" || password !== "") this.add(`${url.username}:${url.password}@`, `${HIDDEN}@`);
    if (password !== "") this.add(password);
    for (const value of values) if (!origin.includes(value)) this.add(value);
  }

  hide(text: string): string {
    let shown = text;
    for (const [secret, instead] of this.#ordered) {
      if (shown.includes(secret)) shown = shown.replaceAll(secret, () => instead);
    }
    return this.#withoutCutSecret(shown);
  }

  /** Hides the beginning of a secret at the end of a text, as texts may have been cut before. */
  #withoutCutSecret(text: string): string {
    let cutAt = text.length;
    for (const [secret, instead] of this.#ordered) {
      if (instead !== HIDDEN) continue; // the beginning of an address stays readable
      const beginning = secret.slice(0, PART_CHARACTERS_MIN);
      if (beginning.length < PART_CHARACTERS_MIN) break; // the remaining secrets are shorter
      const from = Math.max(0, text.length - secret.length);
      for (let at = text.indexOf(beginning, from); at >= 0; at = text.indexOf(beginning, at + 1)) {
        if (secret.startsWith(text.slice(at))) cutAt = Math.min(cutAt, at);
      }
    }
    return cutAt === text.length ? text : `${text.slice(0, cutAt)}${HIDDEN}`;
  }

  /** Hides secrets in every text inside a value that is to be logged. */
  hideIn(value: unknown): unknown {
    if (this.#ordered.length === 0) return value;
    if (typeof value === "string") return this.hide(value);
    if (Array.isArray(value)) return value.map((item) => this.hideIn(item));
    if (value instanceof Error) return this.hide(value.message);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.hideIn(item)]));
  }

  /** Hides secrets in an error and its causes. Answers the same error. */
  hideInError<Thrown>(error: Thrown): Thrown {
    for (let one: unknown = error, depth = 0; one instanceof Error && depth < 10; one = one.cause, depth += 1) {
      one.message = this.hide(one.message);
      if (one.stack !== undefined) one.stack = this.hide(one.stack);
    }
    return error;
  }

  /** Keeps the secrets out of a printed configuration. */
  toJSON(): string {
    return HIDDEN;
  }
}

/** The forms of a value: unchanged, trimmed as in a header, and the token at its end. */
function textsOf(value: string): ReadonlySet<string> {
  const trimmed = value.trim();
  const token = SCHEME_AND_TOKEN.exec(trimmed)?.[1] ?? "";
  return new Set([value, trimmed, ...(token.length < PART_CHARACTERS_MIN ? [] : [token])]);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // an invalid percent sign stands for itself
  }
}
