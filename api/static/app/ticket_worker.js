// Phones show notifications by a worker only. It keeps nothing and answers no request.

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    self.clients
      .matchAll({ type: "window", includeUncontrolled: true })
      .then((pages) => pages.find((page) => page.url.includes("/ticket/"))?.focus()),
  );
});
