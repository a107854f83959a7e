// Who is logged in stands in the page already; this lets them out.

/** Make a button end the session. */
export function startAccount(button) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await fetch("/api/v1/auth/logout", { method: "POST" });
      location.assign("/");
    } catch {
      button.disabled = false; // the banner tells that the server is away
    }
  });
}
