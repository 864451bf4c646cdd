"""What measures a service under load: generators of requests, judged on servers whose behaviour is known."""
