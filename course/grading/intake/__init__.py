"""How submissions come in: what platforms export, archives, receipts."""
