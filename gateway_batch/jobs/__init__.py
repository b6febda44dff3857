"""Jobs over whole tables: each row answered once, however often the job dies and is run again."""
