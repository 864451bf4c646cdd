"""What stands before services: the configuration of a real nginx, started in the sandbox and asked over HTTP."""
