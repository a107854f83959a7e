// Asking the server for something, and what it refuses.

const PATIENCE_MS = 8_000;

/** A refusal in the server's words. */
export class Refusal extends Error {
  constructor(status, body, retryAfterS) {
    const told = typeof body.error === "object" ? body.error : body; // rooms say it one level deeper
    const details = told.details ?? {};
    const faults = Array.isArray(told.data) ? told.data.map((each) => each.message).join("; ") : "";
    super((told.message ?? faults) || Object.values(details).join("; ") || told.error || String(status));
    this.status = status;
    this.code = told.code ?? told.error;
    this.reason = told.success === false ? told.error : ""; // mail says it in words
    this.details = details;
    this.retryAfterS = retryAfterS;
  }
}

/** Ask the server; raises Refusal, or what fetch raises when nobody answers in time. */
export async function ask(method, path, body, patienceMs = PATIENCE_MS, headers = {}) {
  const answer = await fetch(path, {
    method,
    headers: { ...headers, ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(patienceMs),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(answer.status, told, Number(answer.headers.get("Retry-After")));
  return told;
}
