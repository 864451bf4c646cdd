"""Programs that run beside student code, in a process or container of their own. They import nothing else here."""
