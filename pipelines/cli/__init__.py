"""The command `vocabox`: arguments in; lines and an exit code out. No work is done here."""
