/** Reads the port's certificate, and the authorities of client certificates, at the start and at each reload. */
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";
import { ConfigurationError } from "../../../protocols/errors.ts";
import type { SecurityConfiguration } from "../../configuration/configuration_schema.ts";

export interface TlsContext {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer[];
}

type TlsConfiguration = NonNullable<SecurityConfiguration["tls"]>;

/** Throws `ConfigurationError` without a certificate and its key. @param nodeCaFile the authority of cluster nodes */
export async function readTls(tls: TlsConfiguration, nodeCaFile: string | undefined): Promise<TlsContext> {
  const caFiles = [nodeCaFile, tls.clientCaFile].filter((file) => file !== undefined);
  try {
    const [cert, key, ...ca] = await Promise.all(
      [tls.certificateFile, tls.keyFile, ...caFiles].map((file) => readFile(file)),
    );
    const context: TlsContext = {
      ...{ cert: cert ?? Buffer.alloc(0), key: key ?? Buffer.alloc(0) },
      ...(ca.length === 0 ? {} : { ca }),
    };
    createSecureContext(context); // throws for a key of another certificate, before the first client comes
    return context;
  } catch (error) {
    throw new ConfigurationError(
      "INVALID_CONFIGURATION",
      `Cannot serve TLS as ${tls.certificateFile} and ${tls.keyFile} must hold a certificate and its key: ${(error as Error).message}`,
      { cause: error },
    );
  }
}
