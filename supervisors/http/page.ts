/** Serves the dashboard at `/` without a token: its files hold no data, and the page reads as any client does. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Routes } from "./http_server.ts";
import { loadPageFiles, PAGE_FILE_NAMES, type PageFile } from "./page_files.ts";

/** Allows no foreign and no inline sources; `'self'` covers the WebSocket of the same host. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HEADERS = {
  "content-security-policy": CONTENT_SECURITY_POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  vary: "accept-encoding",
} as const;

type Files = ReadonlyMap<string, PageFile>;

/** Builds the files at the first request; a failed build is tried again at the next request. */
export function createPage(load: () => Promise<Files> = () => loadPageFiles()): Routes {
  let loading: Promise<Files> | undefined;
  const files = (): Promise<Files> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  const mount = (server: FastifyInstance): void => {
    for (const name of PAGE_FILE_NAMES) {
      const path = name === "index.html" ? "/" : `/${name}`;
      server.get(path, { schema: { hide: true } }, async (request, reply) => {
        const file = (await files()).get(name);
        return file === undefined ? reply.callNotFound() : send(request, reply, file);
      });
    }
  };
  return { isOpen: true, mount };
}

function send(request: FastifyRequest, reply: FastifyReply, file: PageFile): FastifyReply {
  reply.headers(HEADERS).header("content-type", file.contentType);
  if (file.name === "index.html") reply.header("cache-control", "no-store");
  else {
    reply.headers({ "cache-control": "no-cache", etag: file.etag });
    if (request.headers["if-none-match"] === file.etag) return reply.status(304).send();
  }
  const isGzipTaken = /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
  if (isGzipTaken) reply.header("content-encoding", "gzip");
  return reply.send(Buffer.from(isGzipTaken ? file.gzipped : file.bytes));
}
