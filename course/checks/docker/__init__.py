"""Shipped Dockerfiles, build contexts and images: judged as text, built, and run by a container engine."""
