-- Until when refusals of a key's signatures say what its owner did wrong.
ALTER TABLE signing_keys ADD COLUMN diagnose_until INTEGER;
