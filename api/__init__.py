"""The HTTP edge: resources read a request, call one service and answer."""
