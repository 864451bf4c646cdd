"""Shipped models: opened and fitted only in processes of their own, in artifacts and stores."""
