"""What long-running commands stand on: whole files, worker processes, interrupts. Imports no other room."""
