// Light or dark: the system's choice until the reader makes one. The server reads the cookie, so that
// a page comes in its colours and does not change them before the reader's eyes.

const COOKIE = "stanchion_theme";
const YEAR_S = 365 * 24 * 3600;
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

function isDark() {
  return root.dataset.theme === "auto" ? system.matches : root.dataset.theme === "dark";
}

/** Make a button switch the colours; whoever draws by hand hears of it by the event `theme`. */
export function startTheme(button) {
  function show() {
    button.setAttribute("aria-pressed", String(isDark()));
    dispatchEvent(new Event("theme"));
  }

  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    document.cookie = `${COOKIE}=${root.dataset.theme}; path=/; max-age=${YEAR_S}; samesite=lax`;
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}
