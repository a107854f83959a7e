// A clock that goes on in a tab nobody looks at, where a page's own timers are slowed to one a minute.

setInterval(() => postMessage(null), 1_000);
