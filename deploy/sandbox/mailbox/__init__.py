"""A mailbox for every address: takes mail by SMTP, keeps it as files that a person can open, and counts it."""
