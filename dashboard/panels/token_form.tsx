/** The form for the token that the node asks for. */
import { useState } from "preact/hooks";

interface TokenFormProps {
  readonly wasRefused: boolean;
  readonly onEnter: (token: string) => void;
}

export function TokenForm({ wasRefused, onEnter }: TokenFormProps) {
  const [token, setToken] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    if (token.trim() !== "") onEnter(token.trim());
  };
  return (
    <main class="token">
      <form class="panel" onSubmit={submit}>
        <h1>
          <img src="/icon.svg" alt="" width="26" height="26" />
          Headrace
        </h1>
        <label for="token">This node asks for a token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          value={token}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
        <button type="submit">Connect</button>
        <p class="note">It needs the scope consume, and produce to send events. It is kept for this tab only.</p>
        {wasRefused ? (
          <p role="alert" class="problem">
            The node refused the token that was entered.
          </p>
        ) : null}
      </form>
    </main>
  );
}
