/**
 * The contract of a driver: what runs artifacts. A driver knows tensors alone, and nothing of models, records or askers.
 *
 *   R1. A session takes one run at a time. It answers each with the output tensors, or rejects.
 *   R2. A rejection with `UnavailableError` means that the session is lost; after any other one it goes on.
 *   R3. `close` ends a session at once, also in the middle of a run that never ends, and gives its memory and threads back.
 */
import type { Tensors } from "../../models/model.ts";

export interface SessionLimits {
  /** Larger artifacts are refused. */
  readonly artifactBytesMax: number;
}

export const SESSION_LIMITS: SessionLimits = { artifactBytesMax: 256 * 1024 * 1024 };

export interface ModelSession {
  run(inputs: Tensors): Promise<Tensors>;
  close(): Promise<void>;
}

export interface ModelDriver {
  /**
   * Throws `ConfigurationError` where the driver or the artifact can never work on this machine, and `UnavailableError`
   * where the next try may.
   */
  open(artifact: Uint8Array, limits: SessionLimits): Promise<ModelSession>;
}
