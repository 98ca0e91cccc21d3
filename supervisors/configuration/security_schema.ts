/** The schema of the section `security`. `configuration_security.ts` checks how its parts fit together. */
import { duration, name, object, size } from "./schema_words.ts";

const scope = { type: "string", pattern: "^((produce|consume|observe)(:.+)?|admin)$" } as const;

export const AUDIT_SCHEMA = object(
  "Records administrative calls, refused logins, refused scopes and reloads in a stream of its own. Off by default.",
  {
    stream: {
      ...name,
      default: "audit",
      description: "Name of the stream. The node makes it, with one partition.",
    },
    size: {
      ...size,
      default: "64MiB",
      description: `Most bytes kept; the oldest entries go first. ${size.description}`,
    },
    age: { ...duration, default: "30d", description: `Longest time an entry is kept. ${duration.description}` },
  },
);

export const QUOTA_SCHEMA = object("The quota of one principal.", {
  eventsPerSecond: {
    type: "number",
    exclusiveMinimum: 0,
    description: "Events a second. The events of one second may come at once.",
  },
  bytesPerSecond: { ...size, description: `Bytes a second of appends and request bodies. ${size.description}` },
  connections: { type: "integer", minimum: 1, description: "WebSocket connections at one time." },
  producers: {
    type: "integer",
    minimum: 1,
    description: "Names of producers in the whole store. A name is forgotten 7 days after its producer last connected.",
  },
});

export const SECURITY_SCHEMA = object("Who may connect.", {
  tokens: {
    type: "array",
    items: object(
      "A key that tokens (JWT) are signed with, or one fixed token.",
      {
        name: { ...name, description: "Name of the token's bearer: the principal." },
        valueFile: { type: "string", description: "File that holds the token." },
        valueEnv: { type: "string", description: "Environment variable that holds the token." },
        scopes: {
          type: "array",
          items: scope,
          description:
            "What the token allows: `produce`, `consume` or `observe`, for all streams or for one (`produce:orders`), or `admin`.",
        },
      },
      ["name", "scopes"],
    ),
    description: "Fixed tokens with their scopes.",
  },
  certificates: {
    type: "array",
    items: object(
      "One kind of client certificate, by its subject's common name, by an alternative name, or by both.",
      {
        name: { ...name, description: "Name of the certificate's bearer: the principal." },
        commonName: { type: "string", minLength: 1, description: "The `CN` of the certificate's subject." },
        alternativeName: {
          type: "string",
          pattern: "^(DNS|URI|email|IP Address):.+$",
          description:
            "One of the certificate's names, such as `DNS:sensor-1.example` or `URI:spiffe://example/sensor-1`.",
        },
        scopes: { type: "array", items: scope, description: "What the certificate allows, as for a token." },
      },
      ["name", "scopes"],
    ),
    description: "Client certificates with their scopes: needs `security.tls.clientCaFile`.",
  },
  jwt: object("Signed tokens.", {
    jwksUrl: {
      type: "string",
      description:
        "Address of a set of public keys (JWKS), by https. Keys are read again once they are ten minutes old, and for an unknown `kid` at most each 30 s.",
    },
    secretFile: { type: "string", description: "File that holds a shared secret (HS256)." },
    secretEnv: { type: "string", description: "Environment variable that holds a shared secret (HS256)." },
    publicKeyFile: { type: "string", description: "PEM file of a public key (RS256, ES256, EdDSA)." },
    issuer: { type: "string", description: "Required `iss`." },
    audience: { type: "string", description: "Required `aud`." },
  }),
  tls: object(
    "Serves wss and https.",
    {
      certificateFile: { type: "string", description: "PEM file of the certificate chain." },
      keyFile: { type: "string", description: "PEM file of the private key." },
      clientCaFile: {
        type: "string",
        description:
          "PEM file of the authority that signs clients' certificates. `security.certificates` says what these allow.",
      },
    },
    ["certificateFile", "keyFile"],
  ),
  quotas: {
    type: "object",
    description:
      "What each principal may use of each node, by the name of a token or certificate or the `sub` of a signed token; `*` is for all other principals.",
    maxProperties: 1_000,
    additionalProperties: QUOTA_SCHEMA,
  },
  audit: AUDIT_SCHEMA,
  origins: {
    type: "array",
    items: { type: "string" },
    description: "Web origins that may connect, besides the node's own.",
  },
  hosts: {
    type: "array",
    items: { type: "string" },
    description: "Host names that requests may name, against DNS rebinding.",
  },
});
