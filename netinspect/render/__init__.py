"""From reports to text. Width, colour and time come in as arguments."""
