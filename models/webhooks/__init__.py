"""Webhooks: consumers that Stanchion runs itself, and that hand messages to addresses outside."""
