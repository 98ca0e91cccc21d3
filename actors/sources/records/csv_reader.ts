/** Turns records of CSV into events. The options or the first record name the columns. */
import type { parse as CsvParse } from "csv-parse";
import { loadDriver } from "../../../deps.ts";
import { malformed, type PlacedItem, placed, type RecordReader, textOf } from "./placed_item.ts";
import type { FoundRecord } from "./record_cutter.ts";
import type { Encoding } from "./text_shape.ts";

/** `numbers`: text, or a number that reads back the same. `all`: also true, false and no empty fields. */
export type CsvValues = "text" | "numbers" | "all";

export interface CsvOptions {
  readonly delimiter?: string;
  readonly columns?: readonly string[];
  readonly values?: CsvValues;
  /** Called if the columns suggest another delimiter, or if names of columns had to be changed. */
  readonly warn?: (reason: string) => void;
}

type Row = readonly string[] | { readonly reason: string };

export async function csvReader(options: CsvOptions, encoding: Encoding): Promise<RecordReader> {
  const { parse } = await loadDriver("csv-parse");
  return new CsvReader(options, encoding, parse);
}

class CsvReader implements RecordReader {
  readonly #options: CsvOptions;
  readonly #encoding: Encoding;
  readonly #parse: typeof CsvParse;
  #columns: readonly string[] | undefined;
  headerFault: string | undefined;

  constructor(options: CsvOptions, encoding: Encoding, parse: typeof CsvParse) {
    this.#options = options;
    this.#encoding = encoding;
    this.#parse = parse;
    this.#columns = options.columns;
  }

  async read(records: readonly FoundRecord[]): Promise<readonly PlacedItem[]> {
    const present = records.filter(({ bytes }) => bytes.length > 0);
    const rows = await this.#rowsOf(present);
    return present.flatMap((record, index) => this.#item(record, rows[index] ?? { reason: "is no CSV record" }));
  }

  #item(record: FoundRecord, row: Row): readonly PlacedItem[] {
    if (this.headerFault !== undefined) return [malformed(record, `its columns have no names: ${this.headerFault}`)];
    if (this.#columns === undefined && "reason" in row) {
      this.headerFault = `the line that names the columns cannot be read: ${row.reason}`;
      return [malformed(record, this.headerFault)];
    }
    if ("reason" in row) return [malformed(record, row.reason)];
    if (this.#columns === undefined) {
      this.#columns = this.#named(row);
      return [];
    }
    const columns = this.#columns;
    if (row.length !== columns.length) {
      return [malformed(record, `must have ${columns.length} columns: has ${row.length}`)];
    }
    const { values = "text" } = this.#options;
    const fields = columns.flatMap((column, at): [string, unknown][] => {
      const text = row[at] ?? "";
      return values === "all" && text === "" ? [] : [[column, csvValue(text, values)]];
    });
    return [placed(record, Object.fromEntries(fields))];
  }

  #named(row: readonly string[]): readonly string[] {
    const { warn = () => undefined } = this.#options;
    const found = [";", "\t", "|", ","].find((one) => row.length === 1 && row[0]?.includes(one));
    if (found !== undefined) {
      warn(`CSV has one column and its name holds ${JSON.stringify(found)}: another delimiter may be meant`);
    }
    const columns = distinctNames(row);
    const changed = columns.filter((name, at) => name !== row[at]);
    if (changed.length > 0) warn(`CSV has columns without a name of their own: they are named ${changed.join(", ")}`);
    return columns;
  }

  /** Parses all records at once. If that fails, parses halves, to find the record at fault. */
  async #rowsOf(records: readonly FoundRecord[]): Promise<readonly Row[]> {
    const texts = records.map((record) => textOf(record, this.#encoding));
    const good = texts.filter((text): text is string => typeof text === "string");
    const rows = (await this.#parseAll(good)).values();
    return texts.map((text) =>
      typeof text === "string" ? (rows.next().value ?? { reason: "is no CSV record" }) : text,
    );
  }

  async #parseAll(texts: readonly string[]): Promise<readonly Row[]> {
    if (texts.length === 0) return [];
    const rows = await this.#parseText(texts.join("\n"));
    if (Array.isArray(rows) && rows.length === texts.length) return rows;
    if (texts.length === 1) return ["reason" in rows ? rows : { reason: "is no CSV record" }];
    const middle = texts.length >> 1;
    return [...(await this.#parseAll(texts.slice(0, middle))), ...(await this.#parseAll(texts.slice(middle)))];
  }

  #parseText(text: string): Promise<string[][] | { readonly reason: string }> {
    const { delimiter = "," } = this.#options;
    return new Promise((resolve) => {
      this.#parse(text, { delimiter, record_delimiter: "\n", relax_column_count: true }, (error, rows) => {
        resolve(error === undefined || error === null ? (rows as string[][]) : { reason: error.message });
      });
    });
  }
}

/** Gives each column a name of its own. A second `name` becomes `name_2`, and a nameless third column `column_3`. */
export function distinctNames(row: readonly string[]): readonly string[] {
  const taken = new Set(row);
  const used = new Set<string>();
  return row.map((given, at) => {
    if (given !== "" && !used.has(given)) {
      used.add(given);
      return given;
    }
    const base = given === "" ? `column_${at + 1}` : given;
    let name = given === "" ? base : `${base}_2`;
    for (let count = given === "" ? 2 : 3; taken.has(name) || used.has(name); count += 1) name = `${base}_${count}`;
    used.add(name);
    return name;
  });
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?$/;

function csvValue(text: string, values: CsvValues): unknown {
  if (values === "text") return text;
  if (values === "all" && (text === "true" || text === "false")) return text === "true";
  return numberOf(text) ?? text;
}

/** The number, only if it reads back as the same text: not 007, 1.10, -0, nor more digits than a double has. */
function numberOf(text: string): number | undefined {
  if (!NUMBER.test(text)) return undefined;
  const value = Number(text);
  const isExact = String(value) === text && (Number.isSafeInteger(value) || !Number.isInteger(value));
  return isExact ? value : undefined;
}
