"""How gunicorn runs the service; what differs between machines comes from the environment."""

import os

bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "4"))
preload_app = True  # the model is loaded once, and the workers are forked from it
timeout = int(os.environ.get("WEB_TIMEOUT", "30"))
graceful_timeout = 20  # seconds that requests in flight get after SIGTERM
