"""Shipped web services: started in a process of their own, asked over real HTTP, and judged."""
