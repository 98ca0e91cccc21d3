/** The dashboard's files, as shipped or bundled from sources at the first request: bundling takes some hundred ms. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { loadDriver } from "../../deps.ts";

/** The folder of the files, at the same relative path in the sources and in the package. */
export const PAGE_FOLDER = fileURLToPath(new URL("../../dashboard/", import.meta.url));

export interface PageFile {
  readonly name: string;
  readonly contentType: string;
  readonly bytes: Uint8Array;
  readonly gzipped: Uint8Array;
  /** Strong entity tag (RFC 9110, 8.8.3), derived from the content. */
  readonly etag: string;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  "index.html": "text/html; charset=utf-8",
  "icon.svg": "image/svg+xml",
  "dashboard.js": "text/javascript; charset=utf-8",
  "dashboard.css": "text/css; charset=utf-8",
};

export const PAGE_FILE_NAMES: readonly string[] = Object.keys(CONTENT_TYPES);

/** Reads the files that were built beforehand, and builds the others. */
export async function loadPageFiles(folder: string = PAGE_FOLDER): Promise<ReadonlyMap<string, PageFile>> {
  const bundle = existsSync(`${folder}dashboard.js`) ? new Map<string, Uint8Array>() : await bundlePage(folder);
  const files = await Promise.all(
    PAGE_FILE_NAMES.map(async (name) => pageFile(name, bundle.get(name) ?? (await readFile(`${folder}${name}`)))),
  );
  return new Map(files.map((file) => [file.name, file]));
}

/** The bundled and minified script and styles, by file name. */
export async function bundlePage(folder: string = PAGE_FOLDER): Promise<ReadonlyMap<string, Uint8Array>> {
  const { build } = await loadDriver("esbuild");
  const { outputFiles } = await build({
    entryPoints: { dashboard: `${folder}main.tsx`, "dashboard-style": `${folder}style.css` },
    outdir: folder,
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: ["es2022", "chrome120", "firefox121", "safari17"],
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "silent",
  });
  const contents = (ending: string): Uint8Array =>
    outputFiles.find(({ path }) => path.endsWith(ending))?.contents ?? new Uint8Array();
  return new Map([
    ["dashboard.js", contents(".js")],
    ["dashboard.css", contents(".css")],
  ]);
}

async function pageFile(name: string, bytes: Uint8Array): Promise<PageFile> {
  return {
    name,
    bytes,
    contentType: CONTENT_TYPES[name] ?? "application/octet-stream",
    gzipped: await promisify(gzip)(bytes),
    etag: `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`,
  };
}
