"""Mail over HTTP: the queues of all hosts, by the mail contract and its original's wire."""
