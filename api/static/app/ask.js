// Asking the server for something, and what it refuses.

const PATIENCE_MS = 8_000;

/** A refusal in the server's words. */
export class Refusal extends Error {
  constructor(status, body, retryAfterS) {
    const told = typeof body.error === "object" ? body.error : body; // rooms say it one level deeper
    const details = told.details ?? {};
    super(told.message ?? (Object.values(details).join("; ") || told.error || String(status)));
    this.status = status;
    this.code = told.code ?? told.error;
    this.details = details;
    this.retryAfterS = retryAfterS;
  }
}

/** Ask the server; raises Refusal, or what fetch raises when nobody answers. */
export async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, told, Number(answer.headers.get("Retry-After")));
  return told;
}
