/**
 * Tries whether an endpoint can be reached, for `lint --connect` and `doctor`: its address, its certificate, and whether
 * it wants this node. Sends OPTIONS with the headers of the configuration, and never a record.
 */
import { ConfigurationError, UnavailableError } from "../../../protocols/errors.ts";
import type { SinkCall } from "../sink.ts";
import { HttpClient } from "./http_client.ts";
import { sendRequest } from "./http_connection.ts";
import { causeOf } from "./http_exchange.ts";
import type { HttpHeaders } from "./http_headers.ts";

export interface Probe {
  readonly url: string;
  readonly headers: HttpHeaders;
  readonly timeoutMs: number;
}

export type ProbeVerdict = "reached" | "refused" | "unavailable";

const REFUSED: ReadonlySet<number> = new Set([401, 403, 407, 511]);
/** An endpoint need not know OPTIONS. */
const NOT_IMPLEMENTED = 501;

/** Any answer of the endpoint's own counts as reached, as its answer to OPTIONS says little of posts. */
export function judgeProbe(status: number): ProbeVerdict {
  if (REFUSED.has(status)) return "refused";
  return status >= 500 && status !== NOT_IMPLEMENTED ? "unavailable" : "reached";
}

/** Throws `ConfigurationError` where a person must act, and `UnavailableError` where the endpoint may come back. */
export async function probeEndpoint({ url, headers, timeoutMs }: Probe, call?: SinkCall): Promise<void> {
  const client = new HttpClient();
  const { host } = new URL(url);
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = call === undefined ? deadline : AbortSignal.any([deadline, call.signal]);
  try {
    const { status, body } = await sendRequest({ method: "OPTIONS", url, headers, client, signal });
    body.destroy();
    const verdict = judgeProbe(status);
    if (verdict === "refused") {
      const why = `Cannot post to ${host} as it must let this node in: the answer to OPTIONS is ${status}`;
      throw new ConfigurationError("INVALID_CONFIGURATION", why);
    }
    if (verdict === "unavailable") throw unavailable(host, `the answer to OPTIONS is ${status}`);
  } catch (error) {
    if (error instanceof ConfigurationError || error instanceof UnavailableError) throw error;
    throw unavailable(host, deadline.aborted ? `no answer within ${timeoutMs} ms` : causeOf(error), error);
  } finally {
    await client.close();
  }
}

const unavailable = (host: string, why: string, cause?: unknown): UnavailableError =>
  new UnavailableError("SINK_UNAVAILABLE", `Cannot post to ${host} as it must answer: ${why}`, { cause });
