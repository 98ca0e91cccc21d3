/**
 * Cuts JSON text into the values at its top: those of one array around them all, or those that follow each other with
 * anything white between. Holds no more than one value at a time, so a file may be larger than memory. Whether a value
 * is valid is for `JSON.parse` to say.
 */
import { DataError } from "./exit_codes.ts";

export interface JsonElement {
  readonly text: string;
  /** 1-based line on which it begins. */
  readonly line: number;
}

export class JsonElements {
  readonly #charactersMax: number;
  #held = "";
  #line = 1;
  #elementLine = 1;
  #depth = 0;
  #isInArray: boolean | undefined;
  #isInText = false;
  #isEscaped = false;

  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax;
  }

  *take(chunk: string): Iterable<JsonElement> {
    let begin = this.#held === "" ? -1 : 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const character = chunk[at] as string;
      if (character === "\n") this.#line += 1;
      if (this.#isInText) {
        this.#stepInText(character);
        continue;
      }
      const isWhite = character === " " || character === "\n" || character === "\t" || character === "\r";
      if (this.#isInArray === undefined && !isWhite && character !== "\ufeff") {
        this.#isInArray = character === "[";
        if (this.#isInArray) continue;
      }
      const isEnd =
        this.#depth === 0 && (isWhite || (this.#isInArray === true && (character === "," || character === "]")));
      if (isEnd) {
        if (begin >= 0) yield this.#element(chunk.slice(begin, at));
        begin = -1;
        continue;
      }
      if (begin < 0 && !isWhite) {
        begin = at;
        this.#elementLine = this.#line;
      }
      if (character === '"') this.#isInText = true;
      else if (character === "{" || character === "[") this.#depth += 1;
      else if ((character === "}" || character === "]") && this.#depth > 0) {
        this.#depth -= 1;
        if (this.#depth === 0) {
          yield this.#element(chunk.slice(begin, at + 1));
          begin = -1;
        }
      }
    }
    if (begin >= 0) this.#hold(chunk.slice(begin));
  }

  /** What is left when the text has ended: a value cut short, or a bare one. */
  *end(): Iterable<JsonElement> {
    if (this.#held.trim() !== "") yield this.#element("");
  }

  #stepInText(character: string): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (character === "\\") this.#isEscaped = true;
    else if (character === '"') this.#isInText = false;
  }

  #hold(text: string): void {
    this.#held += text;
    if (this.#held.length <= this.#charactersMax) return;
    throw new DataError(
      `Cannot read the value at line ${this.#elementLine} as it must have at most ${this.#charactersMax} characters`,
    );
  }

  #element(rest: string): JsonElement {
    const text = this.#held + rest;
    this.#held = "";
    return { text, line: this.#elementLine };
  }
}
