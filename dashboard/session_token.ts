/** The token that a person entered: kept for this tab, until it is closed. */
const KEY = "headrace.token";

export const storedToken = (): string | undefined => sessionStorage.getItem(KEY) ?? undefined;

export function storeToken(token: string): void {
  sessionStorage.setItem(KEY, token);
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEY);
}
