/**
 * Decides which redirects a post follows. Pure. 307 and 308 keep method and body. They are followed on the endpoint's
 * own origin, and to origins that the configuration names. Other origins get none of the configuration's headers, as
 * any of them may be a secret. 301, 302 and 303 would turn the post into a GET: a person must correct the address.
 */

export interface RedirectOptions {
  readonly max?: number;
  readonly origins?: readonly string[];
}

export const REDIRECTS_MAX = 5;

export type Redirect =
  | { readonly kind: "follow"; readonly url: string; readonly isOwnOrigin: boolean }
  | { readonly kind: "refused"; readonly reason: string };

export const isRedirect = (status: number): boolean => status >= 300 && status < 400 && status !== 304;

/** `from` has answered. `configured` is the sink's `url`, whose origin is the endpoint's own. */
export function judgeRedirect(
  answer: { readonly status: number; readonly location: string | null },
  from: string,
  configured: string,
  followed: number,
  { max = REDIRECTS_MAX, origins = [] }: RedirectOptions = {},
): Redirect {
  const { status, location } = answer;
  const target = location === null ? undefined : parse(location, from);
  if (status !== 307 && status !== 308) {
    const to = target === undefined ? "another address" : target.host;
    return refused(`${status} to ${to} would turn the post into a GET: set 'url' to the address that takes posts`);
  }
  if (target === undefined) return refused(`${status} must name an address of http or https without a password`);
  if (followed >= max)
    return refused(`${status} after ${followed} redirects: at most 'redirects.max' = ${max} are followed`);
  const isOwnOrigin = target.origin === new URL(configured).origin;
  if (!isOwnOrigin && !origins.some((origin) => parse(origin, configured)?.origin === target.origin))
    return refused(`${status} to another origin: set 'url' to it, or name ${target.origin} in 'redirects.origins'`);
  return { kind: "follow", url: target.href, isOwnOrigin };
}

const refused = (reason: string): Redirect => ({ kind: "refused", reason });

function parse(address: string, base: string): URL | undefined {
  if (!URL.canParse(address, base)) return undefined;
  const url = new URL(address, base);
  const isPlain = url.username === "" && url.password === "";
  return isPlain && (url.protocol === "http:" || url.protocol === "https:") ? url : undefined;
}
