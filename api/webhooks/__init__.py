"""Webhooks over HTTP and from a terminal: consumers that Stanchion runs."""
