"""Messages over HTTP, by the messages contract; batches, streams, looking, acting, and commands."""
