"""Raw files of any kind to records: what packed them, their encoding, their format."""
