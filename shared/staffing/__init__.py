"""Staff of a service: who they are, their sessions at its door, and what each may see. A part that every service carries."""
