/** With `--import`, a node takes `ajv_validator.ts` for its own validator. */
import { register } from "node:module";

const own = new URL("../../actors/ingest/schema/schema_validator.ts", import.meta.url).href;
const other = new URL("./ajv_validator.ts", import.meta.url).href;
const hooks = `
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const isOwn = found.url.split("?")[0] === ${JSON.stringify(own)};
  const isAskedByOther = context.parentURL?.split("?")[0] === ${JSON.stringify(other)};
  return isOwn && !isAskedByOther ? { ...found, url: ${JSON.stringify(other)} } : found;
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
