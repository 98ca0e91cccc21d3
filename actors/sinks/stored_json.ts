/** The stored form of a sink's own small state: JSON, with the version of its format. */
import { ConfigurationError } from "../../protocols/errors.ts";

export const encodeStored = (state: object): Uint8Array => new TextEncoder().encode(JSON.stringify(state));

/** Throws `ConfigurationError` for a format that only a newer release knows. `needs` names it, up to its version. */
export function decodeStored<State extends { readonly version: number }>(
  bytes: Uint8Array,
  needs: string,
  newest = 1,
): State {
  const state = JSON.parse(new TextDecoder().decode(bytes)) as State;
  if (state.version >= 1 && state.version <= newest) return state;
  throw new ConfigurationError("FORMAT_TOO_NEW", `Cannot read ${needs} ${newest}: current value is ${state.version}`);
}
