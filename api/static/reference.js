// Everything that would speak to another host is off: fonts, telemetry, assistants, hosted clients.
Scalar.createApiReference("#reference", {
  url: "/api/doc",
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
});
