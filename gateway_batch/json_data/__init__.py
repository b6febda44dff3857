"""JSON whose numbers keep their digits, and JSON Schema."""
