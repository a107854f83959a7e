"""What the API says of itself: the document and the page that shows it."""
