"""E-mail messages: headers, the best body, attachments."""
