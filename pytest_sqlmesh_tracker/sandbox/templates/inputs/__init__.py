"""What templates are made from: what is known before they are planned, and what planning reads."""
